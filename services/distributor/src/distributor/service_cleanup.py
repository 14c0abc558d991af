"""How what has left all playlists leaves storage, and then the ledger.

Each round goes through each live stream: objects go first, then the head of the ledger is written, then the
records that it replaces are purged. Whoever dies in between leaves work that the next round does again.
Any number of replicas may do this at once: objects are removed twice without harm, and of two heads one is
stored. What a round has read it keeps for the next one; a replica that starts reads the ledger once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chassis.errors import AlreadyExists, Conflict, NotFound
from chassis.layout import stream_prefix
from chassis.telemetry import STREAM, log
from distributor.domain.entries import LedgerId, Part, Record, Segment
from distributor.domain.ledger import Ledger, fold
from distributor.domain.retention import (
    Head,
    Retention,
    head_entries,
    parts_of,
    retention_of,
    segments_of,
)
from distributor.domain.stream import Cut, Stream, StreamKind, StreamState
from distributor.folds import Fold, empty_fold
from distributor.ports import Heads, HeldHead, LedgerReader, LedgerWriter, Registry
from distributor.service_remains import Remains

# A round needs some seconds of the ledger, at each of its places; more would be read in vain.
_RECORDS_AT_ONCE = 100
Allows = Callable[[Record, Ledger], bool]


@dataclass(slots=True, kw_only=True)
class _Places:
    """How far the cleaning of one ledger has come, in this process."""

    held: HeldHead
    past: Fold
    """The ledger when a segment that may go now left its playlist."""
    there: Fold
    """Up to here, segments may go."""
    parts_past: Fold
    parts_there: Fold
    is_done: bool = False


@dataclass(slots=True, kw_only=True)
class _Gone:
    """What a round finds may go."""

    keys: list[str] = field(default_factory=list)
    part_records: list[int] = field(default_factory=list)
    """Sequences of records that held nothing but parts."""


class Cleanup:
    """Removes what nobody can ask for any more.

    Args:
        remains: Who removes objects.
        now: The clock; by it and the times of appends it is told how long ago media left.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        writer: LedgerWriter,
        reader: LedgerReader,
        heads: Heads,
        remains: Remains,
        now: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._writer = writer
        self._reader = reader
        self._heads = heads
        self._remains = remains
        self._now = now
        self._places: dict[LedgerId, _Places] = {}

    async def round(self) -> None:
        """Go through all live streams once; a stream that fails waits for the next round."""
        streams = await self._registry.list()
        cleaned = [stream for stream in streams if _is_cleaned(stream)]
        present = {stream.ledger_id for stream in cleaned}
        for gone in self._places.keys() - present:
            del self._places[gone]
        for stream in cleaned:
            cuts = [other.cut for other in streams if other.cut and other.cut.origin == stream.ledger_id]
            try:
                await self._clean(stream, cuts)
            except NotFound:  # deleted meanwhile
                self._places.pop(stream.ledger_id, None)
            except Exception as error:  # noqa: BLE001 - a worker loop: one stream must not hold up the others
                self._places.pop(stream.ledger_id, None)
                log.warning("stream not cleaned", **{STREAM: stream.stream_id}, error=repr(error))

    async def _clean(self, stream: Stream, cuts: Sequence[Cut]) -> None:
        known = self._places.get(stream.ledger_id)
        if known and known.is_done:
            return
        newest = await self._reader.last_sequence(stream.ledger_id)
        if newest == 0:
            return
        places = self._places[stream.ledger_id] = known or await self._begin(stream, newest)
        gone = _Gone()
        await self._pass_parts(stream, places, newest, gone)
        if not stream.description.keeps_everything:
            await self._pass_segments(stream, places, newest, gone, cuts)
        await self._remains.remove_objects(gone.keys)
        await self._write_head(stream, places, gone)
        settled = places.past if not stream.description.keeps_everything else places.parts_past
        places.is_done = stream.is_over and settled.sequence >= newest

    async def _begin(self, stream: Stream, newest: int) -> _Places:
        """Go on where the head says, and remove what nobody had the time to, or never announced."""
        held = await self._heads.get(stream.ledger_id)
        if held.head.sequence:
            await self._writer.purge(stream.ledger_id, up_to=held.head.sequence)
            await self._remains.remove(stream.ledger_id)
        if not held.revision:
            first = await self._first_sequence(stream, newest)
            held = replace(held, head=replace(held.head, first_sequence=first))
        empty = empty_fold(stream)
        return _Places(held=held, past=empty, there=empty, parts_past=empty, parts_there=empty)

    async def _first_sequence(self, stream: Stream, newest: int) -> int:
        """Where a ledger begins that is whole yet."""
        async for batch in self._reader.read(stream.ledger_id, after_sequence=0, up_to=newest, count=1):
            return batch[0].sequence
        return newest

    async def _pass_parts(self, stream: Stream, places: _Places, newest: int, gone: _Gone) -> None:
        """Find parts that may go, and the records that consist of them."""
        if not stream.description.part_target_s:
            return
        retention = retention_of(stream.description)
        horizon = self._now() - timedelta(seconds=retention.parts_stay_s)
        places.parts_past, _ = await self._pass(stream, places.parts_past, newest, _until(horizon))
        past = places.parts_past

        def allows(record: Record, ledger: Ledger) -> bool:
            return record.sequence <= past.sequence and all(
                retention.has_left_parts(past.ledger, ledger.timelines[part.rendition_id], part)
                for part in parts_of(record)
            )

        places.parts_there, passed = await self._pass(stream, places.parts_there, newest, allows)
        for record in passed:
            parts = parts_of(record)
            gone.keys += _own_keys(stream, parts)
            if len(parts) == len(record.entries) > 0 and record.sequence < newest:
                gone.part_records.append(record.sequence)

    async def _pass_segments(
        self, stream: Stream, places: _Places, newest: int, gone: _Gone, cuts: Sequence[Cut]
    ) -> None:
        """Find segments that may go, but for those that a clip shows."""
        retention = retention_of(stream.description)
        horizon = self._now() - timedelta(seconds=retention.stay_s)
        places.past, _ = await self._pass(stream, places.past, newest, _until(horizon))
        limit = min(places.past.sequence, newest - 1)  # the newest record stays: its sequence is the ledger's
        if stream.description.part_target_s:
            limit = min(limit, places.parts_there.sequence)

        def allows(record: Record, ledger: Ledger) -> bool:
            return record.sequence <= limit and self._have_left(retention, places.past.ledger, record, ledger)

        places.there, passed = await self._pass(stream, places.there, newest, allows)
        for record in passed:
            shown_no_more = [
                segment
                for segment in segments_of(record)
                if not any(cut.names(segment.rendition_id, segment.msn) for cut in cuts)
            ]
            gone.keys += _own_keys(stream, shown_no_more)

    @staticmethod
    def _have_left(retention: Retention, past: Ledger, record: Record, ledger: Ledger) -> bool:
        named = {segment.rendition_id for segment in segments_of(record)}
        return all(retention.has_left(past, ledger.timelines[rendition_id]) for rendition_id in named)

    async def _pass(
        self, stream: Stream, place: Fold, newest: int, allows: Allows
    ) -> tuple[Fold, Sequence[Record]]:
        """Go on from a place as far as is allowed; `allows` is given a record and the ledger with it."""
        passed: list[Record] = []
        batches = self._reader.read(
            stream.ledger_id, after_sequence=place.sequence, up_to=newest, count=_RECORDS_AT_ONCE
        )
        async for batch in batches:
            for record in map(self._reader.decode, batch):
                ledger = fold(place.ledger, (record,))
                if not allows(record, ledger):
                    return place, passed
                place = Fold(sequence=record.sequence, ledger=ledger)
                passed.append(record)
        return place, passed

    async def _write_head(self, stream: Stream, places: _Places, gone: _Gone) -> None:
        """Store how far the ledger is gone, and purge it so far."""
        known = places.held.head
        sequence = max(places.there.sequence, known.sequence)
        head = Head(
            first_sequence=known.first_sequence,
            sequence=sequence,
            wire=self._head_wire(places.there) if sequence > known.sequence else known.wire,
            parts_sequence=max(places.parts_there.sequence, known.parts_sequence, sequence),
        )
        if head == known:
            return
        try:
            revision = await self._heads.put(stream.ledger_id, head, revision=places.held.revision)
        except (AlreadyExists, Conflict):  # another replica was faster: go on from what it has stored
            self._places.pop(stream.ledger_id, None)
            return
        places.held = HeldHead(head=head, revision=revision)
        if head.sequence > known.sequence:
            await self._writer.purge(stream.ledger_id, up_to=head.sequence)
        for part_record in gone.part_records:
            if part_record > head.sequence:
                await self._writer.remove(part_record)

    def _head_wire(self, there: Fold) -> bytes:
        return self._writer.encode(head_entries(there.ledger), epoch=there.ledger.epoch)


def _is_cleaned(stream: Stream) -> bool:
    """Whether media of a stream may leave it while it is there."""
    description = stream.description
    has_begun = stream.state is not StreamState.CREATED
    leaves = not description.keeps_everything or description.part_target_s > 0
    return description.kind is not StreamKind.VOD and has_begun and leaves


def _until(horizon: datetime) -> Allows:
    """Allow what the ledger took before an instant; a head, which has no time, is older than everything."""
    return lambda record, _ledger: record.append_time is None or record.append_time <= horizon


def _own_keys(stream: Stream, media: Iterable[Segment | Part]) -> Sequence[str]:
    """The objects that hold media, as far as they are this stream's."""
    prefix = stream_prefix(stream.stream_id, stream.incarnation)
    return [one.object_key for one in media if one.object_key.startswith(prefix)]
