"""Viewers' states in a key-value bucket, as JSON that `nats kv get` shows to people.

Adaptation goes on without it: a read has a short deadline, and after one that failed nobody asks for a while.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import nats.errors
from nats.aio.client import Client

from abr.ports import Snapshot
from chassis import layout
from chassis.errors import NotFound, Unavailable
from chassis.messaging import KeyValue, ensure_bucket
from chassis.telemetry import log

KEPT_S = 3_600.0
"""Longer than any viewer is remembered."""
LOAD_DEADLINE_S = 0.5
SAVE_DEADLINE_S = 5.0
PREFETCH_DEADLINE_S = 10.0
REST_S = 2.0
"""How long nobody asks after a failure."""
PREFETCHED_S = 30.0
"""How long what was read at the start is believed to be the newest."""

_FAILURES = (TimeoutError, Unavailable, nats.errors.Error)


class SnapshotStore:
    """Implements the port Snapshots."""

    def __init__(self) -> None:
        self._client: Client | None = None
        self._bucket: KeyValue | None = None
        self._resting_until = 0.0
        self._prefetched: dict[str, bytes] = {}
        self._prefetched_until = 0.0

    async def open(self, client: Client, *, replicas: int) -> None:
        """Open the bucket, made if it is not there yet.

        Args:
            client: The connection to NATS.
            replicas: Copies that JetStream keeps.
        """
        self._bucket = await ensure_bucket(client, layout.ABR_VIEWERS_BUCKET, replicas=replicas, ttl_s=KEPT_S)
        self._client = client

    def close(self) -> None:
        """Forget the connection: it is gone for good."""
        self._client = self._bucket = None

    @property
    def is_open(self) -> bool:
        """Whether NATS is there, as far as is known."""
        is_connected = self._client is not None and self._client.is_connected
        return bool(self._prefetched) or (is_connected and time.monotonic() >= self._resting_until)

    async def prefetch(self) -> None:
        """Read all states at once: whoever comes next was probably known to this process's predecessor."""
        if self._bucket is None:
            return
        try:
            async with asyncio.timeout(PREFETCH_DEADLINE_S):
                values = await self._bucket.list()
        except _FAILURES as error:
            log.warning("viewers not read", error=repr(error))
            return
        self._prefetched = {value.key: value.data for value in values}
        self._prefetched_until = time.monotonic() + PREFETCHED_S
        log.info("viewers read", count=len(values))

    async def load(self, stream_id: str, viewer_id: str) -> bytes | None:
        """Read a state; see the port."""
        key = layout.abr_viewer_key(stream_id, viewer_id)
        if time.monotonic() > self._prefetched_until:
            self._prefetched.clear()
        if data := self._prefetched.pop(key, None):
            return data
        if self._bucket is None or not self.is_open:
            return None
        try:
            async with asyncio.timeout(LOAD_DEADLINE_S):
                return (await self._bucket.get(key)).data
        except NotFound:
            return None
        except _FAILURES as error:
            self._rest("viewer not read", error)
            return None

    async def save(self, snapshots: Sequence[Snapshot]) -> bool:
        """Keep states; see the port."""
        if self._bucket is None or self._client is None or not self._client.is_connected:
            return False
        keys = {layout.abr_viewer_key(one.stream_id, one.viewer_id): one.data for one in snapshots}
        try:
            async with asyncio.timeout(SAVE_DEADLINE_S):
                await self._bucket.put_together(keys)
        except _FAILURES as error:
            self._rest("viewers not saved", error)
            return False
        return True

    def _rest(self, event: str, error: Exception) -> None:
        self._resting_until = time.monotonic() + REST_S
        log.warning(event, error=repr(error))
