"""Settings of a running transcoder that no other test would miss."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from nats.js.errors import APIError
from weir.transcoder.v1 import transcoder_pb2 as pb

from chassis.config import ServiceConfig
from chassis.grpc_client import open_channel
from chassis.nats_connection import connect
from support import web
from support.distributor import running_distributor
from support.nats import NatsServer
from support.transcoder import running_pair, running_transcoder, settings_for, small_film, until
from transcoder.bootstrap import serve_transcoder
from transcoder.bootstrap_ground import Stores, open_stores
from transcoder.config import TranscoderConfig
from transcoder.ports import Lane


@pytest.fixture
async def stores(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Stores]:
    """What the replicas of a test keep."""
    config = TranscoderConfig(**settings_for(nats_server.url, "127.0.0.1:1", tmp_path / "objects"))
    async with connect(ServiceConfig(nats_url=nats_server.url), name="test") as client:
        yield await open_stores(config, client)


def script_ffmpeg(folder: Path, words: str) -> str:
    """Write a script that does something before it becomes ffmpeg."""
    script = folder / "ffmpeg"
    script.write_text(f'#!/bin/sh\n{words}\nexec {imageio_ffmpeg.get_ffmpeg_exe()} "$@"\n')
    script.chmod(0o755)
    return str(script)


async def test_nats_replicas_are_asked_for(nats_server: NatsServer, tmp_path: Path) -> None:
    settings = settings_for(nats_server.url, "127.0.0.1:1", tmp_path / "objects", nats_replicas=3)
    async with connect(ServiceConfig(nats_url=nats_server.url), name="test") as client:
        with pytest.raises(APIError, match="replicas > 1 not supported in non-clustered mode"):
            await open_stores(TranscoderConfig(**settings), client)


async def test_a_fetch_ends_at_its_limit_and_begins_again(nats_server: NatsServer, tmp_path: Path) -> None:
    film = small_film(tmp_path, seconds=2.0).read_bytes()
    asked = 0

    async def answer(request: Any) -> Any:
        nonlocal asked
        asked += 1
        return await (web.endless(b"x") if asked == 1 else web.whole(film))(request)

    settings = {"fetch_allow_private": True, "fetch_limit_s": 1.0}
    async with (
        running_pair(nats_server.url, tmp_path / "objects", **settings) as transcoder,
        web.web_server(film=answer) as url,
    ):
        await transcoder.create(source_url=f"{url}/film")

        async def is_ready() -> bool:
            request = pb.GetRecordingRequest(recording_id="film")
            recording: pb.Recording = await transcoder.recordings.GetRecording(request)
            return recording.state == pb.Recording.READY

        await until(is_ready, timeout_s=20)
    assert asked == 2


async def test_a_worker_beats_as_often_as_it_should(
    nats_server: NatsServer, tmp_path: Path, stores: Stores
) -> None:
    settings = {
        "transcode_heartbeat_s": 0.1,
        "transcode_ack_wait_s": 20.0,
        "ffmpeg": script_ffmpeg(tmp_path, "sleep 8"),
    }
    beats: set[datetime] = set()
    async with running_pair(nats_server.url, tmp_path / "objects", **settings) as transcoder:
        await transcoder.bring(small_film(tmp_path, seconds=2.0, sound=False))
        job_id = await transcoder.start()

        async def has_beaten_often() -> bool:
            kept = await stores.claims.get(job_id, "0")
            beats.update([kept.value.heartbeat_time] if kept else [])
            return len(beats) >= 8

        await until(has_beaten_often, timeout_s=20)
    assert (max(beats) - min(beats)).total_seconds() < 6.5  # 7 beats of the default would take 7 s


async def test_a_failed_task_waits_before_it_is_tried_again(nats_server: NatsServer, tmp_path: Path) -> None:
    times = tmp_path / "times"
    settings = {
        "transcode_retry_delay_s": 2.5,
        "transcode_max_attempts": 2,
        "ffmpeg": script_ffmpeg(tmp_path, f"date +%s.%N >> {times}; exit 3"),
    }
    async with running_pair(nats_server.url, tmp_path / "objects", **settings) as transcoder:
        await transcoder.bring(small_film(tmp_path, seconds=2.0, sound=False))
        await transcoder.start()
        assert (await transcoder.finish()).state == pb.JobProgress.FAILED
    first, second = map(float, times.read_text().split())
    assert second - first >= 2.5


async def test_tasks_that_the_queue_has_lost_are_missed_after_a_while(
    nats_server: NatsServer, tmp_path: Path, stores: Stores
) -> None:
    objects = tmp_path / "objects"
    async with (
        running_distributor(nats_server.url) as distributor,
        running_transcoder(
            nats_server.url, distributor, objects, transcode_workers=0, transcode_lost_after_s=1.0
        ) as transcoder,
    ):
        await transcoder.bring(small_film(tmp_path, seconds=2.0))
        job_id = await transcoder.start()

        async def is_dispatched() -> bool:
            kept = await stores.jobs.get("film")
            return kept is not None and kept.value.dispatched

        await until(is_dispatched)
        await stores.queue.purge("film", job_id, keep=Lane.DRIVE)
        async with running_transcoder(nats_server.url, distributor, objects, transcode_lost_after_s=1.0):
            job = await transcoder.finish(timeout_s=20)
    assert (job.state, job.retries_count) == (pb.JobProgress.SUCCEEDED, 0)


async def test_a_stop_is_told_before_it_happens(nats_server: NatsServer, tmp_path: Path) -> None:
    settings = settings_for(nats_server.url, "127.0.0.1:1", tmp_path / "objects", drain_s=1.0)
    ask = health_pb2.HealthCheckRequest()
    async with AsyncExitStack() as running:
        port = await running.enter_async_context(serve_transcoder(TranscoderConfig(**settings)))
        async with open_channel(f"127.0.0.1:{port}") as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            assert (await health.Check(ask)).status == health_pb2.HealthCheckResponse.SERVING
            stopping = asyncio.create_task(running.aclose())

            async def is_leaving() -> bool:
                answer = await health.Check(ask)
                return bool(answer.status == health_pb2.HealthCheckResponse.NOT_SERVING)

            await until(is_leaving)  # a call that is refused fails the test
            await stopping
