"""Samples of many viewers at a time, as gateways send them.

Who is not known here, or was not measured here for a while, may be known to another process: such samples
wait, in bounded number, until that has been looked up; nobody else waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import islice

from abr.domain.folding import take
from abr.domain.sample import Batch, Row
from abr.domain.stream import Stream
from abr.domain.viewer import DUE, VIEWER_ID, Viewer
from abr.ports import Streams
from abr.service_decide import Decider
from abr.service_viewers import Viewers
from chassis.errors import WeirError
from chassis.layout import require_id

WAITING_COUNT = 10_000
LOOKUPS_AT_ONCE = 64

TURN_COUNT = 250
"""Samples that are folded before others get a turn: about a millisecond."""


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
        self._waiting: deque[tuple[Stream, str, Row]] = deque()
        self._filled = asyncio.Event()

    async def take(self, batch: Batch) -> int:
        """Fold samples; answers how many count."""
        streams = {stream_id: await self._stream(stream_id) for stream_id in set(batch.stream_ids)}
        await asyncio.sleep(0)  # to read them took as long as a turn does
        viewers = self._viewers.newest(batch.sessions, streams)
        rows, count = iter(batch.rows), 0
        for _ in range(0, batch.count, TURN_COUNT):
            now_s = self._now()
            for place, row in islice(rows, TURN_COUNT):
                if viewer := viewers[place]:
                    count += take(viewer, row, now_s)
                    if viewer.undecided >= DUE:
                        self._note_segment(viewer)
                else:
                    stream = streams[batch.stream_ids[place]]
                    count += self._welcome(stream, batch.viewer_ids[place], row, now_s)
            await asyncio.sleep(0)
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
            for stream, viewer_id, row in turn:
                if viewer := self._viewers.known(stream, viewer_id):
                    self._take(viewer, row, now_s)
            if not self._waiting:
                self._filled.clear()

    async def _stream(self, stream_id: str) -> Stream | None:
        try:
            return self._streams.known(stream_id) or await self._streams.get(
                require_id(stream_id, field="stream_id")
            )
        except WeirError:
            return None

    def _take(self, viewer: Viewer, row: Row, now_s: float) -> bool:
        counts = take(viewer, row, now_s)
        if viewer.undecided >= DUE:
            self._note_segment(viewer)
        return counts

    def _note_segment(self, viewer: Viewer) -> None:
        self._decider.decide_soon(viewer)
        self._viewers.note_change(viewer)

    def _welcome(self, stream: Stream | None, viewer_id: str, row: Row, now_s: float) -> bool:
        if stream is None or not VIEWER_ID.fullmatch(viewer_id):
            return False
        viewer = self._viewers.known(stream, viewer_id)
        if viewer and self._viewers.is_newest(viewer):
            return self._take(viewer, row, now_s)
        if self._viewers.may_remember and len(self._waiting) < WAITING_COUNT:
            self._waiting.append((stream, viewer_id, row))
            self._filled.set()
            return True
        return self._take(viewer or self._viewers.begin(stream, viewer_id), row, now_s)
