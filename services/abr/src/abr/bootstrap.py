"""The composition root: builds the room, starts it, stops it gracefully."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from weir.abr.v1 import abr_pb2_grpc

from abr.adapters.bulletin import NatsBulletin
from abr.adapters.replicas import NatsReplicas
from abr.adapters.snapshot_store import SnapshotStore
from abr.adapters.streams import DistributorStreams
from abr.config import AbrConfig
from abr.domain.crowd import Crowd
from abr.domain.policies import POLICIES
from abr.domain.policies.robust_mpc import RobustMpc
from abr.service import Adaptation
from abr.service_census import Census
from abr.service_decide import Decider
from abr.service_prepare import Preparer
from abr.service_samples import Intake
from abr.service_viewers import Viewers
from abr.servicer import AbrServicer
from chassis import layout
from chassis.errors import Unavailable
from chassis.grpc_client import open_channel
from chassis.grpc_server import serve
from chassis.lifecycle import Stopping, end_tasks
from chassis.nats_connection import connect
from chassis.telemetry import log
from chassis.tls import Certificates, certificates_of

SERVICES = ("weir.abr.v1.AbrService",)
EXPIRE_INTERVAL_S = 5.0
URGENT_INTERVAL_S = 1.0
"""How long a viewer who was just measured for the first time, or changed what it plays, waits to be saved."""
RARELY = (10_000, 20, 100)
"""Of garbage collection: viewers are freed without it, and looking at all of them takes long."""
SWITCH_S = 0.0005
"""How long a thread that works tables out goes on when the event loop has something to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Everything that adaptation consists of, built and not yet running."""

    crowd: Crowd
    streams: DistributorStreams
    snapshots: SnapshotStore
    bulletin: NatsBulletin
    replicas: NatsReplicas
    census: Census
    viewers: Viewers
    preparer: Preparer
    decider: Decider
    intake: Intake
    servicer: AbrServicer

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicer to a server."""
        abr_pb2_grpc.add_AbrServiceServicer_to_server(self.servicer, server)


def build(config: AbrConfig, distributor: grpc.aio.Channel) -> Room:
    """Build the room on a channel to the distributor; NATS joins it when it is there."""
    now = time.time
    replica = layout.new_id()
    snapshots, bulletin, replicas = SnapshotStore(), NatsBulletin(replica), NatsReplicas(replica)
    preparer = Preparer(POLICIES, stand_in=RobustMpc())
    decider = Decider(
        POLICIES, default_policy=config.abr_policy, preparer=preparer, bulletin=bulletin, now=now
    )
    crowd = Crowd(limit_count=config.viewer_count, idle_s=config.viewer_idle_s)
    streams = DistributorStreams(
        distributor,
        limit_count=config.stream_count,
        refresh_s=config.stream_refresh_s,
        vod_buffer_target_s=config.vod_buffer_target_s,
        clock=time.monotonic,
        learned=decider.prepare,
    )
    viewers = Viewers(crowd, snapshots, replicas, interval_s=config.snapshot_interval_s, now=now)
    intake = Intake(streams, viewers, decider, now=now)
    census = Census(viewers, replicas)
    return Room(
        crowd=crowd,
        streams=streams,
        snapshots=snapshots,
        bulletin=bulletin,
        replicas=replicas,
        census=census,
        viewers=viewers,
        preparer=preparer,
        decider=decider,
        intake=intake,
        servicer=AbrServicer(
            Adaptation(streams, viewers, decider, census, now=now),
            intake,
            bulletin,
            watch_queue_count=config.watch_queue_count,
            now=now,
        ),
    )


@asynccontextmanager
async def serve_abr(config: AbrConfig, stopping: Stopping) -> AsyncIterator[int]:
    """Run the service for as long as the block lasts; yields its port."""
    tls = certificates_of(config)
    async with open_channel(config.distributor_address, tls) as distributor:
        room, asked = build(config, distributor), asyncio.Event()
        tasks = (
            stopping.run(_keep_nats(config, room, asked, tls), name="keep NATS"),
            stopping.run(room.bulletin.run(), name="tell decisions"),
            stopping.run(room.replicas.run(), name="show that this process lives"),
            stopping.run(room.decider.run(), name="decide"),
            stopping.run(room.preparer.run(), name="prepare policies"),
            stopping.run(room.intake.run(), name="look viewers up"),
            stopping.run(_save(room, config.snapshot_interval_s), name="save viewers"),
            stopping.run(_save_urgent(room), name="save who changed most"),
            stopping.run(_expire(room), name="forget viewers"),
        )
        try:
            await asked.wait()
            await room.snapshots.prefetch()
            async with serve(
                config.grpc_address,
                room.register,
                services=SERVICES,
                grace_s=config.shutdown_grace_s,
                tls=tls,
                health_address=config.health_address,
            ) as (health, port):
                gc.freeze()  # what was loaded so far stays: a full collection need not look at it again
                yield port
                await health.set_serving(False)
                await asyncio.sleep(config.drain_s)
                room.bulletin.close()  # watchers end with UNAVAILABLE and go to another replica at once
            await room.viewers.save()
        finally:
            await end_tasks(*tasks)


@asynccontextmanager
async def run_abr(config: AbrConfig, stopping: Stopping) -> AsyncIterator[None]:
    """Run the service as `chassis.lifecycle` wants it."""
    sys.setswitchinterval(SWITCH_S)
    gc.set_threshold(*RARELY)
    async with serve_abr(config, stopping):
        yield


async def _keep_nats(config: AbrConfig, room: Room, asked: asyncio.Event, tls: Certificates | None) -> None:
    """Connect to NATS sooner or later; `asked` says that it was there, or that nobody should wait for it."""
    while True:
        try:
            async with connect(config, name="abr", tls=tls) as client:
                await room.snapshots.open(client, replicas=config.nats_replicas)
                await room.bulletin.open(client)
                await room.replicas.open(client, room.census.here)
                asked.set()
                await asyncio.Event().wait()
        except Unavailable as error:
            log.warning("serving without NATS: viewers' states are not kept", error=error.message)
            room.snapshots.close()
            asked.set()


async def _save(room: Room, interval_s: float) -> None:
    while True:
        await asyncio.sleep(interval_s / 2)
        await room.viewers.save(over_s=interval_s / 2)


async def _save_urgent(room: Room) -> None:
    while True:
        await asyncio.sleep(URGENT_INTERVAL_S)
        await room.viewers.save_urgent()


async def _expire(room: Room) -> None:
    while True:
        await asyncio.sleep(EXPIRE_INTERVAL_S)
        await room.viewers.expire()
