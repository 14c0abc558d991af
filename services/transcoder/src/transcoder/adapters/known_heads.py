"""What publishers began with when they were looked into last, in a NATS key-value bucket, as JSON.

It only spares a look: nobody waits long for it, and without it everything goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import nats.errors
from pydantic import TypeAdapter, ValidationError

from chassis import layout
from chassis.errors import NotFound, WeirError
from chassis.messaging import KeyValue
from chassis.telemetry import STREAM, log
from transcoder.domain.opening import KnownHead

KNOWN_TTL_S = 86_400.0
GET_DEADLINE_S = 0.3
"""Less than a look takes."""
PUT_DEADLINE_S = 2.0

_KNOWN = TypeAdapter(KnownHead)


class KvKnownHeads:
    """See `live.ports.KnownHeads`."""

    def __init__(self, heads: KeyValue) -> None:
        self._heads = heads

    async def get(self, stream_id: str) -> KnownHead | None:
        with _spared(stream_id):
            async with asyncio.timeout(GET_DEADLINE_S):
                value = await self._heads.get(layout.known_head_key(stream_id))
            return _KNOWN.validate_json(value.data)
        return None

    async def put(self, stream_id: str, known: KnownHead) -> None:
        with _spared(stream_id):
            async with asyncio.timeout(PUT_DEADLINE_S):
                await self._heads.put(layout.known_head_key(stream_id), _KNOWN.dump_json(known))

    async def forget(self, stream_id: str) -> None:
        with _spared(stream_id):
            async with asyncio.timeout(PUT_DEADLINE_S):
                await self._heads.delete(layout.known_head_key(stream_id))


@contextmanager
def _spared(stream_id: str) -> Iterator[None]:
    """Go on without it; a head that is not there, or was written by another version, is no trouble."""
    try:
        yield
    except (NotFound, ValidationError):
        pass
    except (WeirError, TimeoutError, nats.errors.Error) as error:
        log.info("known heads are away", error=repr(error), **{STREAM: stream_id})
