"""The bytes of one publisher on their way to the encoder: a queue that, when full, holds the publisher up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

from chassis.errors import DeadlineExceeded
from transcoder.ports import Clock

LIMIT_BYTES = 2 * 1024 * 1024


class Feed:
    """What has come and was not taken yet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._pieces: list[bytes] = []
        self._size_bytes = 0
        self._ended = False
        self._filled, self._emptied = asyncio.Event(), asyncio.Event()
        self.first_time: datetime | None = None
        """When the first bytes came."""
        self._last_s = self._loop.time()

    @property
    def silent_s(self) -> float:
        """How long nothing has come; who is kept waiting here is not silent."""
        return 0.0 if self._size_bytes >= LIMIT_BYTES else self._loop.time() - self._last_s

    async def fill(self, pieces: AsyncIterator[bytes], *, silence_s: float) -> None:
        """Take everything from a publisher, as fast as it is taken from here, until either side ends it.

        Raises:
            DeadlineExceeded: Nothing came for `silence_s`.
        """
        while not self._ended:
            try:
                async with asyncio.timeout(silence_s):
                    piece = await anext(pieces)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise DeadlineExceeded(
                    f"no media came for {silence_s:g} s: connect again", reason="PUBLISHER_SILENT"
                ) from error
            await self._put(piece)

    def end(self) -> None:
        """Take no more: what has come is the end."""
        self._ended = True
        self._filled.set()
        self._emptied.set()

    async def take(self) -> bytes:
        """Take all that is there, and wait for something if nothing is; empty: that was the end."""
        while not self._pieces and not self._ended:
            self._filled.clear()
            await self._filled.wait()
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size_bytes = 0
        self._emptied.set()
        return data

    async def _put(self, piece: bytes) -> None:
        if not piece:  # to whoever takes it, it would be the end
            return
        self._last_s = self._loop.time()
        self.first_time = self.first_time or self._clock()
        while self._size_bytes >= LIMIT_BYTES and not self._ended:
            self._emptied.clear()
            await self._emptied.wait()
            self._last_s = self._loop.time()  # it was us who kept the publisher waiting
        if self._ended:
            return
        self._pieces.append(piece)
        self._size_bytes += len(piece)
        self._filled.set()
