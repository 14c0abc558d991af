"""The bytes of what is delivered: read from storage once for all edges, and held for a moment."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass

from chassis.storage import ObjectStore
from distributor.domain.delivery import Freight


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """An object's bytes."""

    data: bytes
    sha256: bytes


class FreightStore:
    """Reads objects; those that were read last stay in memory.

    Args:
        storage: Where they lie.
        limit_bytes: Memory for them; what is being carried is held besides.
    """

    def __init__(self, storage: ObjectStore, *, limit_bytes: int) -> None:
        self._storage = storage
        self._limit_bytes = limit_bytes
        self._loads: OrderedDict[str, asyncio.Task[Load]] = OrderedDict()
        self._held_bytes = 0

    def load(self, freight: Freight) -> asyncio.Future[Load]:
        """Read an object, or take it from memory, for who awaits it; fails as storage does."""
        task = self._loads.get(freight.object_key)
        if task is None:
            task = asyncio.create_task(self._read(freight), name=f"load {freight.object_key}")
            self._loads[freight.object_key] = task
        # Whoever gives up waiting must not end the read for the others.
        return asyncio.shield(task)

    async def _read(self, freight: Freight) -> Load:
        try:
            data = await self._storage.get(freight.object_key)
        except BaseException:
            del self._loads[freight.object_key]
            raise
        self._held_bytes += len(data)
        self._let_go(keep=freight.object_key)
        return Load(data=data, sha256=hashlib.sha256(data).digest())

    def _let_go(self, *, keep: str) -> None:
        for key, task in tuple(self._loads.items()):
            if self._held_bytes <= self._limit_bytes:
                return
            if key != keep and task.done():
                del self._loads[key]
                self._held_bytes -= len(task.result().data)
