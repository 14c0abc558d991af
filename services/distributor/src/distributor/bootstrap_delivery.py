"""The composition of what concerns edges: the desk and its workers, pushes, pathways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chassis.lifecycle import Stopping, end_tasks
from chassis.storage import ObjectStore
from chassis.telemetry import log
from chassis.tls import Certificates
from distributor.adapters.cdn import CdnClient
from distributor.adapters.dead_letters import NatsDeadLetters
from distributor.adapters.edges import KnownEdges
from distributor.adapters.freight import FreightStore
from distributor.adapters.gateway_client import GatewayCarrier
from distributor.config import DistributorConfig
from distributor.deliveries import Deliveries, singly
from distributor.domain.delivery import EdgeKind
from distributor.ports import LedgerReader, Roster
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


def build_desk(
    config: DistributorConfig,
    objects: ObjectStore,
    letters: NatsDeadLetters,
    tls: Certificates | None,
    now: Callable[[], float],
) -> Desk:
    """Build the desk."""
    store = FreightStore(objects, limit_bytes=config.delivery_memory_bytes)
    gateways = GatewayCarrier(store, tls)
    cdn = CdnClient(store, config.cdns, now)
    carriers = {
        EdgeKind.GATEWAY: gateways.carry,
        EdgeKind.PUT: singly(cdn.put),
        EdgeKind.PREFETCH: singly(cdn.prefetch),
    }
    deliveries = Deliveries(
        carriers, letters, workers_count=config.delivery_workers, limit_count=config.delivery_queue_count
    )
    return Desk(deliveries=deliveries, gateways=gateways, cdn=cdn)


def build_delivery(
    config: DistributorConfig,
    desk: Desk,
    *,
    name: str,
    roster: Roster,
    viewers: Viewers,
    streams: Streams,
    watches: Watches,
    reader: LedgerReader,
    now: Callable[[], float],
) -> DeliveryRoom:
    """Build everything around the desk; `name` is this distributor's in the roster."""
    edges = KnownEdges(viewers, config.cdns)
    return DeliveryRoom(
        desk=desk,
        shipping=Shipping(
            streams=streams,
            reader=reader,
            viewers=viewers,
            edges=edges,
            desk=desk.deliveries,
            profiles=config.delivery_profiles,
            now=now,
        ),
        pushing=Pushing(
            name=name,
            roster=roster,
            viewers=viewers,
            streams=streams,
            watches=watches,
            reader=reader,
            edges=edges,
            desk=desk.deliveries,
            purger=desk.cdn,
            profiles=config.delivery_profiles,
        ),
        pathways=Pathways(config.pathways, desk.cdn, interval_s=config.pathway_check_interval_s),
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
