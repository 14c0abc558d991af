"""A recording to look at when there is none: 30 s of moving picture with a clock, and sound."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

from weir_cli.client import ApiError, Client, Progress

SAMPLE_ID = "sample"
SAMPLE_TITLE = "Sample: a test picture with clock and beeps"
SAMPLE_S = 30
_POLL_S = 0.25
_STEP_PERCENT = 20
_LOST = frozenset({"FAILED", "CANCELLED"})
_NEEDS_A_JOB = _LOST | {""}

Say = Callable[[str], None]


def plan_sample_command(ffmpeg: str, output: Path) -> tuple[str, ...]:
    """Plan the ffmpeg command that makes the sample.

    720p: three rungs of the ladder, and a source that two cores make within seconds.
    """
    # It moves, and shows time and frame number: a viewer sees a skipped or repeated frame.
    picture = f"testsrc2=size=1280x720:rate=30:duration={SAMPLE_S}"
    # A beep at each full second: a viewer hears when sound and picture part.
    sound = f"sine=frequency=330:beep_factor=3:sample_rate=48000:duration={SAMPLE_S}"
    return (
        ffmpeg,
        *("-hide_banner", "-loglevel", "error", "-nostdin", "-y"),
        *("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound),
        # It is encoded once more anyway: fast, and good enough not to show.
        *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "23", "-pix_fmt", "yuv420p"),
        *("-c:a", "aac", "-b:a", "128k", "-ac", "2"),
        *("-movflags", "+faststart", f"file:{output}"),
    )


async def show_sample(client: Client, ffmpeg: str, say: Say, show_watch_url: Say) -> None:
    """Put the sample through the public API when nothing else is stored; tell where to watch it.

    What an interrupted run left undone is done now.

    Raises:
        ApiError: The suite refused a step, or the job failed.
    """
    recordings = {recording["recording_id"]: recording for recording in await client.list_recordings()}
    if set(recordings) - {SAMPLE_ID}:
        return
    if not recordings:
        await client.create_recording(recording_id=SAMPLE_ID, title=SAMPLE_TITLE)
    if not recordings or recordings[SAMPLE_ID]["state"] != "READY":
        await _upload_sample(client, ffmpeg, say)
    if (await client.get_progress(SAMPLE_ID)).state in _NEEDS_A_JOB:
        await client.start_transcode(SAMPLE_ID)
    await follow(client, SAMPLE_ID, on_progress=_in_steps(say), on_playable=show_watch_url)


async def follow(
    client: Client, recording_id: str, *, on_progress: Callable[[Progress], None], on_playable: Say
) -> None:
    """Watch the newest job to its end; tell the watch URL as soon as there is something to see.

    Raises:
        ApiError: The job failed or was cancelled.
    """
    playable = False
    while True:
        progress = await client.get_progress(recording_id)
        on_progress(progress)
        if progress.state in _LOST:
            raise ApiError(f"{recording_id}: {progress.error or 'the job was cancelled'}")
        if not playable and await client.is_playable(recording_id):
            playable = True
            on_playable(client.watch_url(recording_id))
        if playable and progress.state == "SUCCEEDED":
            return
        await asyncio.sleep(_POLL_S)


def _in_steps(say: Say) -> Callable[[Progress], None]:
    """Tell of progress in steps that a person likes to read."""
    told_percent = 0.0

    def tell(progress: Progress) -> None:
        nonlocal told_percent
        if progress.percent >= told_percent + _STEP_PERCENT:
            told_percent = progress.percent
            speed = f"{progress.speed_ratio:.1f} x real time"
            say(f"{SAMPLE_ID}: {progress.percent:.0f} % transcoded, {speed}")

    return tell


async def _upload_sample(client: Client, ffmpeg: str, say: Say) -> None:
    with tempfile.TemporaryDirectory(prefix="weir-sample-") as folder:
        path = Path(folder) / "sample.mp4"
        say(f"no recordings yet: making a sample of {SAMPLE_S} s")
        await _make(plan_sample_command(ffmpeg, path))
        await client.upload(SAMPLE_ID, path, sent=lambda _bytes: None)
        say("sample: uploaded")


async def _make(command: tuple[str, ...]) -> None:
    ffmpeg = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    try:
        _, errors = await ffmpeg.communicate()
    finally:
        if ffmpeg.returncode is None:
            ffmpeg.kill()
    if ffmpeg.returncode:
        raise ApiError(f"ffmpeg could not make the sample: {errors.decode(errors='replace')[-500:]}")
