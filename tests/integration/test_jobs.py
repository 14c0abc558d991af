"""VOD jobs with a real nats-server, distributor and ffmpeg: from a recording to a stream that has ended."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from weir.media.v1 import media_pb2
from weir.timeline.v1 import timeline_pb2
from weir.transcoder.v1 import transcoder_pb2 as pb

from chassis import errors
from chassis.grpc_client import peer_errors
from support.media import listen, watch, watch_sprite
from support.nats import NatsServer
from support.transcoder import Ledger, Transcoder, running_pair, small_film, until


@pytest.fixture
async def transcoder(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Transcoder]:
    async with running_pair(nats_server.url, tmp_path / "objects") as transcoder:
        yield transcoder


async def refusal(call: Awaitable[Any]) -> errors.WeirError:
    """Make a call that must fail; answers how it did."""
    with pytest.raises(errors.WeirError) as caught:
        async with peer_errors():
            await call
    return caught.value


def joined(transcoder: Transcoder, ledger: Ledger, rendition_id: str) -> bytes:
    """A rendition's bytes as a player puts them together."""
    segments = ledger.segments(rendition_id)
    init = transcoder.read(segments[0].init_key) if segments[0].init_key else b""
    return init + b"".join(transcoder.read(segment.object_key) for segment in segments)


def total_s(ledger: Ledger, rendition_id: str) -> float:
    return math.fsum(segment.duration_s for segment in ledger.segments(rendition_id))


async def test_a_recording_becomes_a_stream(transcoder: Transcoder, tmp_path: Path) -> None:
    recording = await transcoder.bring(small_film(tmp_path))
    await transcoder.start()
    job = await transcoder.finish()
    assert (job.state, job.error, job.percent) == (pb.JobProgress.SUCCEEDED, "", 100.0)
    assert (job.chunks_done_count, job.chunks_total_count) == (3, 3)
    assert (job.frames_done_count, job.frames_total_count, job.retries_count) == (360, 360, 0)
    ledger = await transcoder.ledger()
    assert ledger.has_ended
    assert ledger.stream.kind == timeline_pb2.STREAM_KIND_VOD
    assert (ledger.stream.recording_id, ledger.stream.target_duration_s) == ("film", 4)
    assert list(ledger.renditions) == ["VeryLow", "thumbnails", "audio"]
    for rendition_id in ledger.renditions:
        assert total_s(ledger, rendition_id) == pytest.approx(recording.duration_s, abs=0.04)
    assert transcoder.stored("streams/") == ledger.keys
    shown = watch(joined(transcoder, ledger, "VeryLow"))
    assert [frame.number for frame in shown] == list(range(360))
    assert len(listen(joined(transcoder, ledger, "audio")).beeps()) == 12
    tile = ledger.renditions["thumbnails"]
    sprites = [transcoder.read(segment.object_key) for segment in ledger.segments("thumbnails")]
    numbers = [watch_sprite(sprite, tile.height_pixels) for sprite in sprites]
    assert [number for sprite in numbers for number in sprite] == list(range(0, 360, 60))
    assert tile.tile_s == 2


async def test_ts_has_its_audio_muxed_in(transcoder: Transcoder, tmp_path: Path) -> None:
    await transcoder.bring(small_film(tmp_path))
    await transcoder.start(container="ts")
    assert (await transcoder.finish()).state == pb.JobProgress.SUCCEEDED
    ledger = await transcoder.ledger()
    assert [*ledger.renditions] == ["VeryLow", "thumbnails"]
    assert ledger.renditions["VeryLow"].media_kind == timeline_pb2.MEDIA_KIND_MUXED
    assert ledger.renditions["VeryLow"].codecs.count(",") == 1
    assert transcoder.stored("streams/") == ledger.keys  # the audio that was muxed is gone
    data = joined(transcoder, ledger, "VeryLow")
    assert [frame.number for frame in watch(data)] == list(range(360))
    assert len(listen(data).beeps()) == 12


async def test_a_film_without_sound_has_no_audio(transcoder: Transcoder, tmp_path: Path) -> None:
    await transcoder.bring(small_film(tmp_path, seconds=5.0, sound=False))
    await transcoder.start()
    assert (await transcoder.finish()).state == pb.JobProgress.SUCCEEDED
    ledger = await transcoder.ledger()
    assert [*ledger.renditions] == ["VeryLow", "thumbnails"]
    assert ledger.has_ended


@pytest.mark.parametrize("container", ["cmaf", "ts"])
async def test_sound_alone_becomes_a_stream(transcoder: Transcoder, tmp_path: Path, container: str) -> None:
    recording = await transcoder.bring(small_film(tmp_path, picture=False, name="song.m4a"))
    assert (recording.has_video, recording.width_pixels) == (False, 0)
    await transcoder.start(container=container)
    job = await transcoder.finish()
    assert (job.state, list(job.profiles)) == (pb.JobProgress.SUCCEEDED, ["audio"])
    ledger = await transcoder.ledger()
    assert [*ledger.renditions] == ["audio"]
    assert total_s(ledger, "audio") == pytest.approx(12.0, abs=0.04)
    assert len(listen(joined(transcoder, ledger, "audio")).beeps()) == 12


