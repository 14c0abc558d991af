"""The composition root: starts the room, and stops it gracefully."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from chassis.errors import WeirError
from chassis.grpc_client import open_channel
from chassis.grpc_server import serve
from chassis.lifecycle import Stopping, end_tasks
from chassis.nats_connection import connect
from chassis.telemetry import log
from chassis.tls import Certificates, certificates_of
from distributor.bootstrap_delivery import delivering
from distributor.bootstrap_room import Room, build
from distributor.config import DistributorConfig

SERVICES = (
    "weir.timeline.v1.TimelineService",
    "weir.distributor.v1.StreamService",
    "weir.distributor.v1.LiveService",
    "weir.distributor.v1.DistributionService",
)


@asynccontextmanager
async def serve_distributor(config: DistributorConfig, stopping: Stopping) -> AsyncIterator[int]:
    """Run the distributor for as long as the block lasts; yields its port."""
    tls = certificates_of(config)
    async with (
        connect(config, name="distributor", tls=tls) as client,
        open_channel(config.transcoder_address, tls) as transcoders,
        open_channel(config.abr_address, tls) as abr,
    ):
        room = await build(config, client, transcoders, abr, tls=tls)
        async with room.view_log.listening(), room.fold_news.listening(), room.roster.show():
            await room.viewers.begin()
            async with (
                delivering(room.delivery, stopping, config),
                _serving(config, room, stopping, tls) as port,
            ):
                yield port


@asynccontextmanager
async def _serving(
    config: DistributorConfig, room: Room, stopping: Stopping, tls: Certificates | None
) -> AsyncIterator[int]:
    tasks = (
        stopping.run(room.feeds.ledgers.heal(), name="heal ledgers"),
        stopping.run(room.feeds.registry.heal(), name="heal registry"),
        stopping.run(_sweep(room, config.sweep_interval_s), name="sweep"),
        stopping.run(_clean(room, config.cleanup_interval_s), name="clean"),
        stopping.run(room.viewers.follow(), name="follow views"),
        stopping.run(room.viewers.send(), name="send views"),
        stopping.run(room.viewers.keep_states(), name="keep states of views"),
    )
    try:
        async with serve(
            config.grpc_address,
            room.register,
            services=SERVICES,
            grace_s=config.shutdown_grace_s,
            tls=tls,
            health_address=config.health_address,
        ) as (health, port):
            yield port
            await health.set_serving(False)
            await asyncio.sleep(config.drain_s)
            await room.delivery.pathways.close()
            room.feeds.close()  # watchers end with UNAVAILABLE and go to another replica at once
    finally:
        await end_tasks(*tasks)


@asynccontextmanager
async def run_distributor(config: DistributorConfig, stopping: Stopping) -> AsyncIterator[None]:
    """Run the distributor as `chassis.lifecycle` wants it."""
    async with serve_distributor(config, stopping):
        gc.freeze()  # what was loaded so far stays: full collections, which all wait for, pass it over
        yield


async def _sweep(room: Room, interval_s: float) -> None:
    while True:
        for sweep in (room.streams.sweep, room.stops.sweep, room.distribution.sweep, room.live.sweep):
            await _try(sweep, "sweep failed")
        await asyncio.sleep(interval_s)


async def _clean(room: Room, interval_s: float) -> None:
    while True:
        await asyncio.sleep(interval_s)
        for clean in (room.cleanup.round, room.remains.round):
            await _try(clean, "cleanup failed")


async def _try(work: Callable[[], Awaitable[object]], failed: str) -> None:
    """Do what comes again anyway; that it failed is logged."""
    try:
        await work()
    except WeirError as error:
        log.warning(failed, error=error.message)
    except Exception:  # noqa: BLE001 - a worker's edge
        log.exception(failed)
