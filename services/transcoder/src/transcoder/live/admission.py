"""Let publishers in: the first stays, unless it is silent or another one asks to take its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from chassis.errors import AlreadyExists, FailedPrecondition, Unavailable, WeirError
from chassis.telemetry import STREAM, log
from transcoder.domain.live_settings import Beat, LiveSettings
from transcoder.domain.source import Source
from transcoder.ingest.publication import PublishClaim
from transcoder.live.ownership import Owners, taken_over
from transcoder.live.session import LiveSession, Ports, Running, SessionRules

# A publisher whose media ceased so long ago has lost its connection without knowing it.
SILENT_S = 3.0
# How long the last media of a publisher that has gone may take to be announced.
_FINISH_S = 12.0
_ASK_AGAIN_S = 0.05


class Admission:
    """See `ingest.publication.Publishers`; also runs what this process pulls."""

    def __init__(self, owners: Owners, ports: Ports, rules: SessionRules) -> None:
        self._owners = owners
        self._ports = ports
        self._rules = rules
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._running: Running = set()
        self._stopping = False

    async def admit(self, claim: PublishClaim) -> LiveSession:
        """Let a publisher in; see `ingest.publication.Publishers.admit`."""
        settings = await self._ports.settings.admit(claim.stream_key, claim.stream_id)
        session = await self.begin(settings, claim.protocol, take_over=claim.take_over)
        log.info("publisher let in", protocol=claim.protocol, peer=claim.peer, **{STREAM: settings.stream_id})
        return session

    async def begin(self, settings: LiveSettings, protocol: str, *, take_over: bool = False) -> LiveSession:
        """Own a stream, and begin a session that feeds it.

        Raises:
            AlreadyExists: PUBLISHER_PRESENT; somebody else feeds it.
            FailedPrecondition: It has ended.
            Unavailable: NATS or the distributor is away, or this process stops.
        """
        if self._stopping:
            raise Unavailable("this server stops: connect again", reason="STOPPING", retry_delay_s=1.0)
        turn = self._turns.setdefault(settings.stream_id, asyncio.Lock())
        async with turn:
            source = await self._make_room(settings.stream_id, take_over=take_over)
            ownership = await self._owners.acquire(settings)
            return LiveSession(self._ports, self._rules, ownership, protocol, self._running, source=source)

    async def end(self, stream_id: str) -> None:
        """End a stream that is owned here: its source has come to its end.

        Raises:
            FailedPrecondition, Unavailable: As `Ownership.append`.
        """
        if ownership := self._owners.find(stream_id):
            await self._owners.end(ownership)
            await self._owners.release(ownership, FailedPrecondition("the stream has ended"))

    async def report(self, stream_id: str, error: str) -> None:
        """Tell people why a stream that is owned here has no media."""
        if ownership := self._owners.find(stream_id):
            try:
                await self._ports.settings.report(stream_id, ownership.opened, error)
            except WeirError as failure:
                log.warning("failure could not be told", error=failure.message, **{STREAM: stream_id})

    def send_away(self) -> None:
        """Let nobody in any more, and publishers go as soon as their protocols end what they send."""
        self._stopping = True
        for session in self._running:
            session.send_away()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Let publishers in for as long as the block lasts; then hand all streams over."""
        try:
            yield
        finally:
            self.send_away()
            await asyncio.gather(*(session.hand_over() for session in self._running))
            await self._owners.stop()

    async def _make_room(self, stream_id: str, *, take_over: bool) -> Source | None:
        """See to it that nobody else feeds a stream, or refuse; tell what an owner that stops has left."""
        state, source = await self._finished(stream_id)
        if state is None or not state.is_feeding:
            return source
        if not take_over and state.silent_s < SILENT_S:
            raise AlreadyExists(
                f"stream {stream_id!r} has a publisher already: disconnect it first, or ask to take over",
                reason="PUBLISHER_PRESENT",
                protocol=state.protocol,
            )
        if ownership := self._owners.find(stream_id):
            await self._owners.release(ownership, taken_over())
        return None

    async def _finished(self, stream_id: str) -> tuple[Beat | None, Source | None]:
        """Ask for the owner's state, once the last media of a publisher that has gone are announced.

        Tells also what its source holds, if it left that to the next owner.
        """
        deadline = asyncio.get_running_loop().time() + _FINISH_S
        state = await self._owners.state(stream_id)
        source = state.source if state else None
        while state and state.is_finishing and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_ASK_AGAIN_S)
            state = await self._owners.state(stream_id)
        return state, source
