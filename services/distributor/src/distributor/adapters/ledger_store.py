"""The ledger in JetStream: one stream, one subject per incarnation, one message per record."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from nats.aio.client import Client
from nats.js import api
from weir.timeline.v1 import timeline_pb2 as pb

from chassis import layout
from chassis.messaging import ensure_stream, jetstream
from distributor.adapters.head_store import HeadStore, LedgerJournal
from distributor.adapters.journal import BATCH_COUNT, Ack, Journal, Message
from distributor.codec import read_record, write_entry
from distributor.domain.entries import Ended, Entry, LedgerId, Opened, Record, StoredRecord
from distributor.ports import Draft, Stored

ALL_LEDGERS = layout.timeline_subject("*", "*")
EVERYTHING = "weir.timeline.>"
# JetStream's own memory of message ids; `Journal.find` reaches beyond it.
DUPLICATE_WINDOW_S = 120.0


async def open_ledger_journal(
    client: Client, heads: HeadStore, *, replicas: int, max_bytes: int
) -> LedgerJournal:
    """Open the stream of all ledgers, made if it is not there yet.

    Args:
        client: The connection to NATS.
        heads: What stands in the place of beginnings that are gone.
        replicas: Copies that JetStream keeps.
        max_bytes: Bound of all ledgers together, above which appends are refused; -1: the server's own.
    """
    config = api.StreamConfig(
        name=layout.TIMELINE_STREAM,
        subjects=[ALL_LEDGERS],
        storage=api.StorageType.FILE,
        num_replicas=replicas,
        max_bytes=max_bytes,
        discard=api.DiscardPolicy.NEW,  # a full store refuses; it never forgets what was announced
        duplicate_window=DUPLICATE_WINDOW_S,
        allow_direct=True,
        republish=api.RePublish(src=EVERYTHING, dest=layout.news_subject(EVERYTHING)),
    )
    await ensure_stream(jetstream(client), config)
    return LedgerJournal(client, layout.TIMELINE_STREAM, heads)


def subject_of(ledger_id: LedgerId) -> str:
    """The subject under which a ledger is stored."""
    return layout.timeline_subject(ledger_id.stream_id, ledger_id.incarnation)


def stored_record(message: Message) -> StoredRecord:
    """Take a message of the ledger for what it is."""
    return StoredRecord(sequence=message.sequence, wire=message.data)


class LedgerStore:
    """Reads and writes ledgers; implements the ports LedgerWriter and LedgerReader."""

    def __init__(self, journal: Journal, now: Callable[[], datetime]) -> None:
        self._journal = journal
        self._now = now

    async def append(self, ledger_id: LedgerId, draft: Draft, *, expected_sequence: int) -> Stored:
        """Store a record; Conflict if `expected_sequence` is not the newest."""
        ack = await self._journal.append(
            subject_of(ledger_id),
            self._head(draft.epoch) + draft.wire,
            expected_sequence=expected_sequence,
            message_id=_message_id(ledger_id, draft.request_id),
        )
        return _stored(ack)

    async def append_opened(
        self, ledger_id: LedgerId, *, epoch: int, owner: str, expected_sequence: int
    ) -> Stored:
        """Store the record by which a new owner begins; fails as `append` does."""
        opened = pb.Record(entries=[pb.Entry(opened=pb.Opened(owner=owner))])
        return await self._append(ledger_id, opened, epoch=epoch, expected_sequence=expected_sequence)

    async def append_last(
        self, ledger_id: LedgerId, entries: Sequence[Entry], *, epoch: int, owner: str, expected_sequence: int
    ) -> Stored:
        """Store the record by which a new owner begins, appends, and ends everything; fails as `append`."""
        last = pb.Record(entries=map(write_entry, (Opened(owner=owner), *entries, Ended())))
        return await self._append(ledger_id, last, epoch=epoch, expected_sequence=expected_sequence)

    async def find(self, ledger_id: LedgerId, *, after_sequence: int, request_id: str) -> int | None:
        """Look whether the record right behind `after_sequence` bears this request id; its sequence if so."""
        return await self._journal.find(
            subject_of(ledger_id),
            after_sequence=after_sequence,
            message_id=_message_id(ledger_id, request_id),
        )

    async def purge(self, ledger_id: LedgerId, *, up_to: int | None = None) -> None:
        """Remove a whole ledger, or its beginning up to a sequence."""
        await self._journal.purge(subject_of(ledger_id), up_to=up_to)

    async def remove(self, sequence: int) -> None:
        """Remove one record; one that is not there is no error."""
        await self._journal.remove(sequence)

    def encode(self, entries: Sequence[Entry], *, epoch: int = 0) -> bytes:
        """Write entries as they are stored; `append` adds epoch and time of its own."""
        return pb.Record(epoch=epoch, entries=map(write_entry, entries)).SerializeToString()

    async def last_sequence(self, ledger_id: LedgerId) -> int:
        """Read the newest sequence; 0 of a ledger that is empty or gone."""
        return await self._journal.last_sequence(subject_of(ledger_id))

    async def read(
        self, ledger_id: LedgerId, *, after_sequence: int, up_to: int, count: int = BATCH_COUNT
    ) -> AsyncIterator[Sequence[StoredRecord]]:
        """Read in batches, at least to `up_to`; NotFound if the ledger was purged before that."""
        batches = self._journal.read(
            subject_of(ledger_id), after_sequence=after_sequence, up_to=up_to, count=count
        )
        async for batch in batches:
            yield tuple(stored_record(message) for message in batch)

    def decode(self, record: StoredRecord) -> Record:
        """Read a record as the laws do."""
        return read_record(record)

    async def holds(self, ledger_id: LedgerId, sequence: int) -> bool:
        """Whether `sequence` is one of this ledger."""
        return await self._journal.holds(subject_of(ledger_id), sequence)

    async def list_ledgers(self) -> Sequence[LedgerId]:
        """List all ledgers that hold a record."""
        return tuple(ledger_of(subject) for subject in await self._journal.subjects(ALL_LEDGERS))

    async def _append(
        self, ledger_id: LedgerId, record: pb.Record, *, epoch: int, expected_sequence: int
    ) -> Stored:
        draft = Draft(epoch=epoch, entries=(), wire=record.SerializeToString())
        return await self.append(ledger_id, draft, expected_sequence=expected_sequence)

    def _head(self, epoch: int) -> bytes:
        """A record without its entries: protobuf merges what is concatenated."""
        append_time = Timestamp()
        append_time.FromDatetime(self._now())
        return pb.Record(epoch=epoch, append_time=append_time).SerializeToString()


def _message_id(ledger_id: LedgerId, request_id: str) -> str:
    """JetStream remembers ids of all subjects together, so each names its ledger; an empty one is unique."""
    return f"{ledger_id.stream_id}/{ledger_id.incarnation}/{request_id or secrets.token_hex(8)}"


def ledger_of(subject: str) -> LedgerId:
    """The ledger that is stored under a subject, or of which there is news under it."""
    *_, stream_token, incarnation = subject.split(".")
    return LedgerId(stream_id=layout.untoken(stream_token), incarnation=incarnation)


def _stored(ack: Ack) -> Stored:
    return Stored(sequence=ack.sequence, repeated=ack.repeated)
