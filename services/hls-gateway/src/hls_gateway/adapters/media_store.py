"""Objects of media from storage, through a memory that never grows above its bound.

Bytes count from the moment their read begins until nobody can reach them any more: what is being sent to a
slow viewer is pinned, so that it is not let go and forgotten in the sum. What finds no room is streamed in
small pieces, a bounded number of them at a time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chassis.errors import DataLoss, Unavailable
from chassis.storage import ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLimits:
    """How much memory media may take.

    Args:
        memory_bytes: All objects held and being read.
        object_bytes: Largest object that is held.
        stream_count: Objects streamed at a time, two pieces of memory each.
        piece_bytes: Size of a streamed piece.
        read_timeout_s: Deadline of one read from storage, and of waiting to stream.
    """

    memory_bytes: int
    object_bytes: int
    stream_count: int = 64
    piece_bytes: int = 262_144
    read_timeout_s: float = 10.0


class HeldBytes:
    """One object in memory."""

    __slots__ = ("data", "pin_count")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pin_count = 0

    def pin(self) -> None:
        """Keep it in memory."""
        self.pin_count += 1

    def unpin(self) -> None:
        """Undo one `pin`."""
        self.pin_count -= 1


class MediaStore:
    """The least recently used objects leave memory first; each object is read once at a time."""

    def __init__(self, storage: ObjectStore, limits: StoreLimits) -> None:
        self._storage = storage
        self._limits = limits
        self._objects: OrderedDict[str, HeldBytes] = OrderedDict()
        self._reads: dict[str, asyncio.Task[HeldBytes]] = {}
        self._streams = asyncio.Semaphore(limits.stream_count)
        self._memory_bytes = 0

    @property
    def memory_bytes(self) -> int:
        """Bytes of the objects held and being read."""
        return self._memory_bytes

    def held(self, key: str) -> HeldBytes | None:
        """Give an object that is in memory now."""
        found = self._objects.get(key)
        if found:
            self._objects.move_to_end(key)
        return found

    async def read(self, key: str, size_bytes: int) -> HeldBytes | None:
        """Read an object into memory; see the port."""
        if found := self.held(key):
            return found
        task = self._reads.get(key)
        if task is None:
            if not self._take_room(size_bytes):
                return None
            task = asyncio.create_task(self._read(key, size_bytes), name=f"read {key}")
            self._reads[key] = task
        # Whoever gives up waiting must not end the read for the others.
        return await asyncio.shield(task)

    async def reserve_stream(self) -> None:
        """Wait for the right to stream; see the port."""
        try:
            async with asyncio.timeout(self._limits.read_timeout_s):
                await self._streams.acquire()
        except TimeoutError:
            raise Unavailable(
                f"{self._limits.stream_count} objects are being streamed already: try again",
                reason="TOO_MANY_READS",
                retry_delay_s=1.0,
            ) from None

    def release_stream(self) -> None:
        """Give the right to stream back."""
        self._streams.release()

    async def stream(self, key: str, start: int, length: int) -> AsyncGenerator[bytes]:
        """Read part of an object piece by piece, one ahead of what is being sent."""
        end = start + length
        ahead = self._read_ahead(key, start, end)
        try:
            while start < end:
                piece = await ahead
                start += len(piece)
                ahead = self._read_ahead(key, start, end)
                yield piece
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)

    def _read_ahead(self, key: str, start: int, end: int) -> asyncio.Task[bytes]:
        return asyncio.create_task(self._read_piece(key, start, end), name=f"stream {key}")

    async def _read_piece(self, key: str, start: int, end: int) -> bytes:
        length = min(self._limits.piece_bytes, end - start)
        if not length:
            return b""
        async with self._timely(key):
            piece = await self._storage.get_range(key, start=start, length=length)
        if len(piece) != length:
            raise DataLoss(f"object {key!r} is shorter than announced", reason="SHORT_OBJECT")
        return piece

    async def _read(self, key: str, size_bytes: int) -> HeldBytes:
        try:
            async with self._timely(key):
                held = HeldBytes(await self._storage.get(key))
        except BaseException:
            self._memory_bytes -= size_bytes
            raise
        finally:
            del self._reads[key]
        self._memory_bytes += len(held.data) - size_bytes
        self._objects[key] = held
        return held

    def _take_room(self, size_bytes: int) -> bool:
        """Count `size_bytes` in, letting go of what is least recently used; False if that cannot be."""
        if size_bytes > self._limits.object_bytes:
            return False
        excess_bytes = self._memory_bytes + size_bytes - self._limits.memory_bytes
        leaving = []
        for key, held in self._objects.items():
            if excess_bytes <= 0:
                break
            if not held.pin_count:
                leaving.append(key)
                excess_bytes -= len(held.data)
        if excess_bytes > 0:
            return False
        for key in leaving:
            self._memory_bytes -= len(self._objects.pop(key).data)
        self._memory_bytes += size_bytes
        return True

    @asynccontextmanager
    async def _timely(self, key: str) -> AsyncIterator[None]:
        """Bound a read from storage."""
        try:
            async with asyncio.timeout(self._limits.read_timeout_s):
                yield
        except TimeoutError:
            raise Unavailable(
                f"storage did not give {key!r} within {self._limits.read_timeout_s:g} s: try again",
                reason="STORAGE_AWAY",
                retry_delay_s=1.0,
            ) from None
