"""Several transcoder processes and one job: they share it, and it survives whatever befalls them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
from weir.transcoder.v1 import transcoder_pb2 as pb

from chassis import errors
from chassis.config import ServiceConfig
from chassis.grpc_client import peer_errors
from chassis.nats_connection import connect
from support import web
from support.distributor import Distributor, running_distributor
from support.nats import NatsServer
from support.transcoder import (
    Transcoder,
    running_transcoder,
    settings_for,
    small_film,
    transcoder_process,
    until,
)
from transcoder.bootstrap_ground import Stores, open_stores
from transcoder.config import TranscoderConfig
from transcoder.domain.progress import Claim

# Each task takes a second at least, whatever the machine does.
SLOW = "sleep 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What the processes of a test share."""

    nats_url: str
    distributor: Distributor
    objects: Path
    ffmpeg: Path
    """A script; `script` tells it what to do before it becomes ffmpeg."""
    stores: Stores

    def script(self, words: str) -> None:
        new = self.ffmpeg.with_suffix(".new")  # one that is just starting cannot be written
        new.write_text(f'#!/bin/sh\n{words}\nexec {imageio_ffmpeg.get_ffmpeg_exe()} "$@"\n')
        new.chmod(0o755)
        new.replace(self.ffmpeg)

    @asynccontextmanager
    async def processes(
        self, count: int, **settings: object
    ) -> AsyncIterator[list[tuple[Transcoder, asyncio.subprocess.Process]]]:
        async with AsyncExitStack() as stack:
            yield [
                await stack.enter_async_context(
                    transcoder_process(
                        self.nats_url, self.distributor, self.objects, ffmpeg=self.ffmpeg, **settings
                    )
                )
                for _ in range(count)
            ]

    async def claims(self) -> list[Claim]:
        kept = await self.stores.jobs.get("film")
        return list(await self.stores.claims.list(kept.value.job_id)) if kept else []

    async def wait_for_work(self, *tasks: str) -> list[Claim]:
        """Wait until somebody works on each of the tasks."""

        async def are_worked_on() -> bool:
            return {claim.task for claim in await self.claims() if claim.attempt} >= set(tasks)

        await until(are_worked_on, timeout_s=30, every_s=0.1)
        return await self.claims()

    async def wait_for_rest(self, *, timeout_s: float = 10.0) -> None:
        """Wait until no ffmpeg is at work."""

        async def is_at_rest() -> bool:
            return not self.ffmpegs()

        await until(is_at_rest, timeout_s=timeout_s)

    def ffmpegs(self) -> list[int]:
        """Processes that work on this test's sources."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            except (FileNotFoundError, ProcessLookupError):
                continue
            if bytes(self.objects) in words and b"-f" in words.split(b"\0"):
                found.append(int(entry.name))
        return found


@pytest.fixture
async def house(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[House]:
    settings = settings_for(nats_server.url, "127.0.0.1:1", tmp_path / "objects")
    async with (
        running_distributor(nats_server.url) as distributor,
        connect(ServiceConfig(nats_url=nats_server.url), name="test") as client,
    ):
        house = House(
            nats_url=nats_server.url,
            distributor=distributor,
            objects=tmp_path / "objects",
            ffmpeg=tmp_path / "ffmpeg",
            stores=await open_stores(TranscoderConfig(**settings), client),
        )
        house.script(SLOW)
        yield house


@pytest.fixture
async def client(house: House, tmp_path: Path) -> AsyncIterator[Transcoder]:
    """A replica that takes no tasks, with a recording of 20 s: five chunks and audio."""
    async with running_transcoder(
        house.nats_url, house.distributor, house.objects, transcode_workers=0
    ) as client:
        await client.bring(small_film(tmp_path, seconds=20.0))
        yield client


async def check_whole(client: Transcoder) -> pb.JobProgress:
    """The job succeeds; all of it is announced, and nothing else is stored."""
    job = await client.finish(timeout_s=60)
    assert (job.state, job.error) == (pb.JobProgress.SUCCEEDED, "")
    ledger = await client.ledger()
    assert ledger.has_ended
    counts = {name: len(ledger.segments(name)) for name in ledger.renditions}
    assert counts == dict.fromkeys(("VeryLow", "thumbnails", "audio"), 6)
    assert client.stored("streams/") == ledger.keys
    return job


async def test_two_processes_share_a_job(house: House, client: Transcoder) -> None:
    async with house.processes(2, transcode_workers=1):
        await client.start()
        workers: set[str] = set()

        async def are_both_at_work() -> bool:
            workers.update(claim.worker for claim in await house.claims() if claim.worker)
            return len(workers) == 2

        await until(are_both_at_work, timeout_s=30, every_s=0.1)
        await check_whole(client)


@pytest.mark.torture
async def test_a_killed_process_loses_nothing(house: House, client: Transcoder) -> None:
    async with house.processes(1) as [(_, first)]:
        await client.start()
        await house.wait_for_work("0", "audio")
        first.send_signal(signal.SIGKILL)
        await first.wait()
        await house.wait_for_rest()  # each ffmpeg dies with its transcoder
        async with house.processes(1):
            job = await check_whole(client)
    assert job.retries_count >= 1


async def test_a_process_that_is_asked_to_stop_hands_its_tasks_over_uncounted(
    house: House, client: Transcoder
) -> None:
    async with house.processes(1) as [(_, first)]:
        await client.start()
        await house.wait_for_work("0", "audio")
        first.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await first.wait() == 0
        assert house.ffmpegs() == []
        assert {claim.attempts_count for claim in await house.claims()} == {0}
        async with house.processes(1):
            job = await check_whole(client)
    assert job.retries_count == 0


@pytest.mark.torture
async def test_a_frozen_process_that_wakes_up_late_changes_nothing(house: House, client: Transcoder) -> None:
    async with house.processes(1) as [(_, frozen)]:
        await client.start()
        await house.wait_for_work("0", "audio")
        frozen.send_signal(signal.SIGSTOP)
        house.script("")
        async with house.processes(1):
            await check_whole(client)
            before = await client.ledger()
            frozen.send_signal(signal.SIGCONT)
            await house.wait_for_rest()
            await asyncio.sleep(0.5)
            assert (await client.ledger()).entries == before.entries
            assert client.stored("streams/") == before.keys


async def test_a_cancelled_job_leaves_no_ffmpeg_and_no_objects(house: House, client: Transcoder) -> None:
    async with house.processes(2, transcode_workers=1):
        job_id = await client.start()
        await house.wait_for_work("0", "audio")

        async def is_partly_there() -> bool:
            return bool(client.stored("streams/")) and bool(house.ffmpegs())

        await until(is_partly_there, timeout_s=20)
        async with asyncio.timeout(30):
            request = pb.CancelTranscodeRequest(recording_id="film", job_id=job_id)
            answer = await client.jobs.CancelTranscode(request)
        assert list(answer.job_ids) == [job_id]
        assert house.ffmpegs() == []
        assert client.stored("streams/") == set()
        assert (await client.progress()).state == pb.JobProgress.CANCELLED
        with pytest.raises(errors.NotFound):
            async with peer_errors():
                await client.ledger()
        house.script("")
        await client.start()
        await check_whole(client)


async def test_what_has_ended_cannot_be_cancelled(house: House, client: Transcoder) -> None:
    house.script("")
    nothing = await client.jobs.CancelTranscode(pb.CancelTranscodeRequest(recording_id="film"))
    assert list(nothing.job_ids) == []
    async with house.processes(1):
        job_id = await client.start()
        await client.finish()
    for wrong, kind in ((job_id, errors.FailedPrecondition), ("another", errors.NotFound)):
        with pytest.raises(kind, match=wrong):
            async with peer_errors():
                request = pb.CancelTranscodeRequest(recording_id="film", job_id=wrong)
                await client.jobs.CancelTranscode(request)
    nothing = await client.jobs.CancelTranscode(pb.CancelTranscodeRequest(recording_id="film"))
    assert list(nothing.job_ids) == []


async def test_a_chunk_that_fails_for_good_fails_the_job_with_ffmpegs_words(
    house: House, client: Transcoder
) -> None:
    house.script('case "$*" in *"-ss"*) echo "the disc is scratched" >&2; exit 3;; esac')
    async with house.processes(1, transcode_max_attempts=2):
        await client.start()
        job = await client.finish()
        assert job.state == pb.JobProgress.FAILED
        assert "chunk" in job.error
        assert "failed in 2 attempts" in job.error
        assert "the disc is scratched" in job.error
        assert house.ffmpegs() == []
        assert client.stored("streams/") == set()
        answer = await client.jobs.GetProgress(pb.GetProgressRequest(recording_id="film"))
        assert (answer.failed_jobs, answer.is_complete) == (1, True)
        assert answer.queue_stats.dead_tasks_count >= 1
        assert answer.queue_stats.waiting_tasks_count == 0
        house.script("")
        await client.start()
        await check_whole(client)


async def test_a_chunk_that_fails_once_is_tried_again(house: House, client: Transcoder) -> None:
    mark = house.ffmpeg.with_name("failed-once")
    house.script(f'case "$*" in *"-ss"*) [ -e {mark} ] || {{ touch {mark}; exit 3; }};; esac')
    async with house.processes(1):
        await client.start()
        job = await check_whole(client)
    assert job.retries_count >= 1


@pytest.mark.torture
async def test_a_task_that_kills_its_process_does_so_only_so_often(house: House, client: Transcoder) -> None:
    house.script('case "$*" in *"-ss"*) kill -9 $PPID; sleep 5;; esac')
    await client.start()
    deaths = 0

    async def has_ended() -> bool:
        return (await client.progress()).state == pb.JobProgress.FAILED

    for _ in range(8):
        async with house.processes(1, transcode_workers=1, transcode_max_attempts=2) as [(_, process)]:
            ended = asyncio.create_task(until(has_ended, timeout_s=30, every_s=0.1))
            died = asyncio.create_task(process.wait())
            await asyncio.wait((ended, died), return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            deaths += died.done()
            if await has_ended():
                break
    job = await client.progress()
    assert job.state == pb.JobProgress.FAILED
    assert "its worker died each time" in job.error
    assert 2 <= deaths <= 7


async def test_a_process_that_stops_sends_its_watchers_elsewhere(house: House, client: Transcoder) -> None:
    await client.start()
    async with house.processes(1, transcode_workers=0, shutdown_grace_s=30) as [(replica, process)]:
        call = replica.jobs.WatchProgress(pb.WatchProgressRequest(recording_id="film"), wait_for_ready=True)
        assert not (await anext(aiter(call))).is_complete
        process.send_signal(signal.SIGTERM)
        with pytest.raises(errors.Unavailable, match="watch another one"):
            async with peer_errors():
                async for _ in call:
                    pass
        async with asyncio.timeout(30):
            assert await process.wait() == 0


@pytest.mark.torture
async def test_a_fetch_whose_process_is_killed_is_done_by_another(house: House, tmp_path: Path) -> None:
    data = small_film(tmp_path, seconds=2.0).read_bytes()
    asked = 0

    async def answer(request: Any) -> Any:
        nonlocal asked
        asked += 1
        return await (web.silent(data[:100]) if asked == 1 else web.whole(data))(request)

    fetching = {"fetch_allow_private": True, "fetch_workers": 1}
    async with (
        web.web_server(film=answer) as url,
        running_transcoder(
            house.nats_url, house.distributor, house.objects, fetch_allow_private=True, fetch_workers=0
        ) as caller,
        house.processes(1, **fetching) as [(_, first)],
    ):
        await caller.create("fetched", source_url=f"{url}/film")

        async def is_begun() -> bool:
            return asked == 1 and bool(caller.stored("recordings/fetched/"))

        await until(is_begun, timeout_s=20)
        begun = caller.stored("recordings/fetched/")  # what would have become the source
        first.send_signal(signal.SIGKILL)
        await first.wait()

        async def is_ready() -> bool:
            request = pb.GetRecordingRequest(recording_id="fetched")
            recording: pb.Recording = await caller.recordings.GetRecording(request)
            return recording.state == pb.Recording.READY

        async def is_alone() -> bool:
            kept = caller.stored("recordings/fetched/")
            return not begun & kept and {Path(key).name for key in kept} == {"source", "probe.json"}

        async with house.processes(1, **fetching):
            await until(is_ready, timeout_s=90)
            await until(is_alone, timeout_s=20)
