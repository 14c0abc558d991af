"""Two replicas of abr and a gateway's way to them: each viewer is known in one place, and dies with none."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import nats
import pytest
from weir.abr.v1 import abr_pb2 as pb
from weir.abr.v1 import abr_pb2_grpc as pb_grpc

from chassis import layout
from chassis.errors import NotFound, Unavailable
from chassis.grpc_client import open_channel, peer_errors
from hls_gateway.adapters.abr_client import AbrClient
from hls_gateway.adapters.abr_replicas import REST_S, AbrReplicas, resolve
from hls_gateway.domain.replica_table import ReplicaTable
from hls_gateway.domain.reports import Sample
from hls_gateway.domain.shares import in_messages
from support.abr import NO_NATS, StreamsPeer, running_streams_peer
from support.nats import NatsServer
from support.ports import free_base

VIEWERS = tuple(f"viewer-{number}" for number in range(20))
SEGMENTS = 8


@dataclass(frozen=True)
class Replica:
    """One process of abr."""

    address: str
    process: subprocess.Popen[bytes]
    stub: Any

    async def stats(self, viewer_id: str = "") -> Any:
        async with peer_errors():
            return await self.stub.GetStats(pb.GetStatsRequest(recording_id="film", viewer_id=viewer_id))

    async def segments(self, viewer_id: str) -> int:
        """How many of a viewer's segments it knows."""
        try:
            return int((await self.stats(viewer_id)).recent_segments_count)
        except NotFound:
            return 0

    async def select(self, viewer_id: str) -> Any:
        question = pb.SelectQualityRequest(
            recording_id="film", viewer_id=viewer_id, bandwidth=3_000, buffer_s=9
        )
        async with peer_errors():
            return await self.stub.SelectQuality(question)


class Clock:
    """Goes as fast as others do, and jumps when it is told to."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


@dataclass(frozen=True)
class Suite:
    """Two replicas, and a gateway's client of them."""

    replicas: Mapping[str, Replica]
    places: AbrReplicas
    clock: Clock
    client: AbrClient

    async def watch(self, msn: int) -> None:
        """Let each viewer load a segment, and tell it until it is heard."""
        reports = in_messages([sample(viewer, msn) for viewer in VIEWERS], 0)
        async with asyncio.timeout(20):
            while unheard := await self.client.report(reports):
                reports = list(unheard.reports)

    def homes(self) -> Mapping[str, Replica]:
        table = ReplicaTable(self.replicas)
        return {viewer: self.replicas[table.home(viewer)] for viewer in VIEWERS}

    def other(self, one: Replica) -> Replica:
        (other,) = (replica for replica in self.replicas.values() if replica is not one)
        return other


def sample(viewer_id: str, msn: int) -> Sample:
    """A segment of 4 s that came in half a second, just now."""
    return Sample(
        stream_id="film",
        viewer_id=viewer_id,
        variant_id="medium",
        msn=msn,
        sample_time=time.time(),
        size_bytes=1_000_000,
        transfer_ms=500,
        buffer_s=20,
        duration_s=4,
    )


@pytest.fixture
async def peer() -> AsyncIterator[StreamsPeer]:
    async with running_streams_peer() as peer:
        yield peer


@asynccontextmanager
async def suite(peer: StreamsPeer, nats_url: str) -> AsyncIterator[Suite]:
    """Run both replicas, and a client that finds them in a list, as a run on one machine does."""
    base, clock = free_base(2), Clock()
    async with AsyncExitStack() as stack:
        started = [
            await stack.enter_async_context(running_replica(f"127.0.0.1:{port}", peer, nats_url))
            for port in (base, base + 1)
        ]
        known = {replica.address: replica for replica in started}
        places = AbrReplicas("ipv4:" + ",".join(known), None, clock)
        stack.push_async_callback(places.close)
        channel = await stack.enter_async_context(open_channel(started[0].address))
        yield Suite(known, places, clock, AbrClient(channel, places, "test"))


@asynccontextmanager
async def running_replica(address: str, peer: StreamsPeer, nats_url: str) -> AsyncIterator[Replica]:
    """Run one abr as production does."""
    process = start(address, peer, nats_url)
    try:
        async with open_channel(address) as channel:
            async with asyncio.timeout(20):
                await channel.channel_ready()
            yield Replica(address, process, pb_grpc.AbrServiceStub(channel))
    finally:
        process.kill()
        process.wait()


def start(address: str, peer: StreamsPeer, nats_url: str) -> subprocess.Popen[bytes]:
    settings = {
        "WEIR_GRPC_ADDRESS": address,
        "WEIR_NATS_URL": nats_url,
        "WEIR_NATS_CONNECT_TIMEOUT_S": "0.1" if nats_url == NO_NATS else "20",
        "WEIR_DISTRIBUTOR_ADDRESS": peer.address,
        "WEIR_SNAPSHOT_INTERVAL_S": "0.2",
    }
    argv = [sys.executable, "-m", "abr"]
    return subprocess.Popen(argv, env={**os.environ, **settings}, stdout=subprocess.DEVNULL)


async def until(wanted: object, ask: Callable[..., Awaitable[object]], *arguments: object) -> None:
    """Ask again until the answer is what is wanted."""
    deadline = time.monotonic() + 30
    while (answer := await ask(*arguments)) != wanted:
        assert time.monotonic() < deadline, f"{answer} instead of {wanted}"
        await asyncio.sleep(0.02)


