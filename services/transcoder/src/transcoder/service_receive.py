"""Receive a source: small pieces become blocks for storage, counted, hashed, and judged at their end."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeVar

from chassis.errors import DeadlineExceeded
from transcoder.domain.wholeness import Arrived, Promise, require_size, require_whole

BLOCK_BYTES = 1024 * 1024  # pieces of 16 KiB, one by one, would cost more in calls than in bytes


Message = TypeVar("Message")


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPiece:
    """One message of an upload."""

    data: bytes
    last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is taken."""

    size_bytes: int
    silence_s: float
    """An arrival that brings nothing for so long has broken."""


async def next_within(silence_s: float, messages: AsyncIterator[Message], after: str) -> Message | None:
    """Wait for the next message; None: there is none.

    Raises:
        DeadlineExceeded: Nothing came for so long; the words tell after what.
    """
    try:
        async with asyncio.timeout(silence_s):
            return await anext(messages, None)
    except TimeoutError as error:
        raise DeadlineExceeded(
            f"nothing came for {silence_s:g} s after {after}: try again", reason="UPLOAD_SILENT"
        ) from error


class Receiver:
    """Receives one source."""

    def __init__(self, promise: Promise, limits: Limits) -> None:
        self._promise = promise
        self._limits = limits
        self._digest = hashlib.sha256()
        self._has_last = False
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    async def blocks(self, pieces: AsyncIterator[UploadPiece]) -> AsyncIterator[bytes]:
        """Pass the bytes on in blocks; raise before the end if they are not whole, so that none is stored.

        Raises:
            InvalidArgument: Too large, or not what was promised.
            DeadlineExceeded: Nothing came for too long.
        """
        require_size(self._promise.size_bytes or 0, self._limits.size_bytes)
        block = bytearray()
        async for piece in self._patient(pieces):
            block += piece.data
            if len(block) >= BLOCK_BYTES:
                yield await self._noted(bytes(block))
                block.clear()
        if block:
            yield await self._noted(bytes(block))
        require_whole(
            self._promise, Arrived(size_bytes=self.size_bytes, sha256=self.sha256, has_last=self._has_last)
        )

    async def _patient(self, pieces: AsyncIterator[UploadPiece]) -> AsyncIterator[UploadPiece]:
        while not self._has_last:
            piece = await next_within(self._limits.silence_s, pieces, f"{self.size_bytes} bytes")
            if piece is None:
                return
            self._has_last = piece.last
            yield piece

    async def _noted(self, block: bytes) -> bytes:
        self.size_bytes += len(block)
        require_size(self.size_bytes, self._limits.size_bytes)
        # In a thread: a slow machine hashes 1 MiB in milliseconds, during which nothing else would run.
        await asyncio.to_thread(self._digest.update, block)
        return block
