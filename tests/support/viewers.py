"""A house full of viewers: many simulated players in one thread, who play HLS through the door for real.

`watching` lets them play for as long as a block lasts; what they counted is read while they do, or behind it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from support.viewers_clock import Stall
from support.viewers_player import Plan, Viewer
from support.viewers_words import Line

END_S = 30.0


class Viewers:
    """Make it with `watching`; read it from any thread."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self.all = tuple(Viewer(plan) for plan in plans)
        self.begin_time = time.monotonic()
        self.cpu_s = 0.0
        """What simulating them took of a core, so far."""
        self._stop = threading.Event()

    async def run(self) -> None:
        """Let all of them watch until told to stop."""
        async with asyncio.TaskGroup() as tasks:
            for viewer in self.all:
                tasks.create_task(viewer.run())
            while not self._stop.is_set():  # another thread sets it
                await asyncio.sleep(0.05)
                self.cpu_s = time.thread_time()
            for viewer in self.all:
                viewer.stop()

    def stop(self) -> None:
        self._stop.set()

    @property
    def segments_count(self) -> int:
        return sum(viewer.felt.segments_count for viewer in self.all)

    @property
    def media_bytes(self) -> int:
        return sum(viewer.felt.media_bytes for viewer in self.all)

    @property
    def totals(self) -> tuple[int, int]:
        """Segments and media bytes."""
        return self.segments_count, self.media_bytes

    def counted_per_viewer(self) -> dict[str, tuple[int, int]]:
        """Segments and media bytes, by viewer."""
        return {
            viewer.plan.viewer_id: (viewer.felt.segments_count, viewer.felt.media_bytes)
            for viewer in self.all
        }

    @property
    def failures(self) -> list[str]:
        return [failure for viewer in self.all for failure in viewer.felt.failures]

    @property
    def retries(self) -> list[str]:
        return [retry for viewer in self.all for retry in viewer.felt.retries]

    @property
    def cpu_ratio(self) -> float:
        """What simulating them takes of a core."""
        return self.cpu_s / (time.monotonic() - self.begin_time)

    def joined(self, status: int) -> list[Viewer]:
        """Those whom JoinStream answered so."""
        return [viewer for viewer in self.all if viewer.felt.joined_status == status]

    def stalls(self, since: float = 0.0) -> list[Stall]:
        """All stalls that were not over at a monotonic time."""
        now = time.monotonic()
        return [stall for viewer in self.all for stall in viewer.clock.stalls_since(since, now)]

    def bytes_between(self, begin: float, end: float) -> int:
        """Tell how much media arrived in a span of monotonic time."""
        return sum(size for viewer in self.all for at, size in viewer.felt.arrivals if begin <= at <= end)

    def wait_playing(self, segments: int, within_s: float) -> None:
        """Wait until each viewer has so many more segments than now."""
        begin = [viewer.felt.segments_count for viewer in self.all]
        self.wait(lambda: self._have(begin, segments), within_s, f"{segments} more segments for everybody")

    def wait(self, is_so: Callable[[], bool], within_s: float, what: str) -> None:
        """Wait for something."""
        deadline = time.monotonic() + within_s
        while not is_so():
            assert time.monotonic() < deadline, f"{what} did not come within {within_s:g} s: {self.tell()}"
            time.sleep(0.1)

    def tell(self) -> str:
        """Say how it went, for people."""
        stalls_s = [stall.duration_s for stall in self.stalls()]
        starts = [viewer.clock.startup_s for viewer in self.all if viewer.clock.startup_s is not None]
        switches = sum(viewer.felt.switches_count for viewer in self.all)
        return (
            f"{len(self.all)} viewers, {len(starts)} began within {max(starts, default=0):.1f} s;"
            f" {self.segments_count} segments, {self.media_bytes} bytes; {len(stalls_s)} stalls,"
            f" {sum(stalls_s):.1f} s, longest {max(stalls_s, default=0):.1f} s; {switches} switches;"
            f" {len(self.retries)} retries, {len(self.failures)} failures {self.failures[:3]};"
            f" {self.cpu_ratio:.2f} of a core"
        )

    def _have(self, begin: Sequence[int], segments: int) -> bool:
        return all(
            viewer.felt.segments_count >= before + segments
            for viewer, before in zip(self.all, begin, strict=True)
        )


def plan_viewers(
    site: str, stream_id: str, count: int, *, joining: int | None = None, lines: Sequence[Line] = (Line(),)
) -> tuple[Plan, ...]:
    """Plan viewers: the first ones join (half of them, unless told), lines and ways of CMCD take turns."""
    return tuple(
        Plan(
            site=site,
            stream_id=stream_id,
            viewer_id=f"viewer-{number:03d}",
            joins=number < (count // 2 if joining is None else joining),
            speaks_in_headers=number % 2 == 1,
            line=lines[number % len(lines)],
        )
        for number in range(count)
    )


@contextmanager
def watching(plans: Sequence[Plan]) -> Iterator[Viewers]:
    """Let viewers watch for as long as the block lasts; behind it, all that they asked for was answered."""
    viewers = Viewers(plans)
    thread = threading.Thread(target=lambda: asyncio.run(viewers.run()), daemon=True)
    thread.start()
    try:
        yield viewers
    finally:
        viewers.stop()
        thread.join(END_S)
    assert not thread.is_alive(), f"the viewers do not end: {viewers.tell()}"
