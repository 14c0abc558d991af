"""What a transcoder has for ready segments, over real stores, with a fuse: at the chosen step it dies.

The clock is the test's own, and anything is a segment of a second.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from nats.aio.client import Client

from support.mortal import Fuse, Fused
from transcoder.adapters.live_beats import NatsBeats
from transcoder.adapters.live_ledger import LiveLedgerClient
from transcoder.adapters.live_settings import LiveSettingsClient
from transcoder.adapters.ready_ledger import ReadyLedgerClient
from transcoder.bootstrap_ground import Stores
from transcoder.domain.ladder import NAMED_RUNGS
from transcoder.domain.packager import MediaKind
from transcoder.domain.plan import Container
from transcoder.domain.ready_segment import Measured
from transcoder.ready import announcing, attempt
from transcoder.ready.announcing import ReadyAnnouncer
from transcoder.ready.attempt import Offer, Taken
from transcoder.ready.claims import Claims
from transcoder.ready.ingest import ReadyClaim, ReadyIngest
from transcoder.ready.ports import FeedId


@dataclass(slots=True)
class JumpingClock:
    """A clock that goes when it is told to."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


async def scripted_probe(data: bytes, container: Container) -> Measured:  # noqa: ARG001
    """Find a picture of a second that begins where its bytes say."""
    number = int.from_bytes(data[4:12], "big")
    return Measured(
        media_kind=MediaKind.AUDIO,
        codecs="mp4a.40.2",
        sample_rate_hz=48_000,
        channel_count=2,
        start_s=float(number),
        duration_s=1.0,
    )


def scripted_segment(number: int) -> bytes:
    """Make a packet of MPEG-TS that `scripted_probe` understands."""
    return (b"\x47\0\0\x10" + number.to_bytes(8, "big")).ljust(188, b"\xff")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyNode:
    """One process."""

    ingest: ReadyIngest
    announcer: ReadyAnnouncer
    ports: announcing.Ports

    async def send(self, key: str, stream_id: str, number: int, variant_id: str = "sound") -> Taken:
        """Send a scripted segment."""

        async def receive() -> Offer:
            data = scripted_segment(number)
            sha256 = hashlib.sha256(data).hexdigest()
            return Offer(variant_id=variant_id, number=number, data=data, sha256=sha256)

        return await self.ingest.take(ReadyClaim(stream_id=stream_id, stream_key=key), receive)

    async def announce(self, stream_id: str, incarnation: str) -> None:
        """Do what a transcoder does in the background."""
        await self.announcer.announce(FeedId(stream_id, incarnation))


def build_ready_node(
    stores: Stores, client: Client, channel: Any, clock: JumpingClock, fuse: Fuse | None = None
) -> ReadyNode:
    """Build a process whose every call of a port is a step of the fuse."""
    burning = fuse or Fuse()

    def fused(port: Any) -> Any:
        return Fused(port, burning)

    settings = fused(LiveSettingsClient(channel, rungs=NAMED_RUNGS))
    ledger = fused(ReadyLedgerClient(channel, LiveLedgerClient(channel, owner="mortal")))
    segments, feeds = fused(stores.segments), fused(stores.feeds)
    claims = Claims(feeds, ledger, fused(NatsBeats(client)))
    announced_by = announcing.Ports(
        feeds=feeds, segments=segments, ledger=ledger, settings=settings, clock=clock
    )
    announcer = ReadyAnnouncer(announced_by, claims)
    ports = attempt.Ports(
        settings=settings, segments=segments, media=fused(stores.media), probe=scripted_probe, clock=clock
    )
    return ReadyNode(ingest=ReadyIngest(ports, claims, announcer), announcer=announcer, ports=announced_by)
