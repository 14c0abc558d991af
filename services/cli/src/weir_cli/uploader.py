"""`weir upload`: a recording of the user's own, from file to watch URL."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from weir_cli import client
from weir_cli.sample import follow


async def upload(path: Path, *, url: str, recording_id: str, title: str) -> None:
    """Create a recording, upload `path`, transcode it, and print the watch URL as soon as it plays.

    Raises:
        ApiError: The suite is not there, refused a step, or the job failed.
    """
    async with client.open_client(url) as suite:
        recording_id = await suite.create_recording(recording_id=recording_id, title=title or path.stem)
        await _send(suite, recording_id, path)
        await suite.start_transcode(recording_id)
        await _watch(suite, recording_id)


async def _send(suite: client.Client, recording_id: str, path: Path) -> None:
    with _bars(DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()) as bars:
        bar = bars.add_task("upload", total=_size_bytes(path))
        await suite.upload(recording_id, path, sent=lambda count: bars.advance(bar, count))


async def _watch(suite: client.Client, recording_id: str) -> None:
    with _bars(TaskProgressColumn(), TextColumn("{task.fields[speed]}")) as bars:
        bar = bars.add_task("transcode", total=100, speed="")

        def show(progress: client.Progress) -> None:
            bars.update(bar, completed=progress.percent, speed=f"{progress.speed_ratio:.1f} x real time")

        await follow(suite, recording_id, on_progress=show, on_playable=_tell)


def _bars(*columns: ProgressColumn) -> Progress:
    """Draw bars beside the answer, not into it: stdout holds the watch URL alone."""
    return Progress(TextColumn("{task.description:>9}"), BarColumn(), *columns, console=Console(stderr=True))


def _size_bytes(path: Path) -> int:
    return path.stat().st_size


def _tell(watch_url: str) -> None:
    print(f"watch {watch_url}", flush=True)  # noqa: T201 - the answer of the command