async def test_each_viewer_is_known_in_one_place(peer: StreamsPeer) -> None:
    async with suite(peer, NO_NATS) as house:
        for msn in range(SEGMENTS):
            await house.watch(msn)
        homes = house.homes()
        assert {replica.address for replica in homes.values()} == set(house.replicas)
        for viewer, home in homes.items():
            assert (await home.stats(viewer)).recent_segments_count == SEGMENTS
            assert await house.other(home).segments(viewer) == 0


async def test_any_replica_tells_what_all_viewers_felt(peer: StreamsPeer, nats_server: NatsServer) -> None:
    async with suite(peer, nats_server.url) as house:
        for msn in range(SEGMENTS):
            await house.watch(msn)
        for replica in house.replicas.values():
            await until((len(VIEWERS), SEGMENTS), counted, replica)
        for viewer, home in house.homes().items():
            assert (await home.stats(viewer)).recent_segments_count == SEGMENTS
            # of a viewer who belongs to another, what that one saved last
            await until(SEGMENTS, house.other(home).segments, viewer)


@pytest.mark.torture
async def test_viewers_of_a_replica_that_is_killed_go_on_at_the_other_with_their_history(
    peer: StreamsPeer, nats_server: NatsServer
) -> None:
    async with suite(peer, nats_server.url) as house:
        for msn in range(SEGMENTS):
            await house.watch(msn)
        await until({SEGMENTS}, saved_counts, nats_server)
        dead = house.homes()[VIEWERS[0]]
        dead.process.kill()
        dead.process.wait()
        for msn in range(SEGMENTS, SEGMENTS + 2):
            await house.watch(msn)
        left = house.other(dead)
        await until((len(VIEWERS), SEGMENTS + 2), counted, left)


async def test_who_comes_back_to_a_replica_goes_on_with_what_the_other_one_measured(
    peer: StreamsPeer, nats_server: NatsServer
) -> None:
    async with suite(peer, nats_server.url) as house:
        for msn in range(SEGMENTS):
            await house.watch(msn)
        await until({SEGMENTS}, saved_counts, nats_server)
        homes = house.homes()
        house.places.note_failure(homes[VIEWERS[0]].address)
        await house.watch(SEGMENTS)
        await until({SEGMENTS + 1}, saved_counts, nats_server)
        await beats(nats_server, house)
        house.clock.ahead_s += REST_S
        await house.watch(SEGMENTS + 1)
        for viewer, home in homes.items():
            await until(SEGMENTS + 2, home.segments, viewer)


async def test_who_is_asked_about_a_viewer_of_another_replica_saves_nothing_over_it(
    peer: StreamsPeer, nats_server: NatsServer
) -> None:
    async with suite(peer, nats_server.url) as house:
        await house.watch(0)
        await until({1}, saved_counts, nats_server)
        homes = house.homes()
        for viewer, home in homes.items():
            await house.other(home).select(viewer)
        for msn in range(1, SEGMENTS):
            await house.watch(msn)
            for viewer, home in homes.items():
                await house.other(home).select(viewer)
        await until({SEGMENTS}, saved_counts, nats_server)


async def test_while_all_replicas_are_away_samples_wait(peer: StreamsPeer) -> None:
    async with suite(peer, NO_NATS) as house:
        for replica in house.replicas.values():
            replica.process.kill()
            replica.process.wait()
        reports = in_messages([sample(viewer, 0) for viewer in VIEWERS], 3)
        unheard = await house.client.report(reports)
        assert unheard is not None
        assert isinstance(unheard.failure, Unavailable)
        assert sorted(one.viewer_id for report in unheard.reports for one in report.samples) == sorted(
            VIEWERS
        )
        assert sum(report.dropped_count for report in unheard.reports) == 3


async def test_a_name_means_each_of_its_addresses() -> None:
    assert await resolve("dns:///localhost:50051") == {"127.0.0.1:50051"}
    assert await resolve("localhost:50051") == {"127.0.0.1:50051"}
    assert await resolve("[::1]:50051") == {"[::1]:50051"}
    assert await resolve("ipv4:10.0.0.1:1,10.0.0.2:2") == {"10.0.0.1:1", "10.0.0.2:2"}
    with pytest.raises(OSError, match=r"."):
        await resolve("dns:///nowhere.invalid:50051")


async def beats(nats_server: NatsServer, house: Suite) -> None:
    """Wait until each replica showed twice that it lives: by then the other one doubts what it measured."""
    counts: Counter[bytes] = Counter()
    async with await nats.connect(nats_server.url) as client, asyncio.timeout(20):
        heard = await client.subscribe(layout.ABR_BEAT_SUBJECT)
        while len(counts) < len(house.replicas) or min(counts.values()) < 2:
            counts[(await heard.next_msg(timeout=None)).data] += 1


async def counted(replica: Replica) -> tuple[int, float]:
    """How many viewers a replica counts in all, and how many segments of each."""
    stats = await replica.stats()
    return stats.viewers_count, stats.recent_segments_count / max(stats.viewers_count, 1)


async def saved_counts(nats_server: NatsServer) -> set[float]:
    """How many segments are saved of each viewer; all counts that there are."""
    async with await nats.connect(nats_server.url) as client:
        bucket = await client.jetstream().key_value(layout.ABR_VIEWERS_BUCKET)
        try:
            kept = [await bucket.get(layout.abr_viewer_key("film", viewer)) for viewer in VIEWERS]
        except nats.js.errors.KeyNotFoundError:
            return set()
    return {json.loads(one.value or b"{}")["experience"]["segments"] for one in kept}