async def test_a_ladder_of_ones_own(transcoder: Transcoder, tmp_path: Path) -> None:
    await transcoder.bring(small_film(tmp_path, seconds=3.0))
    rungs = [
        media_pb2.Rung(name="tiny", width_pixels=64, height_pixels=36, video_bps=60_000),
        media_pb2.Rung(name="all", video_bps=200_000),
    ]
    await transcoder.start(rungs=rungs)
    await transcoder.finish()
    sizes = {
        name: (rendition.width_pixels, rendition.height_pixels)
        for name, rendition in (await transcoder.ledger()).renditions.items()
    }
    assert sizes.pop("thumbnails") == (56, 32)
    assert sizes == {"tiny": (64, 36), "all": (160, 90), "audio": (0, 0)}


async def test_an_object_in_storage_can_be_the_source(transcoder: Transcoder, tmp_path: Path) -> None:
    given = transcoder.objects / "archive" / "film.mp4"
    given.parent.mkdir(parents=True)
    given.write_bytes(small_film(tmp_path, seconds=3.0).read_bytes())
    await transcoder.start(input_path="archive/film.mp4")
    assert (await transcoder.finish()).state == pb.JobProgress.SUCCEEDED
    await transcoder.recordings.DeleteRecording(pb.DeleteRecordingRequest(recording_id="film"))
    assert transcoder.stored() == {"archive/film.mp4"}  # it was there before the recording, and outlives it


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"recording_id": "../x"}, "recording_id"),
        ({"profiles": ["Medium", "Ultra"]}, "'Ultra'"),
        ({"container": "mkv"}, "container is 'mkv'"),
        ({"profiles": ["Low"], "rungs": [media_pb2.Rung(name="a", video_bps=60_000)]}, "profiles and rungs"),
        ({"rungs": [media_pb2.Rung(name="a", video_bps=1)]}, "video_bps is 1"),
        (
            {"rungs": [media_pb2.Rung(name="a", width_pixels=8, height_pixels=8, video_bps=60_000)]},
            "width_pixels",
        ),
        ({"rungs": [media_pb2.Rung(name="a", width_pixels=64, video_bps=60_000)]}, "height_pixels is 0"),
        ({"rungs": [media_pb2.Rung(name="a", video_bps=60_000)] * 2}, "unique"),
        ({"rungs": [media_pb2.Rung(name=f"r{n}", video_bps=60_000) for n in range(11)]}, "at most 10"),
        ({"rungs": [media_pb2.Rung(name="a/b", video_bps=60_000)]}, "rungs[0].name"),
        ({"rungs": [media_pb2.Rung(name="audio", video_bps=60_000)]}, "rungs[0].name is 'audio'"),
        ({"input_path": "/etc/passwd"}, "input_path"),
        ({"input_path": "a/../b"}, "input_path"),
        ({"input_path": "a/%2e%2e/b"}, "input_path"),
        ({"input_path": "a\n"}, "input_path"),
        ({"input_path": "a//b"}, "input_path"),
        ({"request_id": "x" * 129}, "request_id"),
    ],
)
async def test_bad_wishes_are_refused_by_name(
    transcoder: Transcoder, fields: dict[str, Any], word: str
) -> None:
    error = await refusal(transcoder.start(**{"recording_id": "film", **fields}))
    assert isinstance(error, errors.InvalidArgument)
    assert word in error.message


async def test_what_cannot_be_transcoded_is_told(transcoder: Transcoder) -> None:
    assert isinstance(await refusal(transcoder.start()), errors.NotFound)
    assert isinstance(await refusal(transcoder.start(input_path="none/there")), errors.NotFound)
    await transcoder.create()
    error = await refusal(transcoder.start())
    assert (type(error), error.reason) == (errors.FailedPrecondition, "RECORDING_NOT_READY")
    encrypted = transcoder.start(encryption=media_pb2.Encryption(method="AES-128"))
    assert isinstance(await refusal(encrypted), errors.Unimplemented)
    request = pb.GetProgressRequest(recording_id="none")
    assert isinstance(await refusal(transcoder.jobs.GetProgress(request)), errors.NotFound)


async def test_one_job_at_a_time(transcoder: Transcoder, tmp_path: Path) -> None:
    await transcoder.bring(small_film(tmp_path))
    first = await transcoder.start(request_id="once")
    assert await transcoder.start(request_id="once") == first
    error = await refusal(transcoder.start())
    assert (type(error), error.metadata["job_id"]) == (errors.AlreadyExists, first)
    await transcoder.finish()


