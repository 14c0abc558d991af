"""Lives of streams that are over, in a key-value bucket, until what they left in storage is removed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from nats.aio.client import Client

from chassis import layout
from chassis.messaging import KeyValue, ensure_bucket
from distributor.domain.entries import LedgerId
from distributor.ports import Tombstone


async def open_tombstones(client: Client, *, replicas: int) -> TombstoneStore:
    """Open the bucket, made if it is not there yet."""
    return TombstoneStore(await ensure_bucket(client, layout.TOMBSTONES_BUCKET, replicas=replicas))


class TombstoneStore:
    """Reads and writes tombstones; implements the port Tombstones."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket

    async def put(self, tombstone: Tombstone) -> None:
        """Keep a tombstone; a later one of the same life replaces it."""
        await self._bucket.put(_key(tombstone.ledger_id), tombstone.due_time.isoformat().encode())

    async def list(self) -> Sequence[Tombstone]:
        """List all tombstones."""
        return tuple(
            Tombstone(ledger_id=_ledger_id(value.key), due_time=datetime.fromisoformat(value.data.decode()))
            for value in await self._bucket.list()
        )

    async def delete(self, ledger_id: LedgerId) -> None:
        """Forget a life of which nothing is left."""
        await self._bucket.delete(_key(ledger_id))


def _key(ledger_id: LedgerId) -> str:
    return f"{layout.token(ledger_id.stream_id)}.{ledger_id.incarnation}"


def _ledger_id(key: str) -> LedgerId:
    stream_token, _, incarnation = key.partition(".")
    return LedgerId(stream_id=layout.untoken(stream_token), incarnation=incarnation)
