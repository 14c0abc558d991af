"""A transcoder dies at each step of taking a ready segment in: another one, and a retry, make it good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from weir.distributor.v1 import distributor_pb2 as api
from weir.timeline.v1 import timeline_pb2

from chassis import errors
from chassis.grpc_client import open_channel
from chassis.nats_connection import connect
from support.distributor import Distributor, running_distributor
from support.mortal import Died, Fuse
from support.nats import NatsServer
from support.ready import create_fed
from support.ready_node import JumpingClock, ReadyNode, build_ready_node
from support.transcoder import Ledger, until
from transcoder.bootstrap_ground import Stores, open_stores
from transcoder.config import TranscoderConfig
from transcoder.ready.ports import FeedId
from transcoder.ready.watching import ReadyWatch

pytestmark = pytest.mark.torture

TARGET_S = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where nodes live: what they share."""

    distributor: Distributor
    stores: Stores
    client: Client
    channel: Any
    clock: JumpingClock
    objects: Path

    def node(self, fuse: Fuse | None = None) -> ReadyNode:
        return build_ready_node(self.stores, self.client, self.channel, self.clock, fuse)

    async def create(self, stream_id: str) -> tuple[str, str]:
        """Create a stream; answers its key and its incarnation."""
        key = await create_fed(self.distributor, stream_id, target_duration=TARGET_S)
        request = api.GetStreamRequest(stream_id=stream_id)
        stream: api.Stream = await self.distributor.streams.GetStream(request)
        return key, stream.incarnation

    async def ledger(self, stream_id: str) -> Ledger:
        request = timeline_pb2.GetSnapshotRequest(stream_id=stream_id)
        return Ledger(await self.distributor.timeline.GetSnapshot(request))

    def stored(self, stream_id: str) -> set[str]:
        found = (self.objects / "streams" / stream_id).rglob("*.ts")
        return {str(path.relative_to(self.objects)) for path in found}


@pytest.fixture
async def place(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Place]:
    config = TranscoderConfig(nats_url=nats_server.url, storage_url=f"file://{tmp_path}")
    async with (
        running_distributor(nats_server.url) as distributor,
        connect(config, name="test") as client,
        open_channel(distributor.address) as channel,
    ):
        yield Place(
            distributor=distributor,
            stores=await open_stores(config, client),
            client=client,
            channel=channel,
            clock=JumpingClock(),
            objects=tmp_path,
        )


async def test_death_at_each_step_loses_and_doubles_nothing(place: Place) -> None:
    step, survived = 0, False
    while not survived:
        step += 1
        stream_id = f"cam{step}"
        key, incarnation = await place.create(stream_id)
        heir = place.node()
        mortal = place.node(fuse := Fuse(step))
        try:
            await mortal.send(key, stream_id, 0)
            place.clock.advance(TARGET_S)
            await mortal.send(key, stream_id, 1)
            survived = True
        except Died:
            assert fuse.is_blown
        for number in (0, 1):  # as whoever got no answer does
            assert (await heir.send(key, stream_id, number)).status in {"ingested", "duplicate"}
        place.clock.advance(TARGET_S)
        await heir.announce(stream_id, incarnation)
        ledger = await place.ledger(stream_id)
        assert [(one.msn, one.gap) for one in ledger.segments("sound")] == [(0, False), (1, False)], step
        assert ledger.keys <= place.stored(stream_id)
    assert step > 20
    assert ledger.keys == place.stored(stream_id)


async def test_what_a_dead_one_stored_is_announced_without_a_retry(place: Place) -> None:
    key, incarnation = await place.create("cam")
    await place.node().send(key, "cam", 0)
    place.clock.advance(TARGET_S)
    await place.node().announce("cam", incarnation)
    assert len((await place.ledger("cam")).segments("sound")) == 1


async def test_of_a_segment_and_its_gap_one_wins(place: Place) -> None:
    key, incarnation = await place.create("cam")
    node, other = place.node(), place.node()
    for number in (0, 2):
        await node.send(key, "cam", number)
    place.clock.advance(TARGET_S)
    await node.announce("cam", incarnation)
    place.clock.advance(3 * TARGET_S)
    taken, _ = await asyncio.gather(
        node.send(key, "cam", 1), other.announce("cam", incarnation), return_exceptions=True
    )
    ledger = await place.ledger("cam")
    is_gap = ledger.segments("sound")[1].gap
    assert isinstance(taken, errors.OutOfRange) == is_gap
    assert ledger.keys == place.stored("cam")


async def test_publisher_at_the_same_moment_loses_the_stream(place: Place) -> None:
    key, _ = await place.create("cam")
    node = place.node()
    await node.send(key, "cam", 0)
    place.clock.advance(TARGET_S)
    await node.send(key, "cam", 1)
    stream = timeline_pb2.Stream(
        stream_id="cam",
        kind=timeline_pb2.STREAM_KIND_LIVE,
        container=timeline_pb2.CONTAINER_TS,
        target_duration_s=TARGET_S,
    )
    await place.distributor.timeline.Open(timeline_pb2.OpenRequest(stream=stream, owner="publisher"))
    assert (await node.send(key, "cam", 2)).is_announced


async def test_feeds_are_looked_after_and_forgotten_when_their_stream_is_over(place: Place) -> None:
    key, incarnation = await place.create("cam")
    node = place.node()
    await node.send(key, "cam", 0)
    feed_id = FeedId("cam", incarnation)

    async def is_announced() -> bool:
        place.clock.advance(0.2)
        return bool((await place.ledger("cam")).segments("sound"))

    async def is_forgotten() -> bool:
        return await place.stores.feeds.get(feed_id) is None

    async with ReadyWatch(node.ports, node.announcer, sweep_s=0.1).running():
        await until(is_announced)
        assert not await is_forgotten()
        await place.distributor.streams.StopStream(api.StopStreamRequest(stream_id="cam"))
        await until(is_forgotten)
