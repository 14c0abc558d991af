"""A publisher as people have one: ffmpeg, which sends picture and sound to an RTMP address in real time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import imageio_ffmpeg

_PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30")
_SOUND = ("-f", "lavfi", "-i", "sine=frequency=330")
_CODECS = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "60", "-pix_fmt", "yuv420p", "-c:a", "aac")


@asynccontextmanager
async def publishing(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Publish for as long as the block lasts, unless the server ends it before.

    Args:
        url: The RTMP server's URL, with the stream key.
    """
    process = await asyncio.create_subprocess_exec(
        imageio_ffmpeg.get_ffmpeg_exe(),
        *("-nostdin", "-loglevel", "error", "-re", *_PICTURE, "-re", *_SOUND, *_CODECS, "-f", "flv", url),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
