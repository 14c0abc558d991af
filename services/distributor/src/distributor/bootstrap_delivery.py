"""The composition of what concerns edges: the desk and its workers, pushes, pathways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chassis.lifecycle import Stopping, end_tasks
from chassis.telemetry import log
from distributor.adapters.cdn import CdnClient
from distributor.adapters.edges import KnownEdges
from distributor.adapters.freight import FreightStore
from distributor.adapters.gateway_client import GatewayCarrier
from distributor.adapters.roster import NatsRoster
from distributor.bootstrap_ground import Ground
from distributor.config import DistributorConfig
from distributor.deliveries import Deliveries, singly
from distributor.domain.delivery import EdgeKind
from distributor.service_deliver import Shipping
from distributor.service_pathways import Pathways
from distributor.service_push import Pushing
from distributor.service_streams import Streams
from distributor.service_watch import Watches
from distributor.viewers import Viewers


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The desk with those who carry for it; built first, because the roster tells of it."""

    deliveries: Deliveries
    gateways: GatewayCarrier
    cdn: CdnClient


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRoom:
    """Everything that concerns edges, built and not yet running."""

    desk: Desk
    shipping: Shipping
    pushing: Pushing
    pathways: Pathways


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Who watches what, and the other distributors, which know this one by `name`."""

    name: str
    roster: NatsRoster
    viewers: Viewers
    streams: Streams
    watches: Watches


def build_desk(ground: Ground) -> Desk:
    """Build the desk."""
    config = ground.config
    store = FreightStore(ground.objects, limit_bytes=config.delivery_memory_bytes)
    gateways = GatewayCarrier(store, ground.tls)
    cdn = CdnClient(store, config.cdns, ground.seconds)
    carriers = {
        EdgeKind.GATEWAY: gateways.carry,
        EdgeKind.PUT: singly(cdn.put),
        EdgeKind.PREFETCH: singly(cdn.prefetch),
    }
    deliveries = Deliveries(
        carriers,
        ground.letters,
        workers_count=config.delivery_workers,
        limit_count=config.delivery_queue_count,
    )
    return Desk(deliveries=deliveries, gateways=gateways, cdn=cdn)


def build_delivery(ground: Ground, desk: Desk, around: Surroundings) -> DeliveryRoom:
    """Build everything around the desk."""
    config = ground.config
    edges = KnownEdges(around.viewers, config.cdns)
    return DeliveryRoom(
        desk=desk,
        shipping=_shipping(ground, desk, around, edges),
        pushing=_pushing(ground, desk, around, edges),
        pathways=Pathways(config.pathways, desk.cdn, interval_s=config.pathway_check_interval_s),
    )


def _shipping(ground: Ground, desk: Desk, around: Surroundings, edges: KnownEdges) -> Shipping:
    return Shipping(
        streams=around.streams,
        reader=ground.store,
        viewers=around.viewers,
        edges=edges,
        desk=desk.deliveries,
        profiles=ground.config.delivery_profiles,
        now=ground.seconds,
    )


def _pushing(ground: Ground, desk: Desk, around: Surroundings, edges: KnownEdges) -> Pushing:
    return Pushing(
        name=around.name,
        roster=around.roster,
        viewers=around.viewers,
        streams=around.streams,
        watches=around.watches,
        reader=ground.store,
        edges=edges,
        desk=desk.deliveries,
        purger=desk.cdn,
        profiles=ground.config.delivery_profiles,
    )


@asynccontextmanager
async def delivering(
    room: DeliveryRoom, stopping: Stopping, config: DistributorConfig
) -> AsyncIterator[None]:
    """Carry and push for as long as the block lasts; then what was taken is carried out, within the grace."""
    workers = [
        stopping.run(room.desk.deliveries.work(), name=f"deliver {number}")
        for number in range(config.delivery_workers)
    ]
    pushing = stopping.run(room.pushing.run(), name="push")
    checking = stopping.run(room.pathways.check(), name="check pathways")
    try:
        yield
    finally:
        await end_tasks(pushing, checking)
        try:
            async with asyncio.timeout(config.shutdown_grace_s):
                await room.desk.deliveries.drained()
        except TimeoutError:
            log.warning("deliveries left undone", count=room.desk.deliveries.figures().queued_count)
        await end_tasks(*workers)
        await room.desk.gateways.close()
        await room.desk.cdn.close()
