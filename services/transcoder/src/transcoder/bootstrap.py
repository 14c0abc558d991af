"""The composition root: builds the room, starts it, stops it gracefully."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc
from nats.aio.client import Client
from weir.transcoder.v1 import transcoder_pb2_grpc as pb_grpc

from chassis import layout
from chassis.grpc_client import open_channel
from chassis.grpc_server import serve
from chassis.lifecycle import Stopping
from chassis.messaging import connect, ensure_bucket
from chassis.storage import ObjectStore, open_store
from chassis.tls import certificates_of
from transcoder import (
    service_attempt,
    service_delete,
    service_drive,
    service_encode,
    service_intake,
    service_jobs,
)
from transcoder.adapters.encoder import Encoder, EncoderSettings
from transcoder.adapters.fetcher import FetchRules, HttpFetcher
from transcoder.adapters.job_queue import JetStreamQueue, open_queue
from transcoder.adapters.job_store import RESIDUE_TTL_S, KvClaimStore, KvJobStore, KvOutputStore, KvResidue
from transcoder.adapters.live_beats import NatsBeats
from transcoder.adapters.live_encoder import LiveEncoder
from transcoder.adapters.live_ledger import LiveLedgerClient
from transcoder.adapters.live_probe import probe_head
from transcoder.adapters.live_settings import LiveSettingsClient
from transcoder.adapters.media_store import ObjectMediaFolders, ObjectMediaStore, ObjectProbeArchive
from transcoder.adapters.probe import probe
from transcoder.adapters.ready_ledger import ReadyLedgerClient
from transcoder.adapters.ready_probe import probe_segment
from transcoder.adapters.ready_store import SEGMENT_TTL_S, KvFeedStore, KvSegmentStore
from transcoder.adapters.recording_store import KvRecordingStore
from transcoder.adapters.source_files import CachedSourceFiles, LocalSourceFiles
from transcoder.adapters.tap import SrtListener, Taps, TapSettings
from transcoder.adapters.timeline_client import TimelineClient
from transcoder.config import BEATS_PER_ACK_WAIT, TranscoderConfig
from transcoder.ingest.http_push import HttpPush
from transcoder.ingest.pull import Pulls
from transcoder.ingest.rtmp.server import rtmp_server
from transcoder.ingest.srt import srt_server
from transcoder.live import session as live_session
from transcoder.live.admission import Admission
from transcoder.live.closing import Closing
from transcoder.live.ownership import OwnerRules, Owners
from transcoder.live.standby import Standby
from transcoder.ports import Lane, SourceFiles
from transcoder.ready import announcing as ready_announcing
from transcoder.ready import attempt as ready_attempt
from transcoder.ready.announcing import ReadyAnnouncer
from transcoder.ready.claims import Claims, PushedOnly
from transcoder.ready.ingest import ReadyIngest
from transcoder.ready.watching import ReadyWatch
from transcoder.service_delete import Deletion
from transcoder.service_drive import Driver
from transcoder.service_encode import Encoding
from transcoder.service_intake import BEAT_S, Intake
from transcoder.service_jobs import Jobs
from transcoder.service_pool import Pool, Slots
from transcoder.service_receive import Limits
from transcoder.service_recordings import Recordings
from transcoder.service_worker import Worker, WorkRules
from transcoder.servicer import IngestServicer, RecordingServicer, TranscodeServicer

SERVICES = (
    "weir.transcoder.v1.RecordingService",
    "weir.transcoder.v1.TranscodeService",
    "weir.transcoder.v1.IngestService",
)
DRIVERS_COUNT = 2  # driving takes milliseconds, but for the end of a job


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """What this process keeps elsewhere."""

    recordings: KvRecordingStore
    jobs: KvJobStore
    outputs: KvOutputStore
    claims: KvClaimStore
    residue: KvResidue
    feeds: KvFeedStore
    segments: KvSegmentStore
    queue: JetStreamQueue
    media: ObjectMediaStore
    folders: ObjectMediaFolders
    probes: ObjectProbeArchive
    files: SourceFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What live streams need, built and not yet running."""

    admission: Admission
    standby: Standby
    pulls: Pulls
    rtmp_address: str
    srt_address: str
    srt_listener: SrtListener

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let publishers in for as long as the block lasts; then hand their streams over."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.admission.open())
            if self.rtmp_address:
                host, _, port = self.rtmp_address.rpartition(":")
                await stack.enter_async_context(rtmp_server(host, int(port), self.admission))
            if self.srt_address:
                host, _, port = self.srt_address.rpartition(":")
                listen = self.srt_listener.listen
                await stack.enter_async_context(srt_server(host, int(port), self.admission, listen))
            yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What ready segments need, built and not yet running."""

    ingest: ReadyIngest
    watch: ReadyWatch


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


async def open_stores(config: TranscoderConfig, client: Client) -> Stores:
    """Open what NATS and object storage keep."""
    replicas = config.nats_replicas
    jobs = await ensure_bucket(client, layout.JOBS_BUCKET, replicas=replicas)
    chunks = await ensure_bucket(client, layout.CHUNKS_BUCKET, replicas=replicas, ttl_s=RESIDUE_TTL_S)
    claims = await ensure_bucket(client, layout.CLAIMS_BUCKET, replicas=replicas, ttl_s=RESIDUE_TTL_S)
    store = open_store(config.storage_url, config.storage_options)
    return Stores(
        recordings=KvRecordingStore(await ensure_bucket(client, layout.RECORDINGS_BUCKET, replicas=replicas)),
        jobs=KvJobStore(jobs),
        outputs=KvOutputStore(chunks),
        claims=KvClaimStore(claims),
        residue=KvResidue(jobs=jobs, chunks=chunks, claims=claims),
        feeds=KvFeedStore(await ensure_bucket(client, layout.FEEDS_BUCKET, replicas=replicas)),
        segments=KvSegmentStore(
            await ensure_bucket(client, layout.READY_BUCKET, replicas=replicas, ttl_s=SEGMENT_TTL_S)
        ),
        queue=await open_queue(client, replicas=replicas, ack_wait_s=config.transcode_ack_wait_s),
        media=ObjectMediaStore(store),
        folders=ObjectMediaFolders(store),
        probes=ObjectProbeArchive(store),
        files=_source_files(config, store),
    )


def build(config: TranscoderConfig, stores: Stores, client: Client, channel: grpc.aio.Channel) -> Room:
    """Build the room on what it keeps elsewhere, NATS, and a channel to the distributor."""
    live = _build_live(config, stores, client, channel)
    ready = _build_ready(config, stores, client, channel)
    timeline = TimelineClient(channel, owner=_worker_name())
    fetcher = HttpFetcher(_fetch_rules(config))
    driver = _build_driver(config, stores, timeline)
    intake = _build_intake(config, stores, fetcher)
    ports = service_delete.Ports(
        recordings=stores.recordings, jobs=stores.jobs, folders=stores.folders, timeline=timeline
    )
    recordings = Recordings(store=stores.recordings, queue=stores.queue, fetcher=fetcher, clock=_now)
    return Room(
        recordings=RecordingServicer(
            recordings,
            intake,
            Deletion(ports, driver),
            silence_s=config.upload_silence_s,
        ),
        transcoding=TranscodeServicer(
            jobs=_build_jobs(config, stores, intake, driver), ladder=config.ladder, clock=_now
        ),
        ingest=_build_ingest(config, stores, live, ready),
        live=live,
        ready=ready,
        pool=_build_pool(config, stores, intake, driver, live.pulls),
    )


def _build_intake(config: TranscoderConfig, stores: Stores, fetcher: HttpFetcher) -> Intake:
    ports = service_intake.Ports(
        recordings=stores.recordings,
        media=stores.media,
        folders=stores.folders,
        files=stores.files,
        probes=stores.probes,
        probe=probe,
        fetcher=fetcher,
        clock=_now,
    )
    limits = Limits(size_bytes=config.upload_limit_bytes, silence_s=config.upload_silence_s)
    return Intake(ports, limits, beat_s=min(BEAT_S, config.transcode_ack_wait_s / BEATS_PER_ACK_WAIT))


def _build_ingest(config: TranscoderConfig, stores: Stores, live: Live, ready: Ready) -> IngestServicer:
    return IngestServicer(
        pushes=HttpPush(live.admission),
        ready=ready.ingest,
        ready_limits=Limits(size_bytes=config.ready_limit_bytes, silence_s=config.live_silence_s),
        queue=stores.queue,
        standby=live.standby,
        clock=_now,
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


def _build_driver(config: TranscoderConfig, stores: Stores, timeline: TimelineClient) -> Driver:
    return Driver(
        service_drive.Ports(
            jobs=stores.jobs,
            outputs=stores.outputs,
            claims=stores.claims,
            residue=stores.residue,
            queue=stores.queue,
            media=stores.media,
            folders=stores.folders,
            timeline=timeline,
            clock=_now,
        ),
        beat_s=config.transcode_heartbeat_s,
        lost_after_s=config.transcode_lost_after_s,
    )


def _build_jobs(config: TranscoderConfig, stores: Stores, intake: Intake, driver: Driver) -> Jobs:
    ports = service_jobs.Ports(
        recordings=stores.recordings,
        jobs=stores.jobs,
        outputs=stores.outputs,
        claims=stores.claims,
        residue=stores.residue,
        probes=stores.probes,
        queue=stores.queue,
        clock=_now,
    )
    return Jobs(ports, intake, driver, progress_interval_s=config.progress_interval_s)


def _build_pool(
    config: TranscoderConfig, stores: Stores, intake: Intake, driver: Driver, pulls: Pulls
) -> Pool:
    worker = _build_worker(config, stores, driver)
    return Pool(
        stores.queue,
        (
            Slots(count=config.transcode_workers, lanes=(Lane.FIRST, Lane.REST), handle=worker.work),
            Slots(count=DRIVERS_COUNT, lanes=(Lane.DRIVE,), handle=driver.attend),
            Slots(count=config.fetch_workers, lanes=(Lane.FETCH,), handle=intake.fetch),
            Slots(count=config.live_workers, lanes=(Lane.LIVE,), handle=pulls.pull),
        ),
    )


def _build_worker(config: TranscoderConfig, stores: Stores, driver: Driver) -> Worker:
    encoder = Encoder(EncoderSettings(ffmpeg_path=config.ffmpeg, stall_timeout_s=config.transcode_stall_s))
    encoding = Encoding(
        service_encode.Ports(
            outputs=stores.outputs,
            media=stores.media,
            queue=stores.queue,
            files=stores.files,
            encoder=encoder,
        ),
        driver.announce,
    )
    return Worker(
        service_attempt.Ports(
            jobs=stores.jobs, outputs=stores.outputs, claims=stores.claims, media=stores.media, clock=_now
        ),
        stores.residue,
        encoding,
        driver,
        WorkRules(
            max_attempts_count=config.transcode_max_attempts,
            retry_delay_s=config.transcode_retry_delay_s,
            heartbeat_s=config.transcode_heartbeat_s,
            lease_s=config.transcode_ack_wait_s,
            worker_name=_worker_name(),
        ),
    )


def _build_live(config: TranscoderConfig, stores: Stores, client: Client, channel: grpc.aio.Channel) -> Live:
    settings = PushedOnly(LiveSettingsClient(channel, rungs=config.ladder), stores.feeds)
    ledger = LiveLedgerClient(channel, owner=_worker_name())
    closing = Closing(stores.media, hold_s=config.live_hold_s)
    owner_rules = OwnerRules(owner=_worker_name(), hold_s=config.live_hold_s)
    owners = Owners(
        ledger=ledger, settings=settings, beats=NatsBeats(client), rules=owner_rules, end=closing.end
    )
    ports = live_session.Ports(
        media=stores.media,
        settings=settings,
        probe=probe_head,
        encoder=LiveEncoder(
            # a silent publisher is noticed first
            EncoderSettings(ffmpeg_path=config.ffmpeg, stall_timeout_s=2 * config.live_silence_s)
        ),
        clock=_now,
    )
    rules = live_session.SessionRules(silence_s=config.live_silence_s, hold_s=config.live_hold_s)
    admission = Admission(owners, ports, rules)
    taps = TapSettings(
        ffmpeg_path=config.ffmpeg,
        allow_private=config.fetch_allow_private,
        silence_s=config.live_silence_s,
    )
    return Live(
        admission=admission,
        standby=Standby(ledger, closing, owner_rules),
        pulls=Pulls(settings, admission, Taps(taps, stores.recordings, stores.files)),
        rtmp_address=config.rtmp_address,
        srt_address=config.srt_address,
        srt_listener=SrtListener(taps, passphrase=config.srt_passphrase),
    )


def _build_ready(
    config: TranscoderConfig, stores: Stores, client: Client, channel: grpc.aio.Channel
) -> Ready:
    settings = LiveSettingsClient(channel, rungs=config.ladder)
    ledger = ReadyLedgerClient(channel, LiveLedgerClient(channel, owner=_worker_name()))
    claims = Claims(stores.feeds, ledger, NatsBeats(client))
    ports = ready_announcing.Ports(
        feeds=stores.feeds, segments=stores.segments, ledger=ledger, settings=settings, clock=_now
    )
    announcer = ReadyAnnouncer(ports, claims)
    ports_of_attempts = ready_attempt.Ports(
        settings=settings, segments=stores.segments, media=stores.media, probe=probe_segment, clock=_now
    )
    return Ready(ingest=ReadyIngest(ports_of_attempts, claims, announcer), watch=ReadyWatch(ports, announcer))


def _source_files(config: TranscoderConfig, store: ObjectStore) -> SourceFiles:
    if store.local_path("any"):
        return LocalSourceFiles(store)
    return CachedSourceFiles(
        store, config.scratch_path / _worker_name(), limit_bytes=config.scratch_limit_bytes
    )


def _fetch_rules(config: TranscoderConfig) -> FetchRules:
    return FetchRules(
        size_limit_bytes=config.upload_limit_bytes,
        time_limit_s=config.fetch_limit_s,
        silence_s=config.upload_silence_s,
        allow_private=config.fetch_allow_private,
    )


def _worker_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _now() -> datetime:
    return datetime.now(UTC)
