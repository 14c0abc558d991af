"""Objects of media from storage, through a memory that never grows above its bound.

Bytes count from the moment their read begins until nobody can reach them any more: what is being sent is
pinned, so that it is not let go and forgotten in the sum. Slow viewers of many different objects could pin
all of it; so at most half is for what is busy, and what is above is streamed, in pieces that count too.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from chassis.errors import DataLoss, ResourceExhausted, Unavailable
from chassis.storage import ObjectStore
from hls_gateway.ports import STORAGE_SILENT


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLimits:
    """How much memory media may take.

    Args:
        memory_bytes: Objects held, objects being read, and pieces of what is streamed.
        object_bytes: Largest object that is held.
        piece_bytes: Size of a streamed piece; each stream takes two.
        read_timeout_s: Deadline of one read from storage, and of waiting to stream.
    """

    memory_bytes: int
    object_bytes: int
    piece_bytes: int = 131_072
    read_timeout_s: float = 10.0

    @property
    def stream_bytes(self) -> int:
        """What one stream takes: the piece being sent, and the one being read."""
        return 2 * self.piece_bytes

    @property
    def busy_bytes(self) -> int:
        """What may be pinned or being read at a time."""
        return self.memory_bytes // 2


class MediaStore:
    """The least recently used objects leave memory first; each object is read once at a time."""

    def __init__(self, storage: ObjectStore, limits: StoreLimits) -> None:
        self._storage = storage
        self._limits = limits
        self._objects: OrderedDict[str, HeldBytes] = OrderedDict()
        self._reads: dict[str, asyncio.Task[HeldBytes]] = {}
        self._memory_bytes = 0
        self._busy_bytes = 0
        self._waiting_count = 0
        self._freed = asyncio.Event()

    @property
    def memory_bytes(self) -> int:
        """Bytes of everything that is held, being read or streamed."""
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
            fits = size_bytes <= self._limits.object_bytes
            if not (fits and self._is_idle_enough(size_bytes) and self._take_room(size_bytes)):
                return None
            self.count_pinned(size_bytes)
            task = asyncio.create_task(self._read(key, size_bytes), name=f"read {key}")
            self._reads[key] = task
        # Whoever gives up waiting must not end the read for the others.
        return await asyncio.shield(task)

    @contextmanager
    def receive(self, key: str, size_bytes: int) -> Iterator[Callable[[bytes], None]]:
        """Have room for an object that comes from elsewhere; see the port."""
        fits = size_bytes <= self._limits.object_bytes
        if not (fits and self._is_idle_enough(size_bytes) and self._take_room(size_bytes)):
            raise ResourceExhausted(
                f"there is no room for {size_bytes} bytes: {self._memory_bytes} are in use",
                reason="NO_ROOM",
                retry_delay_s=1.0,
            )
        self.count_pinned(size_bytes)
        arrived: list[bytes] = []
        try:
            yield arrived.append
        finally:
            self.count_unpinned(size_bytes)
            if arrived and key not in self._objects:
                self._objects[key] = HeldBytes(self, arrived[0])
            else:
                self._give_room(size_bytes)

    async def reserve_stream(self) -> None:
        """Wait for the right to stream; see the port."""
        self._waiting_count += 1
        try:
            async with asyncio.timeout(self._limits.read_timeout_s):
                while not self._take_room(self._limits.stream_bytes):
                    self._freed.clear()
                    await self._freed.wait()
        except TimeoutError:
            raise Unavailable(
                "all memory for media is in use by slower viewers: try again",
                reason="TOO_MANY_READS",
                retry_delay_s=1.0,
            ) from None
        finally:
            self._waiting_count -= 1

    def release_stream(self) -> None:
        """Give the right to stream back."""
        self._give_room(self._limits.stream_bytes)

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

    def count_pinned(self, size_bytes: int) -> None:
        """Take note that bytes are being sent."""
        self._busy_bytes += size_bytes

    def count_unpinned(self, size_bytes: int) -> None:
        """Take note that bytes are not being sent any more."""
        self._busy_bytes -= size_bytes
        if self._waiting_count:
            self._freed.set()

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
                held = HeldBytes(self, await self._storage.get(key))
        except BaseException:
            self._give_room(size_bytes)
            raise
        finally:
            self.count_unpinned(size_bytes)
            del self._reads[key]
        self._memory_bytes += len(held.data) - size_bytes
        self._objects[key] = held
        return held

    def _is_idle_enough(self, size_bytes: int) -> bool:
        return self._busy_bytes + size_bytes <= self._limits.busy_bytes

    def _take_room(self, size_bytes: int) -> bool:
        """Count `size_bytes` in, letting go of what is least recently used; False if that cannot be."""
        excess_bytes = self._memory_bytes + size_bytes - self._limits.memory_bytes
        leaving = []
        for key, held in self._objects.items():
            if excess_bytes <= 0:
                break
            if not held.is_pinned:
                leaving.append(key)
                excess_bytes -= len(held.data)
        if excess_bytes > 0:
            return False
        for key in leaving:
            self._memory_bytes -= len(self._objects.pop(key).data)
        self._memory_bytes += size_bytes
        return True

    def _give_room(self, size_bytes: int) -> None:
        self._memory_bytes -= size_bytes
        self._freed.set()

    @asynccontextmanager
    async def _timely(self, key: str) -> AsyncIterator[None]:
        """Bound a read from storage."""
        try:
            async with asyncio.timeout(self._limits.read_timeout_s):
                yield
        except TimeoutError:
            raise Unavailable(
                f"storage did not give {key!r} within {self._limits.read_timeout_s:g} s: try again",
                reason=STORAGE_SILENT,
                retry_delay_s=1.0,
            ) from None


class HeldBytes:
    """One object in memory."""

    __slots__ = ("_pin_count", "_store", "data")

    def __init__(self, store: MediaStore, data: bytes) -> None:
        self.data = data
        self._store = store
        self._pin_count = 0

    @property
    def is_pinned(self) -> bool:
        return self._pin_count > 0

    def pin(self) -> None:
        """Keep it in memory."""
        self._pin_count += 1
        if self._pin_count == 1:
            self._store.count_pinned(len(self.data))

    def unpin(self) -> None:
        """Undo one `pin`."""
        self._pin_count -= 1
        if self._pin_count == 0:
            self._store.count_unpinned(len(self.data))
