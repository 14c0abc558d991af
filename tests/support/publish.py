"""Sources to look at, and the short way from a source to a stream."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import aiohttp

from support.media import run_ffmpeg
from weir_cli.client import open_client
from weir_cli.sample import follow

# Long enough for a seek and segments of two renditions, short enough to be seen to its end.
SAMPLE_S = 14
# Takes two cores ten seconds and more to transcode: time to look at it while it grows.
LONG_S, LONG_RATE = 30, 20
# There is half as much to encode, and for a browser to draw.
USUAL_RATE = 15


def make_picture(path: Path, duration_s: int, *, rate: int = USUAL_RATE) -> Path:
    """Make a source of 720p with sound, of so many frames a second."""
    picture = ("-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate={rate}:duration={duration_s}")
    video = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "23", "-pix_fmt", "yuv420p")
    return _make(path, *picture, *_tone(duration_s), *video, "-movflags", "+faststart")


def make_tone(path: Path, duration_s: int) -> Path:
    """Make a source without picture."""
    return _make(path, *_tone(duration_s))


def _tone(duration_s: int) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"sine=frequency=330:sample_rate=48000:duration={duration_s}")


def _make(path: Path, *arguments: str) -> Path:
    run_ffmpeg(*arguments, "-c:a", "aac", "-ac", "2", f"file:{path}")
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
