"""Sources as `weir run` shows them, and the short way from a source to a stream."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import imageio_ffmpeg

from weir_cli.client import open_client
from weir_cli.sample import follow, plan_sample_command

# Long enough for a seek and segments of two renditions, short enough to be seen to its end.
SAMPLE_S = 14
# Takes two cores some eight seconds to transcode: time to look at it while it grows.
LONG_S = 30


def make_picture(path: Path, duration_s: int) -> Path:
    """Make a source of 720p with sound."""
    command = plan_sample_command(imageio_ffmpeg.get_ffmpeg_exe(), path, duration_s=duration_s)
    subprocess.run(command, check=True, timeout=60)
    return path


def make_tone(path: Path, duration_s: int) -> Path:
    """Make a source without picture."""
    tone = ("-f", "lavfi", "-i", f"sine=frequency=330:duration={duration_s}", "-c:a", "aac")
    command = (imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-nostdin", *tone, f"file:{path}")
    subprocess.run(command, check=True, timeout=60)
    return path


async def publish(site: str, source: Path, *, container: str = "cmaf", profiles: Sequence[str] = ()) -> str:
    """Upload a source and transcode it; return the stream's id when it is complete."""
    recording_id = await begin(site, source, container=container, profiles=profiles)
    async with open_client(site) as client:
        await follow(client, recording_id, on_progress=lambda _progress: None, on_playable=lambda _url: None)
    return recording_id


async def begin(site: str, source: Path, *, container: str = "cmaf", profiles: Sequence[str] = ()) -> str:
    """Upload a source and start its transcode; return the recording's id, which the stream has as well.

    Args:
        profiles: The rungs to make; none: all of the ladder that fit.
    """
    async with open_client(site) as client, aiohttp.ClientSession(site) as session:
        recording_id = await client.create_recording(title=source.stem)
        await client.upload(recording_id, source, lambda _bytes: None)
        path = f"/api/v1/recordings/{recording_id}/transcode/quality"
        async with session.post(path, json={"container": container, "profiles": list(profiles)}) as answer:
            assert answer.ok, await answer.text()
    return recording_id
