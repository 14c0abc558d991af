"""How a clip is made: a VOD stream whose ledger names the objects of another stream. No byte is copied.

The clip stands in the registry, with the segments that it needs, before its ledger is written: from then on
no cleanup takes them. Everything that follows is the same whoever does it, so that a repeated request goes on
where a dead replica stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chassis.errors import AlreadyExists, NotFound, OutOfRange
from chassis.layout import new_id, new_incarnation
from chassis.telemetry import STREAM, log
from distributor.domain.clip import Msns, Story, batches, choose_msns, clip_entries, cut_of, msns_within
from distributor.domain.entries import Entry, Opened, StoredRecord
from distributor.domain.ledger import append, fold
from distributor.domain.retention import first_msns
from distributor.domain.stream import Cut, Description, Stream, StreamKind, StreamState, move, new_stream
from distributor.folds import empty_fold
from distributor.ports import Draft, Heads, LedgerReader, LedgerWriter, Registry
from distributor.service_streams import Streams

_OWNER = "clip"
_RECORD_ENTRIES = 500  # of some 600 bytes with its I-frames: well below what a message may hold


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipWish:
    """What is asked of a clip; an empty id: one is to be made."""

    stream_id: str
    start: datetime
    end: datetime
    clip_id: str = ""
    title: str = ""
    request_id: str = ""


class Clips:
    """The use-case CreateClip."""

    def __init__(
        self,
        *,
        registry: Registry,
        streams: Streams,
        writer: LedgerWriter,
        reader: LedgerReader,
        heads: Heads,
        now: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._streams = streams
        self._writer = writer
        self._reader = reader
        self._heads = heads
        self._now = now

    async def create(self, wish: ClipWish) -> Stream:
        """Make a clip.

        Raises:
            NotFound: NO_STREAM.
            AlreadyExists: STREAM_EXISTS; the clip's id is taken.
            OutOfRange: OUTSIDE_WINDOW.
            FailedPrecondition: NO_PROGRAM_TIME.
        """
        source = await self._streams.current(wish.stream_id)
        story = await self._read(source)
        clip = await self._made_before(wish) or await self._register(wish, source, story)
        if clip.cut and not clip.is_over:
            await self._require_untouched(clip, clip.cut)
            await self._write(clip, clip_entries(story, msns_within(source, clip.cut)))
            await self._streams.note_end(clip.ledger_id)
            log.info("clip made", **{STREAM: clip.stream_id}, source=source.stream_id)
        return await self._streams.get(clip.stream_id)

    async def _made_before(self, wish: ClipWish) -> Stream | None:
        """The clip that an earlier call with this request id has registered."""
        if not wish.request_id:
            return None
        try:
            found = (await self._registry.get(_id_of(wish))).stream
        except NotFound:
            return None
        return found if found.cut and found.cut.request_id == wish.request_id else None

    async def _read(self, source: Stream) -> Story:
        story = Story()
        newest = await self._reader.last_sequence(source.ledger_id)
        async for batch in self._reader.read(source.ledger_id, after_sequence=0, up_to=newest):
            story.tell(map(self._reader.decode, batch))
        return story

    async def _register(self, wish: ClipWish, source: Stream, story: Story) -> Stream:
        msns = choose_msns(story, source.description, start=wish.start, end=wish.end)
        clip = self._plan(wish, source, msns)
        try:
            await self._registry.create(clip)
        except AlreadyExists as error:
            if found := await self._made_before(wish):  # at this very moment
                return found
            raise AlreadyExists(
                f"clip_id is {clip.stream_id!r}, which is taken: choose another",
                reason="STREAM_EXISTS",
                field="clip_id",
            ) from error
        return clip

    def _plan(self, wish: ClipWish, source: Stream, msns: Msns) -> Stream:
        description = Description(
            stream_id=_id_of(wish),
            kind=StreamKind.VOD,
            container=source.description.container,
            target_duration_s=source.description.target_duration_s,
            title=wish.title,
        )
        cut = replace(cut_of(source, msns), request_id=wish.request_id)
        clip = new_stream(description, incarnation=new_incarnation(), now=self._now())
        return replace(move(clip, StreamState.ACTIVE, now=self._now()), cut=cut)

    async def _require_untouched(self, clip: Stream, cut: Cut) -> None:
        """Require that no segment had been removed before the clip laid hold on it."""
        head = (await self._heads.get(cut.origin)).head
        record = self._reader.decode(StoredRecord(sequence=head.sequence, wire=head.wire))
        first = first_msns(fold(empty_fold(clip).ledger, (record,)))
        if any(first.get(rendition_id, 0) > low for rendition_id, (low, _) in cut.msns.items()):
            await self._streams.delete(clip.stream_id)
            raise OutOfRange(
                "the stretch has just left the DVR window: ask for a later one", reason="OUTSIDE_WINDOW"
            )

    async def _write(self, clip: Stream, entries: Sequence[Entry]) -> None:
        """Store the ledger record by record; one that stands there already is not stored twice."""
        ledger = replace(empty_fold(clip).ledger, epoch=1)
        sequence = await self._append(clip, [Opened(owner=_OWNER)], 0, 0)
        for number, batch in enumerate(batches(entries, _RECORD_ENTRIES), start=1):
            ledger = append(ledger, epoch=1, entries=batch)
            sequence = await self._append(clip, batch, number, sequence)

    async def _append(self, clip: Stream, entries: Sequence[Entry], number: int, sequence: int) -> int:
        draft = Draft(
            epoch=1, entries=entries, wire=self._writer.encode(entries), request_id=f"{_OWNER}-{number}"
        )
        stored = await self._writer.append(clip.ledger_id, draft, expected_sequence=sequence)
        return stored.sequence


def _id_of(wish: ClipWish) -> str:
    """The clip's id; one that is made is made again by a repeated request."""
    if wish.clip_id or not wish.request_id:
        return wish.clip_id or new_id()
    return hashlib.sha256(f"clip {wish.request_id}".encode()).hexdigest()[:12]
