"""Use-case of taking ready segments in: who may, and how many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chassis.errors import ResourceExhausted
from transcoder.ready.announcing import ReadyAnnouncer
from transcoder.ready.attempt import Attempt, Offer, Ports, Taken
from transcoder.ready.claims import Claims

# Segments that are in memory and being probed at one time; others wait for their turn, but not for long.
AT_ONCE_COUNT = 4
TURN_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyClaim:
    """Who sends segments, and to which stream."""

    stream_id: str
    stream_key: str


class ReadyIngest:
    """Takes ready segments in."""

    def __init__(self, ports: Ports, claims: Claims, announcer: ReadyAnnouncer) -> None:
        self._ports = ports
        self._claims = claims
        self._announcer = announcer
        self._room = asyncio.Semaphore(AT_ONCE_COUNT)

    async def take(self, claim: ReadyClaim, receive: Callable[[], Awaitable[Offer]]) -> Taken:
        """Take one segment.

        Args:
            claim: Must be right before anything is read.
            receive: Reads the segment.

        Raises:
            AlreadyExists: NUMBER_TAKEN, by other bytes.
            FailedPrecondition: The stream is stopped or pushed, or of low latency.
            InvalidArgument: The bytes are no segment, or none that fits its variant.
            NotFound: NO_VARIANT.
            OutOfRange: LATE or TOO_FAR_AHEAD.
            PermissionDenied: WRONG_KEY.
            ResourceExhausted: Too many come at one time.
        """
        settings = await self._ports.settings.admit(claim.stream_key, claim.stream_id)
        async with self._turn():
            offer = await receive()
            attempt = Attempt(self._ports, self._claims, self._announcer, settings, offer)
            return await attempt.take()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(TURN_S):
                await self._room.acquire()
        except TimeoutError as error:
            raise ResourceExhausted(
                f"{AT_ONCE_COUNT} segments are being taken in, and more wait: send this one again",
                reason="INGEST_BUSY",
                retry_delay_s=1.0,
            ) from error
        try:
            yield
        finally:
            self._room.release()