async def test_of_many_starts_at_once_one_wins(transcoder: Transcoder, tmp_path: Path) -> None:
    await transcoder.bring(small_film(tmp_path, seconds=2.0))
    outcomes = await asyncio.gather(*(transcoder.start() for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(outcome, str) for outcome in outcomes) == 1
    assert (await transcoder.finish()).state == pb.JobProgress.SUCCEEDED


async def test_a_second_job_makes_a_new_incarnation_and_removes_the_old_objects(
    transcoder: Transcoder, tmp_path: Path
) -> None:
    await transcoder.bring(small_film(tmp_path, seconds=5.0))
    await transcoder.start()
    await transcoder.finish()
    first = await transcoder.ledger()
    second_job = await transcoder.start(container="ts")
    assert (await transcoder.finish()).state == pb.JobProgress.SUCCEEDED
    second = await transcoder.ledger()
    assert second.stream.incarnation != first.stream.incarnation
    assert transcoder.stored("streams/") == second.keys
    assert not second.keys & first.keys
    answer = await transcoder.jobs.GetProgress(pb.GetProgressRequest(recording_id="film"))
    assert list(answer.jobs) == [second_job]


async def test_progress_is_watched_to_its_end(transcoder: Transcoder, tmp_path: Path) -> None:
    await transcoder.bring(small_film(tmp_path, seconds=30.0))
    job_id = await transcoder.start()
    request = pb.WatchProgressRequest(recording_id="film")
    told = [report async for report in transcoder.jobs.WatchProgress(request)]
    jobs = [report.jobs[job_id] for report in told]
    assert jobs[-1].state == pb.JobProgress.SUCCEEDED
    assert [report.is_complete for report in told] == [False] * (len(told) - 1) + [True]
    percents = [job.percent for job in jobs]
    assert percents == sorted(percents)
    assert percents[-1] == 100.0
    assert len(set(percents)) > 2
    running = [job for job in jobs if job.state == pb.JobProgress.RUNNING and job.percent > 20]
    assert all(job.speed_ratio > 0 and job.eta_s > 0 for job in running)


async def test_the_first_segment_plays_long_before_the_end(transcoder: Transcoder, tmp_path: Path) -> None:
    await transcoder.bring(small_film(tmp_path, seconds=40.0))
    await transcoder.start()

    async def has_begun() -> bool:
        with suppress(grpc.aio.AioRpcError):  # no stream yet
            return bool((await transcoder.ledger()).renditions)
        return False

    await until(has_begun, timeout_s=20)
    ledger = await transcoder.ledger()
    assert set(ledger.renditions) == {"VeryLow", "thumbnails", "audio"}
    assert not ledger.has_ended
    assert len(ledger.segments("VeryLow")) >= 1


async def test_a_queue_that_is_used_shows_it(transcoder: Transcoder, tmp_path: Path) -> None:
    await transcoder.bring(small_film(tmp_path, seconds=40.0))
    await transcoder.start()
    waiting, running = 0, 0

    async def has_been_seen() -> bool:
        nonlocal waiting, running
        answer = await transcoder.jobs.GetProgress(pb.GetProgressRequest(recording_id="film"))
        waiting = max(waiting, answer.queue_stats.waiting_tasks_count)
        running = max(running, answer.queue_stats.running_tasks_count)
        return bool(answer.is_complete) or (waiting >= 1 and running == 2)

    await until(has_been_seen, timeout_s=30)
    assert waiting >= 1
    assert running == 2


async def test_the_ladder_is_a_setting(nats_server: NatsServer, tmp_path: Path) -> None:
    ladder = [{"name": "Mine", "width_pixels": 64, "height_pixels": 36, "video_bps": 60_000}]
    async with running_pair(nats_server.url, tmp_path / "objects", ladder=ladder) as transcoder:
        await transcoder.bring(small_film(tmp_path, seconds=2.0))
        assert "'High'" in (await refusal(transcoder.start(profiles=["High"]))).message
        await transcoder.start(profiles=["Mine"])
        assert list((await transcoder.finish()).profiles) == ["Mine"]


async def test_an_ffmpeg_that_stalls_is_ended(nats_server: NatsServer, tmp_path: Path) -> None:
    stuck = tmp_path / "ffmpeg"
    stuck.write_text("#!/bin/sh\nexec sleep 60\n")
    stuck.chmod(0o755)
    settings = {"ffmpeg": str(stuck), "transcode_stall_s": 1.0, "transcode_max_attempts": 1}
    async with running_pair(nats_server.url, tmp_path / "objects", **settings) as transcoder:
        await transcoder.bring(small_film(tmp_path, seconds=2.0, sound=False))
        await transcoder.start()
        job = await transcoder.finish(timeout_s=20)
    assert job.state == pb.JobProgress.FAILED
    assert "chunk 0 failed in 1 attempts" in job.error
