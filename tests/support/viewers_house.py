"""What simulated viewers watch, and what the suite says of them: a film in three rungs, counts over REST."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from support.live_suite import LiveSuite
from support.media import run_ffmpeg
from support.stack import Stack
from support.viewers import Viewers

RUNGS = tuple(
    {"name": name, "width_pixels": width, "height_pixels": height, "video_bps": bps}
    for name, width, height, bps in (
        ("Small", 96, 54, 60_000),
        ("Mid", 160, 90, 200_000),
        ("Big", 320, 180, 500_000),
    )
)
THIN_BPS = 200_000  # carries Small, not Mid
DONE_S = 60.0
TOLD_S = 20.0
AWAY = 503
PAGE = 1000


def make_film(path: Path, seconds: int, *, sound: bool) -> Path:
    """Make a film with noise in it, so that each rung has the rate that it should."""
    picture = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25,noise=alls=40:allf=t")
    tone = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000") if sound else ()
    video = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50")
    run_ffmpeg(*picture, *tone, "-t", str(seconds), *video, "-c:a", "aac", f"file:{path}")
    return path


class House:
    """The API as far as viewers are concerned."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._suite = LiveSuite(stack)

    def show(self, stream_id: str, film: Path, *, max_viewers: int) -> None:
        """Make a stream of a film, whole, and open it to viewers who join."""
        self._post("/api/v1/recordings", {"recording_id": stream_id})
        source = f"{self.stack.url}/api/v1/recordings/{stream_id}/source"
        with urlopen(Request(source, film.read_bytes(), method="PUT"), timeout=DONE_S):  # noqa: S310 - our suite
            pass
        self._post(f"/api/v1/recordings/{stream_id}/transcode/quality", {"rungs": RUNGS})
        self.wait(lambda: self._is_done(stream_id), DONE_S, "the transcode's end")
        self.open(stream_id, max_viewers=max_viewers)

    def open(self, stream_id: str, *, max_viewers: int) -> None:
        """Let so many join."""
        self._post("/api/v1/streams/start", {"recording_id": stream_id, "max_viewers": max_viewers})

    def distribution(self, stream_id: str) -> Any:
        """GetDistribution, with all viewers on one page."""
        return self._get(f"/api/v1/streams/{stream_id}?page_size={PAGE}")

    def stats(self, stream_id: str) -> Any:
        return self._get(f"/hls/streams/{stream_id}/stats")

    def metrics(self) -> Any:
        return self._get("/api/v1/distribution/metrics")

    def totals(self, told: Any) -> tuple[int, int]:
        """Segments and media bytes of GetDistribution, GetStreamStats or GetMetrics."""
        segments = told.get("total_segments_served") or told.get("segments_served", 0)
        return int(segments), int(told.get("total_bytes_served") or told.get("bytes_served", 0))

    def counted_per_viewer(self, shown: Any) -> dict[str, tuple[int, int]]:
        """Segments and media bytes of each viewer of GetDistribution."""
        return {
            viewer["viewer_id"]: (viewer["segments_received"], int(viewer["bytes_received"]))
            for viewer in shown["viewers"]
        }

    def wait_counted(self, stream_id: str, viewers: Viewers) -> None:
        """Wait until the suite has counted what the viewers did, who have ended: neither more nor less."""
        deadline = time.monotonic() + TOLD_S
        while (told := self.totals(self.distribution(stream_id))) != viewers.totals:
            assert time.monotonic() < deadline, f"counted {told}, and the viewers {viewers.totals}"
            time.sleep(0.2)

    @contextmanager
    def growing(self, stream_id: str) -> Iterator[None]:
        """Look on for as long as the block lasts; fails at its end if a figure went back."""
        ends = threading.Event()
        with ThreadPoolExecutor(max_workers=1) as looking:
            looked = looking.submit(self._look, stream_id, ends)
            try:
                yield
            finally:
                ends.set()
        assert looked.result() > 1

    def _look(self, stream_id: str, ends: threading.Event) -> int:
        """Hold each answer of GetDistribution against the one before; says how many there were."""
        before, count = (0, 0, 0), 0
        while not ends.wait(0.2):
            shown = self.distribution(stream_id)
            now = (shown["peak_viewers"], *self.totals(shown))
            assert all(new >= old for new, old in zip(now, before, strict=True)), (before, now)
            before, count = now, count + 1
        return count

    def select(self, stream_id: str, viewer_id: str) -> Any:
        """SelectQuality by what was measured; asks again while the door says that abr is away."""
        path, deadline = f"/api/v1/recordings/{stream_id}/abr/quality", time.monotonic() + DONE_S
        while (answer := self._suite.call("POST", path, {"viewer_id": viewer_id}))[0] == AWAY:
            assert time.monotonic() < deadline, answer
            time.sleep(0.2)
        assert answer[0] == 200, answer
        return answer[1]

    def wait(self, is_so: Callable[[], bool], within_s: float, what: str) -> None:
        """Wait for something that the suite says."""
        deadline = time.monotonic() + within_s
        while not is_so():
            assert time.monotonic() < deadline, f"{what} did not come within {within_s:g} s"
            time.sleep(0.2)

    def _is_done(self, stream_id: str) -> bool:
        progress = self._get(f"/api/v1/recordings/{stream_id}/transcode/progress")
        assert not progress["failed_jobs"], progress
        return bool(progress["is_complete"])

    def _get(self, path: str) -> Any:
        status, answer = self._suite.call("GET", path)
        assert status == 200, (path, answer)
        return answer

    def _post(self, path: str, document: Any) -> Any:
        status, answer = self._suite.call("POST", path, document)
        assert status == 200, (path, answer)
        return answer
