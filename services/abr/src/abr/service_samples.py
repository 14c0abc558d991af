"""Samples of many viewers at a time, as gateways send them.

Who is not known here may be known to another process: such samples wait, in bounded number, until that has
been looked up; nobody else waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from abr.domain.sample import Sample
from abr.domain.stream import Stream
from abr.domain.viewer import DUE, VIEWER_ID, Viewer
from abr.ports import Streams
from abr.service_decide import Decider
from abr.service_viewers import Viewers
from chassis.errors import WeirError

WAITING_COUNT = 10_000
LOOKUPS_AT_ONCE = 64

Measured = tuple[str, Sample]
"""Who, and what."""


class Intake:
    """The use-case ReportSamples.

    Args:
        streams: Where ladders are known.
        viewers: Who is known.
        decider: Decides for those to whom a segment came.
        now: The clock, seconds since 1970.
    """

    def __init__(
        self, streams: Streams, viewers: Viewers, decider: Decider, *, now: Callable[[], float]
    ) -> None:
        self._streams = streams
        self._viewers = viewers
        self._decider = decider
        self._now = now
        self._waiting: deque[tuple[Stream, str, Sample]] = deque()
        self._filled = asyncio.Event()

    async def take(self, batch: Mapping[str, Sequence[Measured]]) -> int:
        """Fold samples, given by stream; answers how many count."""
        count = 0
        for stream_id, measured in batch.items():
            if stream := await self._stream(stream_id):
                count += self._fold(stream, measured)
        return count

    async def run(self) -> None:
        """Look up who is not known here, for as long as the process lives."""
        while True:
            await self._filled.wait()
            turn = [self._waiting.popleft() for _ in range(min(len(self._waiting), LOOKUPS_AT_ONCE))]
            wanted = {(stream.stream_id, viewer_id): stream for stream, viewer_id, _ in turn}
            await asyncio.gather(
                *(self._viewers.enter(stream, viewer_id) for (_, viewer_id), stream in wanted.items())
            )
            now_s = self._now()
            for stream, viewer_id, sample in turn:
                if viewer := self._viewers.known(stream, viewer_id):
                    self._take(viewer, sample, now_s)
            if not self._waiting:
                self._filled.clear()

    async def _stream(self, stream_id: str) -> Stream | None:
        try:
            return self._streams.known(stream_id) or await self._streams.get(stream_id)
        except WeirError:
            return None

    def _fold(self, stream: Stream, measured: Sequence[Measured]) -> int:
        count, now_s, known = 0, self._now(), self._viewers.all_known(stream)
        for viewer_id, sample in measured:
            viewer = known.get(viewer_id)
            if viewer is None or viewer.stream is not stream:
                count += self._welcome(stream, viewer_id, sample, now_s)
            elif viewer.take(sample, now_s):
                count += 1
                if viewer.undecided >= DUE:
                    self._decider.decide_soon(viewer)
        return count

    def _take(self, viewer: Viewer, sample: Sample, now_s: float) -> bool:
        counts = viewer.take(sample, now_s)
        if viewer.undecided >= DUE:
            self._decider.decide_soon(viewer)
        return counts

    def _welcome(self, stream: Stream, viewer_id: str, sample: Sample, now_s: float) -> bool:
        if viewer := self._viewers.known(stream, viewer_id):
            return self._take(viewer, sample, now_s)
        if not VIEWER_ID.fullmatch(viewer_id):
            return False
        if self._viewers.may_remember and len(self._waiting) < WAITING_COUNT:
            self._waiting.append((stream, viewer_id, sample))
            self._filled.set()
            return True
        return self._take(self._viewers.begin(stream, viewer_id), sample, now_s)
