"""The composition of the room: its ground, streams, viewers and edges, and the servicers before them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc
from nats.aio.client import Client
from weir.distributor.v1 import distributor_pb2_grpc as api_grpc
from weir.timeline.v1 import timeline_pb2_grpc as pb_grpc

from chassis.tls import Certificates
from distributor.adapters.fold_news import FoldNews
from distributor.adapters.needs import PeerNeeds
from distributor.adapters.roster import NatsRoster
from distributor.adapters.transcoder_client import TranscoderClient
from distributor.adapters.view_log import ViewLog
from distributor.bootstrap_crowd import build_crowd
from distributor.bootstrap_delivery import DeliveryRoom
from distributor.bootstrap_ground import Clock, Ground, open_ground
from distributor.bootstrap_streams import NatsFeeds, build_streams
from distributor.config import DistributorConfig
from distributor.convert_create import LiveDefaults
from distributor.convert_streams import IngestUrls
from distributor.folds import Folds
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
from distributor.viewers import Viewers


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
    fold_news: FoldNews
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
    return _room_on(await open_ground(config, client, TranscoderClient(transcoders), abr, tls, now or _now))


def _room_on(ground: Ground) -> Room:
    about_streams = build_streams(ground)
    crowd = build_crowd(ground, about_streams.streams, about_streams.watches)
    return Room(
        timelines=about_streams.timelines,
        streams=about_streams.streams,
        live=about_streams.live,
        stops=about_streams.stops,
        clips=about_streams.clips,
        remains=about_streams.remains,
        cleanup=about_streams.cleanup,
        watches=about_streams.watches,
        view_log=ground.view_log,
        viewers=crowd.viewers,
        distribution=crowd.distribution,
        roster=crowd.roster,
        delivery=crowd.delivery,
        defaults=_defaults(ground.config),
        urls=_urls(ground.config),
        folds=ground.folds,
        fold_news=ground.fold_news,
        feeds=about_streams.feeds,
        needs=PeerNeeds(ground.client, ground.objects, ground.abr),
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


def _now() -> datetime:
    return datetime.now(UTC)
