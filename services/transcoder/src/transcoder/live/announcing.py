"""Announce what an encoder makes: each piece is stored, then appended with all others that are ready.

While one append is on its way, the next pieces gather; so there are never more appends than the ledger takes,
and never a wait without need. While the ledger or the storage is away pieces gather as well, up to a bound,
behind which the encoder is held up.

Objects of parts stay when their segment is there: the distributor removes them once no playlist names them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from chassis.errors import FailedPrecondition, WeirError
from chassis.telemetry import STREAM, log
from transcoder.domain.live_cutter import LiveMedia, LiveOutput, LivePart, LiveRenditionEnd
from transcoder.domain.live_timeline import (
    LiveEntry,
    PlacedPart,
    PlacedSegment,
    RenditionEnd,
    Run,
    StoredObject,
    gap_beside,
    grow,
)
from transcoder.domain.packager import RenditionInfo
from transcoder.domain.thumbnails import THUMBNAILS_RENDITION_ID
from transcoder.live.ownership import Ownership
from transcoder.live.storing import Shelf
from transcoder.live.together import together
from transcoder.ports import MediaStore

# New renditions are announced together: a player reads the multivariant playlist only once. One that has made
# nothing after so long is not waited for.
TOGETHER_S = 3.0
HOLD_PIECES_COUNT = 4_000
HOLD_BYTES = 128 * 1024 * 1024
_PIECES_PER_RECORD = 300
# How long an append that is under way may still tell what became of it, when its run is given up.
_SETTLE_S = 2.0


@dataclass(slots=True, kw_only=True, eq=False)
class _Pending:
    """A piece on its way to the ledger, or the end of a rendition, which has no object."""

    entry: PlacedPart | PlacedSegment | RenditionEnd
    media: StoredObject | None
    putting: asyncio.Future[None]


class Announcer:
    """Announces one run of one stream.

    Args:
        media: Where objects of pieces that were never announced are removed from.
        ownership: The stream; the caller holds its turn.
        run: Where the run lies.
        shelf: Names and stores objects.
        expected: The renditions that the encoder is to make, the one that others are measured by first. All
            but thumbnails, which nothing waits for, are announced together.
        on_announced: Called after each append with how much of the run is announced, seconds.
    """

    def __init__(  # noqa: PLR0917 - each is a different thing
        self,
        media: MediaStore,
        ownership: Ownership,
        run: Run,
        shelf: Shelf,
        expected: Sequence[str],
        on_announced: Callable[[float], None],
    ) -> None:
        self._media = media
        self._ownership = ownership
        self._run = run
        self._shelf = shelf
        self._expected = expected
        self._awaited = [key for key in expected if key != THUMBNAILS_RENDITION_ID]
        self._on_announced = on_announced
        tracks = ownership.timeline.tracks
        self._known = set(tracks)
        self._absent = {
            track.rendition_id: track
            for track in ownership.timeline.growing
            if track.rendition_id not in expected
        }
        self._seen: dict[str, RenditionInfo] = {}
        self._inits: dict[str, tuple[bytes, StoredObject]] = {}
        self._pending: list[_Pending] = []
        self._pending_bytes = 0
        self._has_all = False
        self._may_begin = False
        self._changed, self._shrunk = asyncio.Event(), asyncio.Event()

    async def announce(self, pieces: AsyncGenerator[LiveOutput]) -> None:
        """Announce pieces until they end; objects of what was not announced are removed if this fails.

        Raises:
            FailedPrecondition, Unavailable: As `Ownership.append`; and what `pieces` raises.
        """
        try:
            await together(self._gather(pieces), self._append_all())
        finally:
            await self._forget(self._pending)

    async def _gather(self, pieces: AsyncGenerator[LiveOutput]) -> None:
        async with aclosing(pieces):
            async for piece in pieces:
                while len(self._pending) >= HOLD_PIECES_COUNT or self._pending_bytes >= HOLD_BYTES:
                    self._shrunk.clear()
                    await self._shrunk.wait()
                if isinstance(piece, LiveRenditionEnd):
                    self._add_end(piece.rendition.rendition_id)
                else:
                    self._add(piece)
        self._has_all = self._may_begin = True
        self._changed.set()

    def _add(self, piece: LiveMedia) -> None:
        if not self._seen:
            asyncio.get_running_loop().call_later(TOGETHER_S, self._begin)
        rendition_id = piece.rendition.rendition_id
        self._seen.setdefault(rendition_id, piece.rendition)
        init, init_data = self._init(piece.rendition)
        media = self._media_object(piece)
        entry: PlacedPart | PlacedSegment
        if isinstance(piece, LivePart):
            entry = self._run.place_part(piece, media, init)
        else:
            entry = self._run.place_segment(piece, media, init)
        putting = asyncio.create_task(self._put(media, piece.data, init, init_data))
        putting.add_done_callback(lambda _: self._changed.set())
        self._pending.append(_Pending(entry=entry, media=media, putting=putting))
        if self._known.union(self._seen).issuperset(self._awaited):
            self._may_begin = True

    def _add_end(self, rendition_id: str) -> None:
        """Announce behind all that came of a rendition that it has ended."""
        nothing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        nothing.set_result(None)
        end = RenditionEnd(rendition_id=rendition_id)
        self._pending.append(_Pending(entry=end, media=None, putting=nothing))
        self._changed.set()

    def _begin(self) -> None:
        self._may_begin = True
        self._changed.set()

    def _init(self, rendition: RenditionInfo) -> tuple[StoredObject | None, bytes]:
        """Name a rendition's init segment; its bytes if they are still to be stored."""
        if rendition.init is None:
            return None, b""
        known, stored = self._inits.get(rendition.rendition_id, (None, None))
        if stored and known == rendition.init:
            return stored, b""
        stored = self._shelf.init_object(rendition.rendition_id, rendition.init)
        self._inits[rendition.rendition_id] = (rendition.init, stored)
        return stored, rendition.init

    def _media_object(self, piece: LiveMedia) -> StoredObject:
        rendition_id, msn = piece.rendition.rendition_id, self._run.msn(piece)
        if isinstance(piece, LivePart):
            return self._shelf.part_object(rendition_id, msn, piece)
        return self._shelf.segment_object(rendition_id, msn, piece.data)

    async def _put(
        self, media: StoredObject, data: bytes, init: StoredObject | None, init_data: bytes
    ) -> None:
        """Store a piece, behind the init segment that it is the first to need."""
        self._pending_bytes += len(data)
        try:
            if init and init_data:
                await self._shelf.put(init.key, init_data)
            await self._shelf.put(media.key, data)
        finally:
            self._pending_bytes -= len(data)
            self._shrunk.set()

    async def _append_all(self) -> None:
        while self._pending or not self._has_all:
            ready = self._ready() if self._may_begin else []
            if ready:
                await self._append(ready)
            else:
                await self._changed.wait()
            self._changed.clear()

    def _ready(self) -> list[_Pending]:
        """Choose what can be announced: of each rendition what is stored without a hole, in its order."""
        ready: list[_Pending] = []
        blocked: set[str] = set()
        for pending in self._pending[:HOLD_PIECES_COUNT]:
            if len(ready) == _PIECES_PER_RECORD:
                break
            rendition_id = pending.entry.rendition_id
            if rendition_id not in blocked and pending.putting.done():
                pending.putting.result()
                ready.append(pending)
            else:
                blocked.add(rendition_id)
        return ready

    async def _append(self, ready: Sequence[_Pending]) -> None:
        self._pending = [pending for pending in self._pending if pending not in ready]
        self._shrunk.set()
        appending = asyncio.create_task(self._ownership.append(self._entries(ready)))
        try:
            await asyncio.shield(appending)
        except asyncio.CancelledError:
            await asyncio.wait((appending,), timeout=_SETTLE_S)
            await self._give_up(appending, ready)
            raise
        except FailedPrecondition:
            self._pending += ready
            raise
        ends_s = [one.entry.end_s for one in ready if not isinstance(one.entry, RenditionEnd)]
        if ends_s:
            self._on_announced(max(ends_s) - self._run.start_s)

    async def _give_up(self, appending: asyncio.Task[None], ready: Sequence[_Pending]) -> None:
        """Keep the objects of an append of which nobody knows what became."""
        if not appending.done():
            appending.cancel()
            await asyncio.wait((appending,))
        elif not appending.cancelled() and isinstance(appending.exception(), FailedPrecondition):
            self._pending += ready

    def _entries(self, ready: Sequence[_Pending]) -> list[LiveEntry]:
        entries: list[LiveEntry] = [info for key, info in self._seen.items() if key not in self._known]
        self._known.update(self._seen)
        for pending in ready:
            entries.append(pending.entry)
            if isinstance(pending.entry, PlacedSegment) and pending.entry.rendition_id == self._expected[0]:
                entries += self._gaps(pending.entry)
        return entries

    def _gaps(self, segment: PlacedSegment) -> Iterator[PlacedSegment]:
        """Fill the renditions that earlier runs had and this one has not."""
        for rendition_id, track in self._absent.items():
            gap = gap_beside(track, segment)
            self._absent[rendition_id] = grow(track, gap)
            yield gap

    async def _forget(self, unannounced: Sequence[_Pending]) -> None:
        """Remove the objects of what nobody will ever hear of."""
        if not unannounced:
            return
        for pending in unannounced:
            pending.putting.cancel()
        await asyncio.wait([pending.putting for pending in unannounced])
        try:
            await self._media.delete([pending.media.key for pending in unannounced if pending.media])
        except WeirError as error:
            log.warning(
                "objects could not be removed", error=error.message, **{STREAM: self._ownership.stream_id}
            )
