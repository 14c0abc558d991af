"""Bytes on their way from a publisher to its session: bounded, so that a slow session slows its publisher."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Self


class Pieces:
    """A queue of bytes with one writer and one reader, which is an async iterator.

    Args:
        limit_bytes: A writer that waits for room keeps what is held at this and one piece.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._ended = False
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()

    @property
    def has_room(self) -> bool:
        return self._held_bytes <= self._limit_bytes

    def add(self, piece: bytes) -> None:
        """Add a piece that is not empty."""
        self._held.append(piece)
        self._held_bytes += len(piece)
        self._filled.set()

    async def wait_for_room(self) -> None:
        """Wait until enough was taken."""
        while not self.has_room:
            self._emptied.clear()
            await self._emptied.wait()

    def end(self) -> None:
        """Say that nothing more comes; what is held can still be taken."""
        self._ended = True
        self._filled.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._held:
            if self._ended:
                raise StopAsyncIteration
            self._filled.clear()
            await self._filled.wait()
        piece = self._held.popleft()
        self._held_bytes -= len(piece)
        self._emptied.set()
        return piece
