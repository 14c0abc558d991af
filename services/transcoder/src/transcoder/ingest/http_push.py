"""HTTP push: an endless PUT or POST through the door, or the same by native gRPC.

A body that breaks off is a publisher that has gone: what came before is kept, as with every other protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from chassis.errors import DeadlineExceeded
from transcoder.ingest.publication import PublishClaim, Session
from transcoder.ingest.sniff import SNIFF_BYTES, choose_demuxer

PROTOCOL = "http"
HEAD_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A push that has come to its end."""

    stream_id: str
    size_bytes: int
    duration_s: float
    """Of the stream that was made of it."""


class MeasuredSession(Session, Protocol):
    """A session that tells how far it came."""

    announced_s: float


class MeasuredPublishers(Protocol):
    """Lets publishers in; see `publication.Publishers`."""

    async def admit(self, claim: PublishClaim) -> MeasuredSession: ...


class HttpPush:
    """Takes pushes."""

    def __init__(self, publishers: MeasuredPublishers) -> None:
        self._publishers = publishers

    async def push(self, claim: PublishClaim, pieces: AsyncIterator[bytes]) -> Pushed:
        """Take one push to its end.

        Raises:
            InvalidArgument: The bytes are no media.
            WeirError: As `Publishers.admit` and `Session.run`.
        """
        counter = _Counter(pieces)
        demuxer = choose_demuxer(await counter.read_head())
        session = await self._publishers.admit(claim)
        async with aclosing(counter.pieces()) as counted:
            await session.run(demuxer, counted)
        return Pushed(
            stream_id=session.stream_id, size_bytes=counter.size_bytes, duration_s=session.announced_s
        )


class _Counter:
    """Counts the bytes of a push, and looks at the first of them."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._head = b""
        self.size_bytes = 0

    async def read_head(self) -> bytes:
        """Read as much as tells the container.

        Raises:
            DeadlineExceeded: So much did not come in time.
        """
        try:
            async with asyncio.timeout(HEAD_S):
                while (
                    len(self._head) < SNIFF_BYTES and (piece := await anext(self._pieces, None)) is not None
                ):
                    self._head += piece
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"only {len(self._head)} bytes came within {HEAD_S:g} s: send media at once",
                reason="PUBLISHER_SILENT",
            ) from error
        return self._head

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Give everything, the head as well."""
        self.size_bytes = len(self._head)
        yield self._head
        async for piece in self._pieces:
            self.size_bytes += len(piece)
            yield piece
