"""The heads of ledgers in a key-value bucket, and the journal that shows them in place of what is gone."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict

from nats.aio.client import Client
from weir.timeline.v1 import timeline_pb2 as pb

from chassis import layout
from chassis.errors import NotFound
from chassis.messaging import KeyValue, ensure_bucket
from distributor.adapters.journal import Journal, Message
from distributor.domain.entries import LedgerId
from distributor.domain.retention import Head
from distributor.ports import HeldHead


async def open_heads(client: Client, *, replicas: int) -> HeadStore:
    """Open the bucket, made if it is not there yet."""
    return HeadStore(await ensure_bucket(client, layout.HEADS_BUCKET, replicas=replicas))


class HeadStore:
    """Reads and writes heads; implements the port Heads."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket

    async def get(self, ledger_id: LedgerId) -> HeldHead:
        """Read a ledger's head; an empty one under revision 0 if nothing has left it."""
        return await self.find(layout.timeline_subject(ledger_id.stream_id, ledger_id.incarnation))

    async def find(self, subject: str) -> HeldHead:
        """Read the head of the ledger that is stored under a subject."""
        try:
            value = await self._bucket.get(_key(subject))
        except NotFound:
            return HeldHead(head=Head(), revision=0)
        return HeldHead(head=_read(value.data), revision=value.revision)

    async def put(self, ledger_id: LedgerId, head: Head, *, revision: int) -> int:
        """Replace the head that was read under `revision`; AlreadyExists or Conflict if it changed since."""
        key = _key(layout.timeline_subject(ledger_id.stream_id, ledger_id.incarnation))
        if revision:
            return await self._bucket.update(key, _write(head), revision=revision)
        return await self._bucket.create(key, _write(head))

    async def delete(self, ledger_id: LedgerId) -> None:
        """Remove the head of a ledger that is gone."""
        await self._bucket.delete(_key(layout.timeline_subject(ledger_id.stream_id, ledger_id.incarnation)))


class LedgerJournal(Journal):
    """The journals of ledgers: who reads from before a head is given the head, then what stands behind it."""

    def __init__(self, client: Client, stream: str, heads: HeadStore) -> None:
        super().__init__(client, stream)
        self._heads = heads

    async def holds(self, subject: str, sequence: int) -> bool:
        """Whether the message `sequence` is one of this subject, or was before it was trimmed.

        Sequences are JetStream's: of one stream id, those of an incarnation lie above all earlier ones.
        """
        held = await self._heads.find(subject)
        if held.revision == 0:
            return await super().holds(subject, sequence)
        return held.head.first_sequence <= sequence <= await self.last_sequence(subject)

    async def _batch(self, subject: str, after_sequence: int, count: int) -> Sequence[Message]:
        batch = await super()._batch(subject, after_sequence, count)
        # Asked behind the read, since a head is written before anything is purged: what a purge took from
        # the batch, the head tells.
        head = (await self._heads.find(subject)).head
        if head.sequence > after_sequence:
            return [Message(sequence=head.sequence, previous_sequence=0, data=head.wire, headers={})]
        return [
            _without_parts(message) if message.sequence <= head.parts_sequence else message
            for message in batch
        ]


def _without_parts(message: Message) -> Message:
    record = pb.Record.FromString(message.data)
    kept = [entry for entry in record.entries if not entry.HasField("part")]
    if len(kept) == len(record.entries):
        return message
    del record.entries[:]
    record.entries.extend(kept)
    return Message(
        sequence=message.sequence,
        previous_sequence=message.previous_sequence,
        data=record.SerializeToString(),
        headers=message.headers,
    )


def _key(subject: str) -> str:
    return subject.removeprefix("weir.timeline.")


def _write(head: Head) -> bytes:
    return json.dumps({**asdict(head), "wire": base64.b64encode(head.wire).decode()}).encode()


def _read(data: bytes) -> Head:
    value = json.loads(data)
    return Head(**{**value, "wire": base64.b64decode(value["wire"])})
