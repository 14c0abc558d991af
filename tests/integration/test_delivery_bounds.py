"""The bounds of deliveries: how many go at a time, wait, or stay in memory; how long a stop waits for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chassis import errors
from distributor.domain.delivery import LIGHT_BYTES
from distributor.domain.profiles import DEFAULT_PROFILE, PROFILES, find_profile
from support.deliveries import DeliveryScene, delivery_scene, until
from support.nats import NatsServer

HEAVY = bytes(LIGHT_BYTES + 1)  # goes alone
PATIENT = replace(find_profile(PROFILES, DEFAULT_PROFILE), timeout_s=120.0)


@asynccontextmanager
async def slow_scene(server: NatsServer, folder: Path, **settings: Any) -> AsyncIterator[DeliveryScene]:
    """One distributor, and a gateway that takes nothing until it may go on."""
    options = {"cdns": (), "delivery_profiles": (PATIENT,), **settings}
    async with delivery_scene(server.url, folder, count=1, **options) as scene:
        scene.gateway.may_go_on.clear()
        yield scene


async def announce_behind_a_push(scene: DeliveryScene, count: int) -> list[str]:
    """Announce so many segments while the gateway does not answer an earlier push; answers their keys."""
    keys = [await scene.announce(0, HEAVY)]
    await scene.start()
    await until(lambda: scene.reaches_the_gateway(keys, HEAVY))
    return [await scene.announce(len(keys) + number, HEAVY) for number in range(count)]


@pytest.mark.parametrize("workers", [1, 2])
async def test_as_many_calls_go_at_a_time_as_there_are_workers(
    nats_server: NatsServer, tmp_path: Path, workers: int
) -> None:
    async def are_all_taken() -> bool:
        return (scene.gateway.calls_count, await scene.waiting_count()) == (workers, 5 - workers)

    async with slow_scene(nats_server, tmp_path, delivery_workers=workers) as scene:
        keys = [await scene.announce(msn, HEAVY) for msn in range(5)]
        deliveries = asyncio.gather(*(scene.deliver(str(msn)) for msn in range(5)))
        await until(are_all_taken)
        scene.gateway.may_go_on.set()
        assert all(answer.success for answer in await deliveries)
        assert scene.gateway.most_calls_count == workers
        assert sorted(scene.gateway.held) == keys


async def test_a_full_desk_holds_up_pushes_and_refuses_who_asks(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    async def is_full() -> bool:
        return await scene.waiting_count() == 1  # the other one is at the gateway

    async with slow_scene(nats_server, tmp_path, delivery_workers=1, delivery_queue_count=2) as scene:
        late = await announce_behind_a_push(scene, 4)
        await until(is_full)
        async with asyncio.timeout(20):
            with pytest.raises(errors.ResourceExhausted, match="2 deliveries wait already"):
                await scene.deliver("0")
        assert await is_full()
        scene.gateway.may_go_on.set()
        await until(lambda: set(late) <= set(scene.gateway.held))


@pytest.mark.parametrize(("held_count", "is_held"), [(1, False), (2, True)])
async def test_as_much_of_what_was_delivered_stays_in_memory_as_is_set(
    nats_server: NatsServer, tmp_path: Path, held_count: int, is_held: bool
) -> None:
    limit_bytes = held_count * len(HEAVY)
    async with slow_scene(nats_server, tmp_path, delivery_memory_bytes=limit_bytes) as scene:
        scene.gateway.may_go_on.set()
        first, _ = [await scene.announce(msn, HEAVY) for msn in range(2)]
        assert [(await scene.deliver(str(msn))).success for msn in range(2)] == [True, True]
        await scene.storage.delete(first)
        assert (await scene.deliver("0")).success is is_held


async def test_a_stop_carries_out_what_was_taken(nats_server: NatsServer, tmp_path: Path) -> None:
    async with slow_scene(nats_server, tmp_path, delivery_workers=1, shutdown_grace_s=60.0) as scene:
        late = await announce_behind_a_push(scene, 3)
        await until(lambda: _wait(scene, 3))
        stop = asyncio.create_task(scene.running.aclose())
        await until(lambda: _refuses(scene))
        await asyncio.wait([stop], timeout=0.2)
        assert not stop.done()
        assert not scene.gateway.held
        scene.gateway.may_go_on.set()
        await stop
        assert set(late) <= set(scene.gateway.held)


async def test_a_stop_waits_for_an_edge_no_longer_than_the_grace(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    async with slow_scene(nats_server, tmp_path, delivery_workers=1, shutdown_grace_s=0.2) as scene:
        await announce_behind_a_push(scene, 3)
        async with asyncio.timeout(20):
            await scene.running.aclose()
        assert not scene.gateway.held


async def _wait(scene: DeliveryScene, count: int) -> bool:
    return await scene.waiting_count() >= count


async def _refuses(scene: DeliveryScene) -> bool:
    """Whether the distributor takes no more calls."""
    host, _, port = scene.replicas[0].address.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except ConnectionRefusedError:
        return True
    writer.close()
    return False
