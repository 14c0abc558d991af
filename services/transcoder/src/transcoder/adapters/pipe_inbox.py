"""What comes through several pipes, in the order of its coming: no task, and no copy, for each piece."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import BinaryIO, cast

PIECE_BYTES = 1 << 18
"""What of one pipe may wait to be taken; with more it is read no further, and its writer is held up."""


class PipeInbox:
    """Takes from pipes, and hands on what came."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[_Pipe, bytes]] = deque()
        self._open_count = 0
        self._changed = asyncio.Event()

    async def connect(self, number: int, file: BinaryIO) -> Callable[[], None]:
        """Take from a pipe from now on, under a number; returns what ends that."""
        self._open_count += 1
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: _Pipe(self, number), file)
        return transport.close

    async def take(self) -> tuple[int, bytes] | None:
        """Wait for a pipe's number and its next piece; None as soon as all have ended."""
        while not self._pieces:
            if not self._open_count:
                return None
            self._changed.clear()
            await self._changed.wait()
        pipe, data = self._pieces.popleft()
        pipe.taken(len(data))
        return pipe.number, data

    def put(self, pipe: _Pipe, data: bytes) -> None:
        """Keep a piece until it is taken."""
        self._pieces.append((pipe, data))
        self._changed.set()

    def ended(self) -> None:
        """Hear that a pipe gives no more."""
        self._open_count -= 1
        self._changed.set()


class _Pipe(asyncio.Protocol):
    """One of them."""

    def __init__(self, inbox: PipeInbox, number: int) -> None:
        self.number = number
        self._inbox = inbox
        self._waiting_bytes = 0
        self._transport: asyncio.ReadTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.ReadTransport", transport)  # uvloop's are of no such class

    def data_received(self, data: bytes) -> None:
        self._waiting_bytes += len(data)
        if self._transport and self._waiting_bytes > PIECE_BYTES:
            self._transport.pause_reading()
        self._inbox.put(self, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - an end is an end
        self._inbox.ended()

    def taken(self, size_bytes: int) -> None:
        was_full = self._waiting_bytes > PIECE_BYTES
        self._waiting_bytes -= size_bytes
        if self._transport and was_full and self._waiting_bytes <= PIECE_BYTES:
            self._transport.resume_reading()
