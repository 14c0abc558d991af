"""Use-case of taking ready segments in: who may, and how many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from chassis.errors import ResourceExhausted
from transcoder.domain.plan import Container
from transcoder.domain.ready_segment import Measured
from transcoder.ready.announcing import ReadyAnnouncer
from transcoder.ready.attempt import Attempt, Offer, Ports, Taken
from transcoder.ready.claims import Claims

# Segments that come in at one time, each as fast as its sender's network, and those of them that are probed.
# Others wait for their turn, but not for long.
AT_ONCE_COUNT = 32
PROBES_COUNT = 4
TURN_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyClaim:
    """Who sends segments, and to which stream."""

    stream_id: str
    stream_key: str


class ReadyIngest:
    """Takes ready segments in."""

    def __init__(self, ports: Ports, claims: Claims, announcer: ReadyAnnouncer) -> None:
        self._probing = _Turns(PROBES_COUNT)
        self._ports = replace(ports, probe=self._probe)
        self._claims = claims
        self._announcer = announcer
        self._probe_now = ports.probe
        self._taking = _Turns(AT_ONCE_COUNT)

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
        async with self._taking.turn():
            offer = await receive()
            attempt = Attempt(self._ports, self._claims, self._announcer, settings, offer)
            return await attempt.take()

    async def _probe(self, data: bytes, container: Container) -> Measured:
        async with self._probing.turn():
            return await self._probe_now(data, container)


class _Turns:
    """So many at a time."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._room = asyncio.Semaphore(count)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(TURN_S):
                await self._room.acquire()
        except TimeoutError as error:
            raise ResourceExhausted(
                f"{self._count} segments are being taken in, and more wait: send this one again",
                reason="INGEST_BUSY",
                retry_delay_s=1.0,
            ) from error
        try:
            yield
        finally:
            self._room.release()
