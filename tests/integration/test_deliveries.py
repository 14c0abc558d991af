"""Deliveries to real peers: gateways over gRPC, a CDN over HTTP, and what becomes of them when these fail."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from chassis.errors import FailedPrecondition, ResourceExhausted
from chassis.storage import open_store
from distributor.adapters.cdn import CdnClient
from distributor.adapters.freight import FreightStore
from distributor.adapters.gateway_client import GatewayCarrier
from distributor.deliveries import Deliveries, singly
from distributor.domain.delivery import Edge, EdgeKind, Freight, Order
from distributor.domain.entries import LedgerId
from support.edges import Cdn, GatewayEdge, away, behind, running_cdn, running_gateway_edge

DATA = b"moof" * 400_000  # several pieces of a push
LIGHT = b"moof" * 1_000
SECRET = "between us"


class Letters:
    """Keeps dead letters in memory."""

    def __init__(self) -> None:
        self.kept: list[tuple[Order, int, str]] = []

    async def put(self, order: Order, *, attempts_count: int, error: str) -> None:
        self.kept.append((order, attempts_count, error))

    async def count(self) -> int:
        return len(self.kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    desk: Deliveries
    gateway: GatewayEdge
    cdn: Cdn
    client: CdnClient
    letters: Letters

    def order(self, msn: int = 0, edge: Edge | None = None, **changes: object) -> Order:
        fields = {"retries_count": 3, "timeout_s": 5.0, "compression_level": 6, "is_new": False, **changes}
        return Order(edge=edge or self.gateway.edge, freight=freight(msn), **fields)  # type: ignore[arg-type]

    def cdn_edge(self, kind: EdgeKind) -> Edge:
        return Edge(name="cdn", kind=kind, address=self.cdn.url, secret=SECRET)


def light(order: Order) -> Order:
    """The same of an object that may go with others."""
    return replace(
        order, freight=replace(order.freight, object_key=f"light/{order.freight.msn}", size_bytes=len(LIGHT))
    )


def freight(msn: int) -> Freight:
    return Freight(
        ledger_id=LedgerId(stream_id="film", incarnation="3f2a"),
        rendition_id="Low",
        msn=msn,
        suffix="m4s",
        object_key=f"streams/film/{msn:08d}.m4s",
        size_bytes=len(DATA),
    )


@asynccontextmanager
async def _scene(*, workers: int = 2, limit: int = 100) -> AsyncIterator[Scene]:
    storage = open_store("memory:")
    for msn in range(10):
        await storage.put(freight(msn).object_key, DATA)
        await storage.put(f"light/{msn}", LIGHT)
    store = FreightStore(storage, limit_bytes=2 * len(DATA))
    async with running_gateway_edge() as gateway, running_cdn() as cdn:
        carrier = GatewayCarrier(store)
        edges = [Edge(name="cdn", kind=EdgeKind.PUT, address=cdn.url, secret=SECRET)]
        client = CdnClient(store, edges, lambda: 1_800_000_000.0)
        letters = Letters()
        carriers = {
            EdgeKind.GATEWAY: carrier.carry,
            EdgeKind.PUT: singly(client.put),
            EdgeKind.PREFETCH: singly(client.prefetch),
        }
        desk = Deliveries(carriers, letters, workers_count=workers, limit_count=limit)
        tasks = [asyncio.create_task(desk.work()) for _ in range(workers)]
        try:
            yield Scene(desk=desk, gateway=gateway, cdn=cdn, client=client, letters=letters)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await carrier.close()
            await client.close()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with _scene() as scene:
        yield scene


async def test_a_gateway_gets_the_bytes(scene: Scene) -> None:
    delivery = await (await scene.desk.take(scene.order()))
    assert (delivery.error, delivery.attempts_count, delivery.size_bytes) == ("", 1, len(DATA))
    assert scene.gateway.held == {freight(0).object_key: DATA}


@pytest.mark.parametrize("failure", [behind, away])
async def test_a_gateway_that_is_not_ready_is_tried_again(scene: Scene, failure: object) -> None:
    scene.gateway.failures = [failure(), failure()]  # type: ignore[operator]
    delivery = await (await scene.desk.take(scene.order()))
    assert not delivery.error
    assert scene.gateway.held


async def test_a_delivery_that_never_succeeds_becomes_a_dead_letter(scene: Scene) -> None:
    edge = Edge(name="gone", kind=EdgeKind.PUT, address="http://127.0.0.1:1")
    delivery = await (await scene.desk.take(scene.order(edge=edge, retries_count=1)))
    assert "gone cannot be reached" in delivery.error
    assert delivery.attempts_count == 2
    assert [(order.edge.name, attempts) for order, attempts, _ in scene.letters.kept] == [("gone", 2)]


async def test_a_refusal_is_not_tried_again(scene: Scene) -> None:
    scene.gateway.failures = [FailedPrecondition("not the announced one")]
    delivery = await (await scene.desk.take(scene.order()))
    assert (delivery.attempts_count, delivery.error) == (1, "not the announced one")


async def test_an_edge_that_hangs_is_left_alone_and_holds_up_nobody_for_long(scene: Scene) -> None:
    scene.gateway.may_go_on.clear()
    hanging = [await scene.desk.take(scene.order(msn, timeout_s=0.1)) for msn in range(5)]
    put = await scene.desk.take(scene.order(edge=scene.cdn_edge(EdgeKind.PUT)))
    assert not (await put).error
    errors = [(await one).error for one in hanging]
    assert all(errors)
    assert any("left alone" in error for error in errors)


async def test_what_was_just_announced_overtakes_what_waits() -> None:
    async with _scene(workers=1) as scene:
        scene.gateway.may_go_on.clear()
        first = await scene.desk.take(scene.order(0))
        await scene.gateway.asked.wait()  # the one worker has it
        others = [await scene.desk.take(scene.order(msn, is_new=msn > 2)) for msn in (1, 2, 3, 4)]
        scene.gateway.may_go_on.set()
        await asyncio.gather(first, *others)
        assert scene.gateway.order == [freight(msn).object_key for msn in (0, 4, 3, 1, 2)]


async def test_what_waits_for_one_edge_goes_together_the_most_urgent_first() -> None:
    async with _scene(workers=1) as scene:
        scene.gateway.may_go_on.clear()
        first = await scene.desk.take(scene.order(0))
        await scene.gateway.asked.wait()  # the one worker has it
        others = [await scene.desk.take(light(scene.order(msn, is_new=msn > 2))) for msn in (1, 2, 3, 4)]
        scene.gateway.may_go_on.set()
        await asyncio.gather(first, *others)
        assert scene.gateway.calls == [4]
        assert scene.gateway.order[1:] == ["light/4", "light/3", "light/1", "light/2"]


async def test_of_what_goes_together_each_succeeds_or_fails_by_itself() -> None:
    async with _scene(workers=1) as scene:
        scene.gateway.may_go_on.clear()
        held = [await scene.desk.take(light(scene.order(msn))) for msn in range(4)]
        lost = await scene.desk.take(replace(light(scene.order(4)), freight=freight(99)))
        scene.gateway.failures = [behind(), FailedPrecondition("not the announced one")]
        scene.gateway.may_go_on.set()
        deliveries = await asyncio.gather(*held)
        assert [(one.attempts_count, one.error) for one in deliveries] == [
            (2, ""),
            (1, "not the announced one"),
            (1, ""),
            (1, ""),
        ]
        assert "00000099" in (await lost).error
        assert sorted(scene.gateway.held) == ["light/0", "light/2", "light/3"]
        assert scene.gateway.calls == [4, 1]


async def test_a_gateway_that_takes_nothing_together_is_pushed_one_by_one() -> None:
    async with _scene(workers=1) as scene:
        scene.gateway.takes_together = False
        held = [await scene.desk.take(light(scene.order(msn))) for msn in range(3)]
        assert [(one.error, one.size_bytes) for one in await asyncio.gather(*held)] == [("", len(LIGHT))] * 3
        assert sorted(scene.gateway.held) == ["light/0", "light/1", "light/2"]


async def test_a_full_desk_slows_givers_down_and_refuses_who_cannot_wait() -> None:
    async with _scene(workers=1, limit=2) as scene:
        scene.gateway.may_go_on.clear()
        held = [await scene.desk.take(scene.order(msn)) for msn in (0, 1)]
        with pytest.raises(ResourceExhausted, match="2 deliveries wait"):
            await scene.desk.take_at_once(scene.order(2))
        slowed = asyncio.create_task(scene.desk.take(scene.order(3)))
        await asyncio.wait([slowed], timeout=0.1)
        assert not slowed.done()
        scene.gateway.may_go_on.set()
        await asyncio.gather(*held, await slowed)
        await scene.desk.drained()
        assert len(scene.gateway.order) == 3


async def test_a_cdn_that_stores_is_given_the_object_under_its_public_name(scene: Scene) -> None:
    delivery = await (await scene.desk.take(scene.order(7, scene.cdn_edge(EdgeKind.PUT))))
    assert not delivery.error
    assert scene.cdn.kept == {"/hls/film/variants/Low/segment_7.m4s?i=3f2a": DATA}


async def test_a_cdn_that_fetches_is_made_to_keep_the_object(scene: Scene) -> None:
    scene.cdn.origin = {freight(7).path: DATA}
    delivery = await (await scene.desk.take(scene.order(7, scene.cdn_edge(EdgeKind.PREFETCH))))
    assert (delivery.error, delivery.size_bytes) == ("", len(DATA))
    assert scene.cdn.kept == {freight(7).path: DATA}


async def test_a_cdn_that_cuts_an_object_has_not_got_it(scene: Scene) -> None:
    scene.cdn.origin = {freight(7).path: DATA[:-1]}
    edge = scene.cdn_edge(EdgeKind.PREFETCH)
    delivery = await (await scene.desk.take(scene.order(7, edge, retries_count=0)))
    assert "sent 1599999 bytes of 1600000" in delivery.error


@pytest.mark.parametrize("level", [1, 9])
async def test_text_is_compressed_as_the_profile_says_and_media_is_not(scene: Scene, level: int) -> None:
    captions = replace(freight(7), suffix="vtt")
    edge = scene.cdn_edge(EdgeKind.PUT)
    order = replace(scene.order(7, edge, compression_level=level), freight=captions)
    await (await scene.desk.take(order))
    assert scene.cdn.sent_bytes[captions.path] == len(gzip.compress(DATA, level))
    await (await scene.desk.take(scene.order(7, edge, compression_level=level)))
    assert scene.cdn.sent_bytes[freight(7).path] == len(DATA)
    assert scene.cdn.kept == dict.fromkeys([captions.path, freight(7).path], DATA)


async def test_a_busy_cdn_is_asked_again(scene: Scene) -> None:
    scene.cdn.statuses = [503, 429]
    delivery = await (await scene.desk.take(scene.order(7, scene.cdn_edge(EdgeKind.PUT))))
    assert (delivery.error, delivery.attempts_count) == ("", 3)


async def test_requests_to_a_cdn_are_signed(scene: Scene) -> None:
    await (await scene.desk.take(scene.order(7, scene.cdn_edge(EdgeKind.PUT))))
    ((method, path, signature),) = scene.cdn.requests
    signed = f"1800000000.{method}.{path}".encode()
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert signature == f"t=1800000000, v1={expected}"


async def test_a_cdn_forgets_a_stream_that_is_gone(scene: Scene) -> None:
    await (await scene.desk.take(scene.order(7, scene.cdn_edge(EdgeKind.PUT))))
    await scene.client.purge("film")
    assert scene.cdn.kept == {}
    assert scene.cdn.requests[-1][:2] == ("PURGE", "/hls/film/")
