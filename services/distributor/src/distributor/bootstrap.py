"""The composition root: builds the room, starts it, stops it gracefully."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc
from nats.aio.client import Client
from weir.distributor.v1 import distributor_pb2_grpc as api_grpc
from weir.timeline.v1 import timeline_pb2_grpc as pb_grpc

from chassis.errors import WeirError
from chassis.grpc_client import open_channel
from chassis.grpc_server import serve
from chassis.layout import new_id
from chassis.lifecycle import Stopping, end_tasks
from chassis.messaging import connect
from chassis.storage import open_store
from chassis.telemetry import log
from chassis.tls import Certificates, certificates_of
from distributor.adapters import ledger_store, registry_store
from distributor.adapters.abr_client import AbrClient
from distributor.adapters.dead_letters import open_dead_letters
from distributor.adapters.feeds import Tails
from distributor.adapters.head_store import open_heads
from distributor.adapters.ledger_store import LedgerStore, open_ledger_journal
from distributor.adapters.live_owners import NatsOwners
from distributor.adapters.needs import PeerNeeds
from distributor.adapters.registry_store import open_registry
from distributor.adapters.roster import NatsRoster
from distributor.adapters.tombstone_store import open_tombstones
from distributor.adapters.transcoder_client import TranscoderClient
from distributor.adapters.view_log import ViewLog, open_view_log
from distributor.adapters.view_states import open_view_states
from distributor.bootstrap_delivery import DeliveryRoom, build_delivery, build_desk, delivering
from distributor.config import DistributorConfig
from distributor.convert_create import LiveDefaults
from distributor.convert_streams import IngestUrls
from distributor.domain.entries import LedgerId
from distributor.domain.views import Terms
from distributor.folds import Folds
from distributor.mailbox import Mailbox
from distributor.ports import Item
from distributor.service import Timelines
from distributor.service_cleanup import Cleanup
from distributor.service_clips import Clips
from distributor.service_live import LiveStreams
from distributor.service_remains import Remains
from distributor.service_stop import Stops
from distributor.service_streams import Streams
from distributor.service_viewers import Distribution
from distributor.service_watch import Watches
from distributor.servicer import LiveServicer, StreamServicer, TimelineServicer
from distributor.servicer_distribution import DistributionServicer
from distributor.viewers import ViewerRules, Viewers

Clock = Callable[[], datetime]

SERVICES = (
    "weir.timeline.v1.TimelineService",
    "weir.distributor.v1.StreamService",
    "weir.distributor.v1.LiveService",
    "weir.distributor.v1.DistributionService",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsFeeds:
    """News of ledgers and of the registry; implements the port Feeds."""

    ledgers: Tails[Item]
    registry: Tails[Item]

    def follow_ledger(self, ledger_id: LedgerId, mailbox: Mailbox[Item]) -> AbstractAsyncContextManager[int]:
        return self.ledgers.follow(ledger_store.subject_of(ledger_id), mailbox)

    def follow_stream(self, stream_id: str, mailbox: Mailbox[Item]) -> AbstractAsyncContextManager[int]:
        return self.registry.follow(registry_store.subject_of(stream_id), mailbox)

    def close(self) -> None:
        """End all watchers: the process stops."""
        self.ledgers.close()
        self.registry.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Everything that the distributor consists of, built and not yet running."""

    timelines: Timelines
    streams: Streams
    live: LiveStreams
    stops: Stops
    clips: Clips
    remains: Remains
    cleanup: Cleanup
    watches: Watches
    view_log: ViewLog
    viewers: Viewers
    distribution: Distribution
    roster: NatsRoster
    delivery: DeliveryRoom
    defaults: LiveDefaults
    urls: IngestUrls
    folds: Folds
    feeds: NatsFeeds
    needs: PeerNeeds
    now: Callable[[], datetime]

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicers to a server."""
        pb_grpc.add_TimelineServiceServicer_to_server(TimelineServicer(self.timelines, self.watches), server)
        streams = StreamServicer(
            self.streams,
            self.live,
            self.stops,
            self.clips,
            self.distribution,
            defaults=self.defaults,
            urls=self.urls,
        )
        api_grpc.add_StreamServiceServicer_to_server(streams, server)
        api_grpc.add_LiveServiceServicer_to_server(LiveServicer(self.live), server)
        distribution = DistributionServicer(
            self.distribution,
            self.viewers,
            self.delivery.shipping,
            self.delivery.pathways,
            needs=self.needs,
            now=self.now,
        )
        api_grpc.add_DistributionServiceServicer_to_server(distribution, server)


async def build(
    config: DistributorConfig,
    client: Client,
    transcoders: grpc.aio.Channel,
    abr: grpc.aio.Channel,
    *,
    tls: Certificates | None = None,
    now: Clock | None = None,
) -> Room:
    """Build the room on a connection to NATS and channels to its peers; `now` is the clock."""
    now = now or _now
    heads = await open_heads(client, replicas=config.nats_replicas)
    journal = await open_ledger_journal(
        client, heads, replicas=config.nats_replicas, max_bytes=config.ledger_limit_bytes
    )
    registry, registry_journal = await open_registry(client, replicas=config.nats_replicas)
    store = LedgerStore(journal, now)
    folds = Folds(store, limit_count=config.fold_cache_count)
    objects = open_store(config.storage_url, config.storage_options)
    transcoder = TranscoderClient(transcoders)
    remains = Remains(
        registry=registry,
        reader=store,
        heads=heads,
        folds=folds,
        objects=objects,
        tombstones=await open_tombstones(client, replicas=config.nats_replicas),
        now=now,
    )
    streams = Streams(
        registry=registry,
        writer=store,
        reader=store,
        folds=folds,
        heads=heads,
        remains=remains,
        now=now,
    )
    view_log = await open_view_log(client, replicas=config.nats_replicas, max_bytes=config.views_limit_bytes)
    states = await open_view_states(client, replicas=config.nats_replicas)
    viewers = Viewers(view_log, states, _viewer_rules(config), lambda: now().timestamp())
    letters = await open_dead_letters(client, replicas=config.nats_replicas)
    desk = build_desk(config, objects, letters, tls, lambda: now().timestamp())
    name = new_id()
    roster = NatsRoster(client, name, desk.deliveries.figures)
    distribution = Distribution(
        registry=registry,
        streams=streams,
        viewers=viewers,
        abr=AbrClient(abr),
        roster=roster,
        profiles=config.delivery_profiles,
        now=now,
    )
    interval_s = config.reread_interval_s
    feeds = NatsFeeds(
        ledgers=Tails(client, journal, ledger_store.stored_record, reread_interval_s=interval_s),
        registry=Tails(client, registry_journal, registry_store.stream_changed, reread_interval_s=interval_s),
    )
    watches = Watches(
        reader=store,
        streams=streams,
        feeds=feeds,
        queue_count=config.watch_queue_count,
        queue_bytes=config.watch_queue_bytes,
    )
    return Room(
        timelines=Timelines(
            writer=store, reader=store, registry=registry, folds=folds, streams=streams, now=now
        ),
        streams=streams,
        live=LiveStreams(
            registry=registry,
            streams=streams,
            folds=folds,
            puller=transcoder,
            now=now,
        ),
        clips=Clips(registry=registry, streams=streams, writer=store, reader=store, heads=heads, now=now),
        remains=remains,
        cleanup=Cleanup(
            registry=registry,
            writer=store,
            reader=store,
            heads=heads,
            remains=remains,
            now=now,
        ),
        stops=Stops(
            registry=registry,
            streams=streams,
            folds=folds,
            writer=store,
            owners=NatsOwners(client),
            closer=transcoder,
        ),
        defaults=LiveDefaults(
            rungs=config.ladder,
            dvr_window_s=config.live_dvr_window_s,
            part_target_s=config.live_part_target_s,
        ),
        urls=IngestUrls(rtmp=config.rtmp_public_url, srt=config.srt_public_url, http=config.http_public_url),
        watches=watches,
        view_log=view_log,
        viewers=viewers,
        distribution=distribution,
        roster=roster,
        delivery=build_delivery(
            config,
            desk,
            name=name,
            roster=roster,
            viewers=viewers,
            streams=streams,
            watches=watches,
            reader=store,
            now=lambda: now().timestamp(),
        ),
        folds=folds,
        feeds=feeds,
        needs=PeerNeeds(client, objects, abr),
        now=now,
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
        async with room.view_log.listening(), room.roster.show():
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
        yield


async def _sweep(room: Room, interval_s: float) -> None:
    while True:
        try:
            await room.streams.sweep()
            await room.stops.sweep()
            await room.distribution.sweep()
            await room.live.sweep()
        except WeirError as error:
            log.warning("sweep failed", error=error.message)
        await asyncio.sleep(interval_s)


async def _clean(room: Room, interval_s: float) -> None:
    while True:
        await asyncio.sleep(interval_s)
        try:
            await room.cleanup.round()
            await room.remains.round()
        except WeirError as error:
            log.warning("cleanup failed", error=error.message)


def _viewer_rules(config: DistributorConfig) -> ViewerRules:
    terms = Terms(timeout_s=config.session_timeout_s, limit_count=config.session_limit_count)
    return ViewerRules(terms=terms, state_interval_s=config.views_state_interval_s)


def _now() -> datetime:
    return datetime.now(UTC)
