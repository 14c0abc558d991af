"""Deliveries as a whole: what is announced reaches every edge, over two distributors, once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from weir.distributor.v1 import distributor_pb2 as api

from chassis import errors
from chassis.messaging import jetstream
from chassis.nats_connection import connect
from distributor.adapters.dead_letters import NatsDeadLetters, open_dead_letters
from distributor.config import DistributorConfig
from distributor.domain.delivery import Edge, EdgeKind, Freight, Order, order_for
from distributor.domain.entries import LedgerId
from distributor.domain.profiles import PROFILES
from support.deliveries import DATA, DeliveryScene, delivery_scene, until
from support.edges import away, running_cdn
from support.nats import NatsServer


@pytest.fixture
async def scene(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[DeliveryScene]:
    async with delivery_scene(nats_server.url, tmp_path) as scene:
        yield scene


async def test_a_segment_is_delivered_to_every_edge_on_demand(scene: DeliveryScene) -> None:
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
    scene: DeliveryScene, nats_server: NatsServer
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


async def test_a_viewer_is_served_where_they_are(scene: DeliveryScene) -> None:
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
    scene: DeliveryScene, fields: dict[str, str], kind: type[Exception], words: str
) -> None:
    await scene.announce(0)
    with pytest.raises(kind, match=words):
        await scene.deliver(**fields)


async def test_what_is_announced_is_pushed_once_whoever_distributes(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    async with delivery_scene(nats_server.url, tmp_path) as scene:
        keys = [await scene.announce(0)]
        await scene.start()
        await until(lambda: scene.reaches_the_gateway(keys))
        fresh = [await scene.announce(len(keys) + number) for number in range(5)]
        await until(lambda: set(fresh) <= set(scene.gateway.order) and len(scene.cdn.kept) >= len(fresh))
        assert keys[0] not in scene.gateway.held  # what came before is left to viewers' requests
        assert [scene.gateway.order.count(key) for key in fresh] == [1] * len(fresh)


async def test_a_cdn_forgets_a_stream_that_is_deleted(scene: DeliveryScene) -> None:
    keys = [await scene.announce(0)]
    await scene.start()
    await until(lambda: scene.reaches_the_gateway(keys))
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
        async with delivery_scene(nats_server.url, tmp_path, **settings) as scene:
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
