"""What the distributor does with ledgers: open, append, read. Authority is JetStream's compare-and-set.

Nothing here locks: any replica may do any of this at any time, and what came second is told so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chassis.errors import AlreadyExists, Conflict, FailedPrecondition, NotFound
from chassis.layout import new_incarnation as make_incarnation
from chassis.telemetry import STREAM, log
from distributor.domain.entries import Ended, LedgerId, StoredRecord
from distributor.domain.ledger import append, require_open, timeline_ended
from distributor.domain.snapshot import compact
from distributor.domain.stream import Description, Stream, StreamState, move, new_stream
from distributor.domain.tail import entries_before, tail_start
from distributor.folds import Fold, Folds
from distributor.ports import Draft, LedgerReader, LedgerWriter, Registered, Registry
from distributor.service_streams import Streams

_OPEN_ATTEMPTS = 20
# How far back the end of a ledger is looked for at first, in sequences of all ledgers, and then each time.
_TAIL_SEQUENCES = 250
_FARTHER = 4
SNAPSHOT_PIECE_BYTES = 1024 * 1024
SNAPSHOT_BYTES = 3 * 1024 * 1024  # a gRPC message holds 4 MiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What an opener may do from now on: append under `epoch`, first behind `sequence`."""

    stream: Stream
    epoch: int
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A stretch of a ledger, from where was asked to `sequence`; all of it if that is `newest_sequence`."""

    stream: Stream
    epoch: int
    sequence: int
    newest_sequence: int
    records: Sequence[StoredRecord]


class Timelines:
    """The use-cases of TimelineService but Watch."""

    def __init__(
        self,
        *,
        writer: LedgerWriter,
        reader: LedgerReader,
        registry: Registry,
        folds: Folds,
        streams: Streams,
        now: Callable[[], datetime],
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._registry = registry
        self._folds = folds
        self._streams = streams
        self._now = now

    async def open(self, description: Description, *, new_incarnation: bool, owner: str) -> Opening:
        """Take a stream over under the next epoch, or begin a life of it.

        Raises:
            Conflict: OPEN_CONFLICT; somebody else opened it at the same moment.
            FailedPrecondition: TIMELINE_ENDED, or STREAM_KIND.
        """
        stream = await self._present(description, new_incarnation=new_incarnation)
        known = await self._folds.refresh(stream)
        epoch = known.ledger.epoch + 1
        for _ in range(_OPEN_ATTEMPTS):
            require_open(known.ledger)
            if known.ledger.epoch >= epoch:
                break
            try:
                stored = await self._writer.append_opened(
                    stream.ledger_id, epoch=epoch, owner=owner, expected_sequence=known.sequence
                )
            except Conflict:  # the owner so far appended; its appends do not keep it in office
                known = await self._folds.refresh(stream)
                continue
            await self._require_current(stream)
            opened = Fold(sequence=stored.sequence, ledger=replace(known.ledger, epoch=epoch))
            self._folds.keep(stream.ledger_id, opened)
            log.info("stream opened", **{STREAM: stream.stream_id}, epoch=epoch, owner=owner)
            return Opening(stream=stream, epoch=epoch, sequence=stored.sequence)
        raise _open_conflict(stream.stream_id)

    async def append(self, ledger_id: LedgerId, draft: Draft, *, expected_sequence: int) -> int:
        """Append a record; answers its sequence, also if a call with the same request id has done so.

        Raises:
            Conflict: SEQUENCE_CONFLICT.
            FailedPrecondition: STALE_EPOCH or TIMELINE_ENDED.
            InvalidArgument: LEDGER_LAW.
            NotFound: The incarnation is not there.
        """
        known = await self._folds.caught_up(ledger_id, expected_sequence)
        if known is None or known.sequence < expected_sequence:
            known = await self._refreshed(ledger_id)
        if known.sequence != expected_sequence:
            return await self._repeated(ledger_id, draft, expected_sequence)
        ledger = append(known.ledger, epoch=draft.epoch, entries=draft.entries)
        try:
            stored = await self._writer.append(ledger_id, draft, expected_sequence=expected_sequence)
        except Conflict:
            await self._refreshed(ledger_id)
            return await self._repeated(ledger_id, draft, expected_sequence)
        if not stored.repeated:  # else what stands there may be other entries than these
            self._folds.keep(ledger_id, Fold(sequence=stored.sequence, ledger=ledger))
        return await self._finished(ledger_id, draft, stored.sequence)

    async def snapshot(self, stream_id: str, *, incarnation: str, after_sequence: int) -> Snapshot:
        """Read the ledger behind a sequence, as far as it fits into one answer.

        Raises:
            NotFound: No such stream, or not this incarnation of it.
        """
        stream = await self._streams.current(stream_id, incarnation=incarnation)
        known = await self._folds.refresh(stream)
        records: list[StoredRecord] = []
        batches = self._reader.read(stream.ledger_id, after_sequence=after_sequence, up_to=known.sequence)
        async for batch in batches:
            until_then = [record for record in batch if record.sequence <= known.sequence]
            records += compact(until_then, limit_bytes=SNAPSHOT_PIECE_BYTES)
            if sum(len(record.wire) for record in records) >= SNAPSHOT_BYTES - SNAPSHOT_PIECE_BYTES:
                break
        sequence = records[-1].sequence if records else known.sequence
        return Snapshot(
            stream=stream,
            epoch=known.ledger.epoch,
            sequence=sequence,
            newest_sequence=known.sequence,
            records=tuple(records),
        )

    async def tail(self, stream_id: str, *, incarnation: str, segment_count: int) -> Snapshot:
        """Read the end of a ledger, however long it is; see `domain.tail`.

        Raises:
            NotFound: No such stream, or not this incarnation of it.
        """
        stream = await self._streams.current(stream_id, incarnation=incarnation)
        known = await self._folds.refresh(stream)
        records = await self._newest(stream, known, segment_count)
        wire = self._writer.encode(
            entries_before(known.ledger, tuple(map(self._reader.decode, records))), epoch=known.ledger.epoch
        )
        before = StoredRecord(sequence=records[0].sequence - 1 if records else known.sequence, wire=wire)
        return Snapshot(
            stream=stream,
            epoch=known.ledger.epoch,
            sequence=known.sequence,
            newest_sequence=known.sequence,
            records=(before, *compact(records, limit_bytes=SNAPSHOT_PIECE_BYTES)),
        )

    async def _newest(self, stream: Stream, known: Fold, segment_count: int) -> Sequence[StoredRecord]:
        """Read records from the end of a ledger, farther and farther back until there are enough segments."""
        back = _TAIL_SEQUENCES
        while True:
            after = max(0, known.sequence - back)
            batches = self._reader.read(stream.ledger_id, after_sequence=after, up_to=known.sequence)
            read = [one async for batch in batches for one in batch if one.sequence <= known.sequence]
            start = tail_start(known.ledger, tuple(map(self._reader.decode, read)), segment_count)
            if start is not None or not after:
                return read[start or 0 :]
            back *= _FARTHER

    async def _present(self, description: Description, *, new_incarnation: bool) -> Stream:
        """The life of a stream to open: the present one, or a new one."""
        fresh = move(
            new_stream(description, incarnation=make_incarnation(), now=self._now()),
            StreamState.ACTIVE,
            now=self._now(),
        )
        try:
            found = await self._registry.get(description.stream_id)
        except NotFound:
            return await self._create(fresh, new_incarnation=new_incarnation)
        if new_incarnation:
            return await self._replace(found, fresh)
        return await self._activate(found)

    async def _create(self, fresh: Stream, *, new_incarnation: bool) -> Stream:
        try:
            await self._registry.create(fresh)
        except AlreadyExists as error:
            if new_incarnation:
                raise _open_conflict(fresh.stream_id) from error
            return (await self._registry.get(fresh.stream_id)).stream
        return fresh

    async def _replace(self, found: Registered, fresh: Stream) -> Stream:
        if found.stream.description.kind is not fresh.description.kind:
            raise FailedPrecondition(
                f"stream {fresh.stream_id!r} is {found.stream.description.kind}: delete it, or take another",
                reason="STREAM_KIND",
            )
        fresh = replace(fresh, live=found.stream.live, start_mark=found.stream.start_mark)
        try:
            await self._streams.replace_life(found, fresh)
        except Conflict as error:
            raise _open_conflict(fresh.stream_id) from error
        return fresh

    async def _activate(self, found: Registered) -> Stream:
        if found.stream.stop_asked:
            raise timeline_ended()
        if found.stream.state in {StreamState.ACTIVE, StreamState.ENDED}:
            return found.stream
        active = move(found.stream, StreamState.ACTIVE, now=self._now())
        try:
            await self._registry.update(active, revision=found.revision)
        except Conflict as error:
            raise _open_conflict(active.stream_id) from error
        return active

    async def _require_current(self, stream: Stream) -> None:
        """Remove what was just written if the stream was deleted or replaced while it was written."""
        try:
            await self._streams.current(stream.stream_id, incarnation=stream.incarnation)
        except NotFound as error:
            await self._streams.drop_ledger(stream.ledger_id)
            raise _open_conflict(stream.stream_id) from error

    async def _refreshed(self, ledger_id: LedgerId) -> Fold:
        stream = await self._streams.current(ledger_id.stream_id, incarnation=ledger_id.incarnation)
        return await self._folds.refresh(stream)

    async def _repeated(self, ledger_id: LedgerId, draft: Draft, expected_sequence: int) -> int:
        """Answer as the first call with this request id did, or tell why there was none."""
        if draft.request_id:
            sequence = await self._writer.find(
                ledger_id, after_sequence=expected_sequence, request_id=draft.request_id
            )
            if sequence is not None:
                return await self._finished(ledger_id, draft, sequence)
        known = self._folds.known(ledger_id) or await self._refreshed(ledger_id)
        require_open(known.ledger, epoch=draft.epoch)
        raise Conflict(
            f"expected_sequence is {expected_sequence}, but the newest is {known.sequence}: read again",
            reason="SEQUENCE_CONFLICT",
            newest_sequence=str(known.sequence),
        )

    async def _finished(self, ledger_id: LedgerId, draft: Draft, sequence: int) -> int:
        """Let the registry know of an end before the appender does: it repeats the call if this fails."""
        if any(isinstance(entry, Ended) and not entry.rendition_id for entry in draft.entries):
            await self._streams.note_end(ledger_id)
        return sequence


def _open_conflict(stream_id: str) -> Conflict:
    return Conflict(
        f"somebody else opened or deleted stream {stream_id!r} at the same moment: try again",
        reason="OPEN_CONFLICT",
    )
