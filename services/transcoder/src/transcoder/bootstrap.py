"""The composition root: builds the room, starts it, stops it gracefully."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from nats.aio.client import Client
from weir.transcoder.v1 import transcoder_pb2_grpc as pb_grpc

from chassis.grpc_client import open_channel
from chassis.grpc_server import serve
from chassis.lifecycle import Stopping
from chassis.nats_connection import connect
from chassis.tls import certificates_of
from transcoder import service_delete
from transcoder.adapters.fetcher import FetchRules, HttpFetcher
from transcoder.adapters.timeline_client import TimelineClient
from transcoder.bootstrap_ground import Stores, now, open_stores, worker_name
from transcoder.bootstrap_jobs import build_driver, build_intake, build_jobs, build_pool
from transcoder.bootstrap_live import Live, Ready, build_live, build_ready
from transcoder.config import TranscoderConfig
from transcoder.ingest.http_push import HttpPush
from transcoder.service_delete import Deletion
from transcoder.service_pool import Pool
from transcoder.service_receive import Limits
from transcoder.service_recordings import Recordings
from transcoder.servicer import IngestServicer, RecordingServicer, TranscodeServicer

SERVICES = (
    "weir.transcoder.v1.RecordingService",
    "weir.transcoder.v1.TranscodeService",
    "weir.transcoder.v1.IngestService",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Everything that the transcoder consists of, built and not yet running."""

    recordings: RecordingServicer
    transcoding: TranscodeServicer
    ingest: IngestServicer
    live: Live
    ready: Ready
    pool: Pool

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicers to a server."""
        pb_grpc.add_RecordingServiceServicer_to_server(self.recordings, server)
        pb_grpc.add_TranscodeServiceServicer_to_server(self.transcoding, server)
        pb_grpc.add_IngestServiceServicer_to_server(self.ingest, server)


def build(config: TranscoderConfig, stores: Stores, client: Client, channel: grpc.aio.Channel) -> Room:
    """Build the room on what it keeps elsewhere, NATS, and a channel to the distributor."""
    live = build_live(config, stores, client, channel)
    ready = build_ready(config, stores, client, channel)
    timeline = TimelineClient(channel, owner=worker_name())
    fetcher = HttpFetcher(_fetch_rules(config))
    driver = build_driver(config, stores, timeline)
    intake = build_intake(config, stores, fetcher)
    ports = service_delete.Ports(
        recordings=stores.recordings, jobs=stores.jobs, folders=stores.folders, timeline=timeline
    )
    recordings = Recordings(store=stores.recordings, queue=stores.queue, fetcher=fetcher, clock=now)
    return Room(
        recordings=RecordingServicer(
            recordings,
            intake,
            Deletion(ports, driver),
            silence_s=config.upload_silence_s,
        ),
        transcoding=TranscodeServicer(
            jobs=build_jobs(config, stores, intake, driver), ladder=config.ladder, clock=now
        ),
        ingest=_build_ingest(config, stores, live, ready),
        live=live,
        ready=ready,
        pool=build_pool(config, stores, intake, driver, live.pulls),
    )


def _build_ingest(config: TranscoderConfig, stores: Stores, live: Live, ready: Ready) -> IngestServicer:
    return IngestServicer(
        pushes=HttpPush(live.admission),
        ready=ready.ingest,
        ready_limits=Limits(size_bytes=config.ready_limit_bytes, silence_s=config.live_silence_s),
        queue=stores.queue,
        standby=live.standby,
        clock=now,
    )


@asynccontextmanager
async def serve_transcoder(config: TranscoderConfig) -> AsyncIterator[int]:
    """Run the transcoder for as long as the block lasts; yields its port."""
    tls = certificates_of(config)
    async with (
        connect(config, name="transcoder", tls=tls) as client,
        open_channel(config.distributor_address, tls) as channel,
    ):
        room = build(config, await open_stores(config, client), client, channel)
        async with (
            serve(
                config.grpc_address,
                room.register,
                services=SERVICES,
                grace_s=config.shutdown_grace_s,
                tls=tls,
                health_address=config.health_address,
            ) as (health, port),
            room.live.running(),  # ends before the server does: a push would hold up its end
            room.ready.watch.running(),
            room.pool.running(),
        ):
            try:
                yield port
            finally:
                await health.set_serving(False)
                await asyncio.sleep(config.drain_s)  # publishers and callers are led elsewhere by now
                room.transcoding.jobs.stop()


@asynccontextmanager
async def run_transcoder(config: TranscoderConfig, _stopping: Stopping) -> AsyncIterator[None]:
    """Run the transcoder as `chassis.lifecycle` wants it."""
    async with serve_transcoder(config):
        yield


def _fetch_rules(config: TranscoderConfig) -> FetchRules:
    return FetchRules(
        size_limit_bytes=config.upload_limit_bytes,
        time_limit_s=config.fetch_limit_s,
        silence_s=config.upload_silence_s,
        allow_private=config.fetch_allow_private,
    )
