"""What viewers of a live stream miss when something dies: seconds without new parts, and of a quiet time.

The suite is real, with two of each service that live streams need and one NATS server. A small stream of
parts is hurt in one way after the other, and a viewer reads all of its playlists. A publisher by RTMP that is
sent away or cut off connects again after half a second, as OBS does. Takes some three minutes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.follower import Follower
from support.live_publisher import plan_publisher
from support.live_suite import LiveSuite
from support.stack import running_stack
from support.transcoder import small_film
from weir_cli.plan import Kind

REPLICAS = {Kind.TRANSCODER: 2, Kind.GATEWAY: 2, Kind.DISTRIBUTOR: 2}
ON_S = 60.0  # how long a shared machine may take to go on
USUAL_SEGMENTS, ON_SEGMENTS = 4, 2
DROPS_S = (2, 30)
# The design's, where it has one; what else waits for a publisher's own decision has none.
OWNER_BAR_S, HAND_OVER_BAR_S, GATEWAY_BAR_S = 5.0, 1.0, 1.5


@dataclass
class Table:
    """What was measured, a line at a time."""

    missed_count: int = 0
    usual_s: dict[int, float] = field(default_factory=dict)
    """The longest pause of a viewer while nothing died."""

    def note_usual(self, viewer: Follower) -> None:
        since = time.monotonic()
        viewer.wait_segments(USUAL_SEGMENTS, ON_S)
        self.usual_s[id(viewer)] = viewer.longest_pause_s(since)

    @contextmanager
    def pause(self, viewer: Follower, name: str, bar_s: float | None = None) -> Iterator[None]:
        """Print how long a viewer saw nothing new during a block."""
        since = time.monotonic()
        yield
        self.show(name, viewer.longest_pause_s(since), self.usual_s[id(viewer)], bar_s)

    def show(self, name: str, pause_s: float, usual_s: float, bar_s: float | None) -> None:
        is_missed = bar_s is not None and pause_s >= bar_s
        self.missed_count += is_missed
        bar = "" if bar_s is None else f"bar {bar_s:g} s: {'MISSED' if is_missed else 'kept'}"
        ratio = pause_s / usual_s
        print(f"{name:<40}{pause_s:6.1f} s   usual {usual_s:4.1f} s{ratio:7.1f}   {bar}", flush=True)


def main() -> int:
    """Print the table; 1 if a bar was missed."""
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        film = small_film(Path(folder), seconds=20.0)
        with running_stack(Path(folder) / "suite", replicas=REPLICAS) as stack:
            bench = Bench(LiveSuite(stack), Table())
            bench.measure_services()
            bench.measure_publishers()
            bench.measure_pulled(film)
    return 1 if bench.table.missed_count else 0


@dataclass
class Bench:
    """A suite that is hurt, and what comes of it."""

    suite: LiveSuite
    table: Table

    def measure_services(self) -> None:
        """Hurt what stands around the owner, and the owner itself, of a stream that is pushed."""
        stream = self.suite.create("pushed")
        with self.suite.publish(stream), self.suite.follow(stream, within_s=ON_S) as viewer:
            self.table.note_usual(viewer)
            for name, bar_s in (("hls-gateway", GATEWAY_BAR_S), ("distributor", None), ("nats", None)):
                with self.table.pause(viewer, f"{name} SIGKILL", bar_s):
                    pid = self.suite.stack.kill(name)
                    viewer.wait_segments(ON_SEGMENTS, ON_S)
                self.suite.stack.wait_restarted(name, pid)
            self._kill_owner(viewer, stream, "owner SIGKILL, pushed")
            self._hand_over(viewer, stream, "owner SIGTERM, pushed")
        self.suite.do("pushed", "stop")

    def measure_publishers(self) -> None:
        """Let a publisher vanish, and move to another transcoder because its own is frozen."""
        suite, stream = self.suite, self.suite.create("dropped")
        publishing = suite.publish(stream, to="transcoder", faithful=False)
        with publishing as publisher, suite.follow(stream, within_s=ON_S) as viewer:
            self.table.note_usual(viewer)
            for away_s in DROPS_S:
                with self.table.pause(viewer, f"publisher away for {away_s} s"):
                    publisher.drop()
                    time.sleep(away_s)
                    publisher.start()
                    viewer.wait_segments(ON_SEGMENTS, ON_S)
            epoch, _ = suite.owner(stream)
            with self.table.pause(viewer, "owner SIGSTOP, its publisher moves", OWNER_BAR_S):
                suite.stack.freeze("transcoder")
                publisher.drop()
                publisher.start(plan_publisher(suite.rtmp_url(stream, to="transcoder-2")))
                self._go_on(viewer, stream, epoch)
            suite.stack.thaw("transcoder")
        suite.do("dropped", "stop")

    def measure_pulled(self, film: Path) -> None:
        """Hurt the owner of a stream that is pulled: nobody has to come back for it."""
        stream = self.suite.create_pulled("pulled", film)
        with self.suite.follow(stream, within_s=ON_S) as viewer:
            self.table.note_usual(viewer)
            self._hand_over(viewer, stream, "owner SIGTERM, pulled", HAND_OVER_BAR_S)
            self._kill_owner(viewer, stream, "owner SIGKILL, pulled")
        self.suite.do("pulled", "stop")

    def _kill_owner(self, viewer: Follower, stream: Any, name: str) -> None:
        epoch, owner = self.suite.owner(stream)
        with self.table.pause(viewer, name, OWNER_BAR_S):
            pid = self.suite.stack.kill(owner)
            self._go_on(viewer, stream, epoch)
        self.suite.stack.wait_restarted(owner, pid)

    def _hand_over(self, viewer: Follower, stream: Any, name: str, bar_s: float | None = None) -> None:
        """Stop an owner in order, and start it again."""
        epoch, owner = self.suite.owner(stream)
        with self.table.pause(viewer, name, bar_s):
            self.suite.stack.hold(owner)
            self._go_on(viewer, stream, epoch)
        self.suite.stack.release(owner)
        self.suite.stack.wait_healthy()

    def _go_on(self, viewer: Follower, stream: Any, epoch: int) -> None:
        """Wait for the next owner, and for what it makes."""
        self.suite.wait_owner(stream, epoch, ON_S)
        viewer.wait_segments(ON_SEGMENTS, ON_S)


if __name__ == "__main__":
    sys.exit(main())
