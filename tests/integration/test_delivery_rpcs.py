"""Deliveries as a whole: what is announced reaches every edge, over two distributors, once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from weir.distributor.v1 import distributor_pb2 as api

from chassis import errors
from chassis.grpc_client import peer_errors
from chassis.messaging import jetstream
from chassis.nats_connection import connect
from chassis.storage import open_store
from distributor.adapters.dead_letters import NatsDeadLetters, open_dead_letters
from distributor.config import DistributorConfig
from distributor.domain.delivery import Edge, EdgeKind, Freight, Order, order_for
from distributor.domain.entries import LedgerId
from distributor.domain.profiles import PROFILES
from support.distributor import Distributor, Writer, open_writer, rendition, running_distributor, segment
from support.edges import Cdn, GatewayEdge, away, running_cdn, running_gateway_edge
from support.nats import NatsServer

DATA = b"segments" * 62_500  # as large as the announced ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    replicas: Sequence[Distributor]
    gateway: GatewayEdge
    cdn: Cdn
    writer: Writer
    storage: Any

    async def announce(self, msn: int) -> str:
        """Store a segment and append it; answers its key."""
        entry = segment(msn, size_bytes=len(DATA))
        await self.storage.put(entry.segment.object_key, DATA)
        await self.writer.append(entry)
        return str(entry.segment.object_key)

    async def call(self, name: str, request: Any, *, replica: int = 0) -> Any:
        async with peer_errors():
            return await getattr(self.replicas[replica].distribution, name)(request)

    async def deliver(self, segment_id: str, **fields: Any) -> Any:
        request = api.DeliverSegmentRequest(stream_id="film", segment_id=segment_id, **fields)
        return await self.call("DeliverSegment", request)

    async def start(self) -> None:
        await self.call("StartDistribution", api.StartDistributionRequest(recording_id="film"))

    async def report(self, *samples: api.DeliverySample) -> None:
        message = api.ReportDeliveriesRequest(
            gateway="g1",
            report_number=time.monotonic_ns(),
            grpc_address=self.gateway.address,
            samples=samples,
        )
        await self.call("ReportDeliveries", iter([message]))


@asynccontextmanager
async def _scene(nats_url: str, folder: Path, *, count: int = 1, **settings: Any) -> AsyncIterator[Scene]:
    url = f"file://{folder}/objects"
    async with running_gateway_edge() as gateway, running_cdn() as cdn:
        cdns = ({"name": "cdn", "kind": "put", "address": cdn.url, "secret": "s"},)
        options = {"storage_url": url, "cdns": cdns, "session_timeout_s": 30.0, **settings}
        async with (
            running_distributor(nats_url, **options) as one,
            running_distributor(nats_url, **options) as two,
        ):
            writer = await open_writer(one.timeline)
            await writer.append(rendition())
            scene = Scene(
                replicas=(one, two)[:count],
                gateway=gateway,
                cdn=cdn,
                writer=writer,
                storage=open_store(url),
            )
            await scene.report()
            yield scene


@pytest.fixture
async def scene(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Scene]:
    async with _scene(nats_server.url, tmp_path) as scene:
        yield scene


async def until(holds: Callable[[], Awaitable[Any] | Any], *, within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while True:
        found = holds()
        if await found if asyncio.iscoroutine(found) else found:
            return
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_a_segment_is_delivered_to_every_edge_on_demand(scene: Scene) -> None:
    key = await scene.announce(0)
    answer = await scene.deliver("segment_0.m4s")
    assert answer.success
    assert {(one.edge, one.rendition, one.bytes, one.attempts) for one in answer.deliveries} == {
        ("g1", "Low", len(DATA), 1),
        ("cdn", "Low", len(DATA), 1),
    }
    assert scene.gateway.held == {key: DATA}
    path = f"/hls/film/variants/Low/segment_0.m4s?i={scene.writer.incarnation}"
    assert scene.cdn.kept == {path: DATA}


async def test_a_failed_delivery_is_told_not_raised_and_kept_for_people(
    scene: Scene, nats_server: NatsServer
) -> None:
    await scene.announce(0)
    scene.gateway.failures = [away() for _ in range(9)]
    answer = await scene.deliver("0")
    assert not answer.success
    assert {one.edge: bool(one.error) for one in answer.deliveries} == {"g1": True, "cdn": False}
    config = DistributorConfig(nats_url=nats_server.url)
    async with connect(config, name="test") as client:
        letter = await jetstream(client).get_last_msg("WEIR_DEAD_DELIVERIES", "weir.dead.deliveries.film")
        assert json.loads(letter.data or b"")["edge"] == "g1"
    metrics = await scene.call("GetMetrics", api.GetMetricsRequest())
    assert (metrics.total_delivery_failures, metrics.workers) == (1, 8)


async def test_a_dead_letter_counts_once_though_it_had_to_be_sent_twice(nats_server: NatsServer) -> None:
    async with _letters(nats_server) as (client, letters):
        sent_count = client.stats["out_msgs"]
        nats_server.freeze()
        putting = asyncio.create_task(letters.put(_order(), attempts_count=1, error="gone"))
        await until(lambda: client.stats["out_msgs"] >= sent_count + 2)
        nats_server.thaw()
        await putting
        assert await letters.count() == 1


async def test_failures_stay_counted_when_their_letters_are_over_and_nats_is_away(
    nats_server: NatsServer,
) -> None:
    async with _letters(nats_server) as (client, letters):
        for _ in range(2):
            await letters.put(_order(), attempts_count=1, error="gone")
        await jetstream(client).purge_stream("WEIR_DEAD_DELIVERIES")
        assert await letters.count() == 2
        other = await open_dead_letters(client, replicas=1)
        nats_server.kill()
        assert await other.count() == 2


@asynccontextmanager
async def _letters(server: NatsServer) -> AsyncIterator[tuple[Client, NatsDeadLetters]]:
    async with connect(DistributorConfig(nats_url=server.url), name="test") as client:
        yield client, await open_dead_letters(client, replicas=1)


def _order() -> Order:
    ledger_id = LedgerId(stream_id="film", incarnation="3f2a")
    freight = Freight(
        ledger_id=ledger_id, rendition_id="Low", msn=0, suffix="m4s", object_key="a.m4s", size_bytes=1
    )
    edge = Edge(name="cdn", kind=EdgeKind.PUT, address="https://cdn.example.com")
    return order_for(edge, freight, PROFILES[0], is_new=False)


async def test_a_viewer_is_served_where_they_are(scene: Scene) -> None:
    await scene.announce(0)
    await scene.call("JoinStream", api.JoinStreamRequest(stream_id="film", viewer_id="v"))
    joined = await scene.call("JoinStream", api.JoinStreamRequest(stream_id="film", viewer_id="v"))
    with pytest.raises(errors.NotFound, match="no gateway"):
        await scene.deliver("0", viewer_id="v")
    await scene.report(api.DeliverySample(stream_id="film", session_id=joined.session_id, variant_id="Low"))
    answer = await scene.deliver("0", viewer_id="v")
    assert [one.edge for one in answer.deliveries] == ["g1"]
    assert not scene.cdn.kept


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"segment_id": "x"}, errors.InvalidArgument, "segment_id is 'x'"),
        ({"segment_id": "7"}, errors.NotFound, "no segment 7"),
        ({"segment_id": "0", "rendition": "Huge"}, errors.NotFound, "Huge"),
        ({"segment_id": "0", "viewer_id": "../x"}, errors.InvalidArgument, "viewer_id"),
    ],
)
async def test_what_cannot_be_delivered_is_refused(
    scene: Scene, fields: dict[str, str], kind: type[Exception], words: str
) -> None:
    await scene.announce(0)
    with pytest.raises(kind, match=words):
        await scene.deliver(**fields)


async def test_what_is_announced_is_pushed_once_whoever_distributes(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    async with _scene(nats_server.url, tmp_path, count=2) as scene:
        keys = [await scene.announce(0)]
        await scene.start()
        await until(lambda: _announced(scene, keys))
        fresh = [await scene.announce(len(keys) + number) for number in range(5)]
        await until(lambda: set(fresh) <= set(scene.gateway.order) and len(scene.cdn.kept) >= len(fresh))
        assert keys[0] not in scene.gateway.held  # what came before is left to viewers' requests
        assert [scene.gateway.order.count(key) for key in fresh] == [1] * len(fresh)


async def _announced(scene: Scene, keys: list[str]) -> bool:
    """Announce one more; whether somebody follows the stream by now."""
    keys.append(await scene.announce(len(keys)))
    return bool(scene.gateway.order)


async def test_a_cdn_forgets_a_stream_that_is_deleted(scene: Scene) -> None:
    keys = [await scene.announce(0)]
    await scene.start()
    await until(lambda: _announced(scene, keys))
    await until(lambda: scene.cdn.kept)
    await scene.replicas[0].streams.DeleteStream(api.DeleteStreamRequest(stream_id="film"))
    await until(lambda: ("PURGE", "/hls/film/") in [request[:2] for request in scene.cdn.requests])
    assert not scene.cdn.kept


async def test_pathways_are_told_and_told_again_when_one_falls_sick(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    async with running_cdn() as other:
        routes = (
            {"pathway_id": "origin", "base_url": "", "weight": 1},
            {"pathway_id": "other", "base_url": other.url, "weight": 3},
        )
        settings: dict[str, Any] = {"pathways": routes, "pathway_check_interval_s": 0.1}
        async with _scene(nats_server.url, tmp_path, **settings) as scene:
            call = scene.replicas[0].distribution.WatchPathways(api.WatchPathwaysRequest(watcher="test"))
            first = await call.read()
            assert [(one.pathway_id, one.weight, one.healthy) for one in first.pathways] == [
                ("other", 3, True),
                ("origin", 1, True),
            ]
            other.statuses = [503] * 1000
            sick = await call.read()
            assert [one.healthy for one in sick.pathways] == [False, True]
            other.statuses = []
            well = await call.read()
            assert all(one.healthy for one in well.pathways)
            call.cancel()
