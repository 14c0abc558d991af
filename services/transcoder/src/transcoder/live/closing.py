"""Make whole what a run has left on the ledger: open segments are closed, what renditions lack are gaps.

So nothing that was announced is withdrawn, be it that a run goes on elsewhere or that the stream ends.
"""

from __future__ import annotations

from dataclasses import replace

from chassis.errors import NotFound
from chassis.telemetry import MSN, RENDITION, STREAM, log
from transcoder.domain.announce import StreamEnd
from transcoder.domain.boxes import BoxError
from transcoder.domain.iframes import own_iframes
from transcoder.domain.live_timeline import PlacedSegment, Remains, StoredObject, close_runs
from transcoder.domain.packager import IFrameRange
from transcoder.live.ownership import Ownership
from transcoder.live.storing import Shelf
from transcoder.ports import MediaStore

_ENTRIES_PER_RECORD = 500


class Closing:
    """Closes runs that are over."""

    def __init__(self, media: MediaStore, *, hold_s: float) -> None:
        self._media = media
        self._hold_s = hold_s

    async def close(self, ownership: Ownership) -> None:
        """Append what makes all runs so far whole; nothing if they are.

        Raises:
            FailedPrecondition, Unavailable: As `Ownership.append`.
        """
        shelf = Shelf(self._media, ownership, hold_s=self._hold_s)
        closings = close_runs(ownership.timeline)
        segments = [await self._segment(shelf, ownership, closing) for closing in closings]
        for first in range(0, len(segments), _ENTRIES_PER_RECORD):
            await ownership.append(segments[first : first + _ENTRIES_PER_RECORD])

    async def end(self, ownership: Ownership) -> None:
        """End a stream, once the run under way has come to its end; raises as `close`."""
        async with ownership.turn:
            await self.close(ownership)
            await ownership.append([StreamEnd()])

    async def _segment(
        self, shelf: Shelf, ownership: Ownership, closing: Remains | PlacedSegment
    ) -> PlacedSegment:
        """Store a segment made of its parts; a gap if they cannot be read any more."""
        if isinstance(closing, PlacedSegment):
            return closing
        segment = closing.segment
        try:
            data = b"".join([await self._media.get(part.media.key) for part in closing.parts if part.media])
        except NotFound:
            data = b""
        names = {STREAM: ownership.stream_id, RENDITION: segment.rendition_id, MSN: segment.msn}
        log.info("segment of a run that is over closed", **names, is_gap=not data)
        if not data:
            return segment
        media = shelf.segment_object(segment.rendition_id, segment.msn, data)
        await shelf.put(media.key, data)
        init = closing.parts[0].init
        iframes = await self._iframes(init, data, segment.duration_s) if init else ()
        return replace(segment, media=media, init=init, iframes=iframes)

    async def _iframes(self, init: StoredObject, data: bytes, duration_s: float) -> tuple[IFrameRange, ...]:
        """Find the I-frames; none where the bytes tell of none."""
        try:
            return own_iframes(await self._media.get(init.key), data, duration_s)
        except (NotFound, BoxError):
            return ()
