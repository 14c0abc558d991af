"""What publishers began with when they came last, in a NATS key-value bucket, as JSON.

It only spares a look: nobody waits long for it, and without it everything goes on.
"""

from __future__ import annotations

import asyncio

from pydantic import TypeAdapter, ValidationError

from chassis import layout
from chassis.errors import NotFound, Unavailable
from chassis.messaging import KeyValue
from transcoder.domain.opening import KnownHead

KNOWN_TTL_S = 86_400.0
GET_DEADLINE_S = 0.3
"""Less than a look takes."""

_KNOWN = TypeAdapter(KnownHead)


class KvKnownHeads:
    """See `live.ports.KnownHeads`."""

    def __init__(self, heads: KeyValue) -> None:
        self._heads = heads

    async def get(self, stream_id: str) -> KnownHead | None:
        try:
            async with asyncio.timeout(GET_DEADLINE_S):
                value = await self._heads.get(layout.known_head_key(stream_id))
            return _KNOWN.validate_json(value.data)
        except (NotFound, Unavailable, TimeoutError, ValidationError):
            return None

    async def put(self, stream_id: str, known: KnownHead) -> None:
        await self._heads.put(layout.known_head_key(stream_id), _KNOWN.dump_json(known))

    async def forget(self, stream_id: str) -> None:
        await self._heads.delete(layout.known_head_key(stream_id))
