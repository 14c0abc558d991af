"""What the room stands on: everything that is kept in NATS and in object storage, a name, the clock."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime

from nats.aio.client import Client

from chassis import layout
from chassis.messaging import ensure_bucket
from chassis.storage import ObjectStore, open_store
from transcoder.adapters.job_queue import JetStreamQueue, open_queue
from transcoder.adapters.job_store import RESIDUE_TTL_S, KvClaimStore, KvJobStore, KvOutputStore, KvResidue
from transcoder.adapters.known_heads import KNOWN_TTL_S, KvKnownHeads
from transcoder.adapters.media_store import ObjectMediaFolders, ObjectMediaStore, ObjectProbeArchive
from transcoder.adapters.ready_store import SEGMENT_TTL_S, KvFeedStore, KvSegmentStore
from transcoder.adapters.recording_store import KvRecordingStore
from transcoder.adapters.source_files import CachedSourceFiles, LocalSourceFiles
from transcoder.config import TranscoderConfig
from transcoder.ports import SourceFiles


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
    known_heads: KvKnownHeads
    queue: JetStreamQueue
    media: ObjectMediaStore
    folders: ObjectMediaFolders
    probes: ObjectProbeArchive
    files: SourceFiles


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
        known_heads=KvKnownHeads(
            await ensure_bucket(client, layout.KNOWN_HEADS_BUCKET, replicas=replicas, ttl_s=KNOWN_TTL_S)
        ),
        queue=await open_queue(client, replicas=replicas, ack_wait_s=config.transcode_ack_wait_s),
        media=ObjectMediaStore(store),
        folders=ObjectMediaFolders(store),
        probes=ObjectProbeArchive(store),
        files=_source_files(config, store),
    )


def worker_name() -> str:
    """Tell by what name other transcoders know this process."""
    return f"{socket.gethostname()}-{os.getpid()}"


def now() -> datetime:
    """Tell the time, as every clock here does."""
    return datetime.now(UTC)


def _source_files(config: TranscoderConfig, store: ObjectStore) -> SourceFiles:
    if store.local_path("any"):
        return LocalSourceFiles(store)
    return CachedSourceFiles(
        store, config.scratch_path / worker_name(), limit_bytes=config.scratch_limit_bytes
    )
