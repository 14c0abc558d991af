"""The composition of the room: what it stands on, and each use-case over it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc
from nats.aio.client import Client
from weir.distributor.v1 import distributor_pb2_grpc as api_grpc
from weir.timeline.v1 import timeline_pb2_grpc as pb_grpc

from chassis.layout import new_id
from chassis.tls import Certificates
from distributor.adapters import ledger_store, registry_store
from distributor.adapters.abr_client import AbrClient
from distributor.adapters.feeds import Tails
from distributor.adapters.live_owners import NatsOwners
from distributor.adapters.needs import PeerNeeds
from distributor.adapters.roster import NatsRoster
from distributor.adapters.transcoder_client import TranscoderClient
from distributor.adapters.view_log import ViewLog
from distributor.bootstrap_delivery import DeliveryRoom, build_delivery, build_desk
from distributor.bootstrap_ground import Clock, Ground, open_ground
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """What concerns viewers, and the edges that serve them."""

    viewers: Viewers
    distribution: Distribution
    roster: NatsRoster
    delivery: DeliveryRoom


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
    return _room_on(await open_ground(config, client, TranscoderClient(transcoders), abr, tls, now or _now))


def _room_on(ground: Ground) -> Room:
    remains = _remains(ground)
    streams = _streams(ground, remains)
    feeds = _feeds(ground)
    watches = _watches(ground, streams, feeds)
    crowd = _crowd(ground, streams, watches)
    return Room(
        timelines=_timelines(ground, streams),
        streams=streams,
        live=_live(ground, streams),
        stops=_stops(ground, streams),
        clips=_clips(ground, streams),
        remains=remains,
        cleanup=_cleanup(ground, remains),
        watches=watches,
        view_log=ground.view_log,
        viewers=crowd.viewers,
        distribution=crowd.distribution,
        roster=crowd.roster,
        delivery=crowd.delivery,
        defaults=_defaults(ground.config),
        urls=_urls(ground.config),
        folds=ground.folds,
        feeds=feeds,
        needs=PeerNeeds(ground.client, ground.objects, ground.abr),
        now=ground.now,
    )


def _remains(ground: Ground) -> Remains:
    return Remains(
        registry=ground.registry,
        reader=ground.store,
        heads=ground.heads,
        folds=ground.folds,
        objects=ground.objects,
        tombstones=ground.tombstones,
        now=ground.now,
    )


def _streams(ground: Ground, remains: Remains) -> Streams:
    return Streams(
        registry=ground.registry,
        writer=ground.store,
        reader=ground.store,
        folds=ground.folds,
        heads=ground.heads,
        remains=remains,
        now=ground.now,
    )


def _timelines(ground: Ground, streams: Streams) -> Timelines:
    return Timelines(
        writer=ground.store,
        reader=ground.store,
        registry=ground.registry,
        folds=ground.folds,
        streams=streams,
        now=ground.now,
    )


def _live(ground: Ground, streams: Streams) -> LiveStreams:
    return LiveStreams(
        registry=ground.registry,
        streams=streams,
        folds=ground.folds,
        puller=ground.transcoder,
        now=ground.now,
    )


def _stops(ground: Ground, streams: Streams) -> Stops:
    return Stops(
        registry=ground.registry,
        streams=streams,
        folds=ground.folds,
        writer=ground.store,
        owners=NatsOwners(ground.client),
        closer=ground.transcoder,
    )


def _clips(ground: Ground, streams: Streams) -> Clips:
    return Clips(
        registry=ground.registry,
        streams=streams,
        writer=ground.store,
        reader=ground.store,
        heads=ground.heads,
        now=ground.now,
    )


def _cleanup(ground: Ground, remains: Remains) -> Cleanup:
    return Cleanup(
        registry=ground.registry,
        writer=ground.store,
        reader=ground.store,
        heads=ground.heads,
        remains=remains,
        now=ground.now,
    )


def _feeds(ground: Ground) -> NatsFeeds:
    client, interval_s = ground.client, ground.config.reread_interval_s
    return NatsFeeds(
        ledgers=Tails(client, ground.journal, ledger_store.stored_record, reread_interval_s=interval_s),
        registry=Tails(
            client, ground.registry_journal, registry_store.stream_changed, reread_interval_s=interval_s
        ),
    )


def _watches(ground: Ground, streams: Streams, feeds: NatsFeeds) -> Watches:
    return Watches(
        reader=ground.store,
        streams=streams,
        feeds=feeds,
        queue_count=ground.config.watch_queue_count,
        queue_bytes=ground.config.watch_queue_bytes,
    )


def _crowd(ground: Ground, streams: Streams, watches: Watches) -> Crowd:
    """Build what concerns viewers and edges; under one name this distributor is known to the others."""
    config, name = ground.config, new_id()
    viewers = Viewers(ground.view_log, ground.view_states, _viewer_rules(config), ground.seconds)
    desk = build_desk(config, ground.objects, ground.letters, ground.tls, ground.seconds)
    roster = NatsRoster(ground.client, name, desk.deliveries.figures)
    delivery = build_delivery(
        config,
        desk,
        name=name,
        roster=roster,
        viewers=viewers,
        streams=streams,
        watches=watches,
        reader=ground.store,
        now=ground.seconds,
    )
    distribution = _distribution(ground, streams, viewers, roster)
    return Crowd(viewers=viewers, distribution=distribution, roster=roster, delivery=delivery)


def _distribution(ground: Ground, streams: Streams, viewers: Viewers, roster: NatsRoster) -> Distribution:
    return Distribution(
        registry=ground.registry,
        streams=streams,
        viewers=viewers,
        abr=AbrClient(ground.abr),
        roster=roster,
        profiles=ground.config.delivery_profiles,
        now=ground.now,
    )


def _defaults(config: DistributorConfig) -> LiveDefaults:
    return LiveDefaults(
        rungs=config.ladder,
        dvr_window_s=config.live_dvr_window_s,
        part_target_s=config.live_part_target_s,
    )


def _urls(config: DistributorConfig) -> IngestUrls:
    return IngestUrls(rtmp=config.rtmp_public_url, srt=config.srt_public_url, http=config.http_public_url)


def _viewer_rules(config: DistributorConfig) -> ViewerRules:
    terms = Terms(timeout_s=config.session_timeout_s, limit_count=config.session_limit_count)
    return ViewerRules(terms=terms, state_interval_s=config.views_state_interval_s)


def _now() -> datetime:
    return datetime.now(UTC)
