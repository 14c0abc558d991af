"""A job that ends before it has begun: the stream that plays goes on, and no other one appears."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from weir.distributor.v1 import distributor_pb2
from weir.timeline.v1 import timeline_pb2

from chassis.config import ServiceConfig
from chassis.errors import ResourceExhausted
from chassis.grpc_client import open_channel
from chassis.nats_connection import connect
from support.distributor import Distributor, running_distributor
from support.jobs import a_recording, a_source, a_stored_source
from support.mortal import Fuse, Mortal, build_mortal
from support.nats import NatsServer
from support.transcoder import Ledger
from transcoder import service_delete
from transcoder.adapters.timeline_client import TimelineClient
from transcoder.bootstrap_ground import Stores, open_stores
from transcoder.config import TranscoderConfig
from transcoder.domain.job import Job, JobState
from transcoder.domain.ladder import NAMED_RUNGS
from transcoder.domain.plan import Container
from transcoder.domain.recording import RecordingState
from transcoder.ports import Lane, OpenedStream, Task
from transcoder.service_delete import Deletion
from transcoder.service_jobs import TranscodeWish

WISH = TranscodeWish(
    recording_id="film", input_key="", rungs=NAMED_RUNGS, container=Container.CMAF, request_id=""
)
LANES = (Lane.DRIVE, Lane.FIRST, Lane.REST)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A recording, and a process that works only when it is asked to."""

    stores: Stores
    channel: Any
    distributor: Distributor
    process: Mortal

    async def complete_job(self) -> Ledger:
        """Start a job, and do all of its tasks."""
        await self.process.jobs.start(WISH)
        return await self.do_tasks()

    async def do_tasks(self) -> Ledger:
        """Do all tasks of the job."""
        while not (await self.job()).has_ended:
            for lane in LANES:
                if delivery := await self.stores.queue.take(lane, wait_s=0.05):
                    await self.process.handle(delivery)
        assert (await self.job()).state is JobState.SUCCEEDED
        return await self.ledger()

    async def job(self) -> Job:
        kept = await self.stores.jobs.get("film")
        assert kept
        return kept.value

    async def ledger(self) -> Ledger:
        request = timeline_pb2.GetSnapshotRequest(stream_id="film")
        return Ledger(await self.distributor.timeline.GetSnapshot(request))

    async def streams(self) -> list[str]:
        answer = await self.distributor.streams.ListStreams(distributor_pb2.ListStreamsRequest())
        return [stream.stream_id for stream in answer.streams]

    async def stored(self) -> set[str]:
        return set(await self.stores.folders.list("streams/film/"))

    async def cancel(self) -> None:
        await self.process.jobs.cancel("film", "")

    async def delete(self) -> None:
        timeline = TimelineClient(self.channel, owner="deleter")
        ports = service_delete.Ports(
            recordings=self.stores.recordings,
            jobs=self.stores.jobs,
            folders=self.stores.folders,
            timeline=timeline,
        )
        await Deletion(ports, self.process.driver).delete("film")


@pytest.fixture
async def world(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[World]:
    config = TranscoderConfig(nats_url=nats_server.url, storage_url=f"file://{tmp_path}/objects")
    async with (
        running_distributor(nats_server.url) as distributor,
        connect(ServiceConfig(nats_url=nats_server.url), name="test") as client,
        open_channel(distributor.address) as channel,
    ):
        stores = await open_stores(config, client)
        source = a_stored_source()
        await stores.media.put_shared(source.key, b"source")
        await stores.probes.put(source.probe_key, a_source())
        await stores.recordings.create(a_recording(state=RecordingState.READY, source=source))
        process = build_mortal(stores, channel, Fuse())
        yield World(stores=stores, channel=channel, distributor=distributor, process=process)


async def test_a_job_that_was_planned_with_long_last_chunks_goes_on_with_them(world: World) -> None:
    probe_key = a_stored_source().probe_key
    await world.stores.media.delete([probe_key])
    await world.stores.probes.put(probe_key, a_source(seconds=40.0))
    job = await world.process.jobs.start(WISH)
    plan = replace(await world.stores.outputs.get_plan(job.job_id), tapers=False)
    await world.stores.outputs.put_plan(job.job_id, plan)
    kept = await world.stores.jobs.get("film")
    assert kept
    assert len(plan.chunks) < job.chunk_count
    await world.stores.jobs.put(replace(kept.value, chunk_count=len(plan.chunks)), kept.revision)
    ledger = await world.do_tasks()
    assert ledger.has_ended
    assert all(len(ledger.segments(name)) == job.segment_count for name in ledger.renditions)
    assert await world.stored() == ledger.keys


async def test_a_job_that_is_cancelled_before_it_begins_leaves_the_stream_that_plays(world: World) -> None:
    playing = await world.complete_job()
    await world.process.jobs.start(WISH)
    await world.cancel()
    assert (await world.job()).state is JobState.CANCELLED
    assert (await world.ledger()).stream.incarnation == playing.stream.incarnation
    assert await world.stored() == playing.keys
    next_one = await world.complete_job()
    assert await world.stored() == next_one.keys  # what it replaces is gone


class FullQueue:
    """Has no room for any task."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    async def publish(self, task: Task, *, again: bool = False) -> None:
        raise ResourceExhausted("the queue is full")


async def test_a_job_that_finds_no_room_leaves_the_source_replaceable(world: World) -> None:
    queue: Any = FullQueue(world.stores.queue)
    full = build_mortal(replace(world.stores, queue=queue), world.channel, Fuse())
    with pytest.raises(ResourceExhausted):
        await full.jobs.start(WISH)
    kept = await world.stores.recordings.get("film")
    assert kept
    assert not kept.value.transcoded
    assert await world.stores.jobs.get("film") is None


class SlowTimeline:
    """Answers that a stream is opened only after something else has happened."""

    def __init__(self, timeline: TimelineClient, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self._timeline = timeline
        self._meanwhile = meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._timeline, name)

    async def open(self, job: Job, *, anew: bool) -> OpenedStream:
        opened = await self._timeline.open(job, anew=anew)
        await self._meanwhile()
        return opened


@pytest.mark.parametrize("deed", ["cancel", "delete"])
async def test_a_stream_that_was_opened_for_a_job_that_ended_meanwhile_is_removed(
    world: World, deed: str
) -> None:
    timeline = SlowTimeline(TimelineClient(world.channel, owner="slow"), getattr(world, deed))
    slow = build_mortal(world.stores, world.channel, Fuse(), timeline=timeline)
    job = await world.process.jobs.start(WISH)
    assert await slow.driver.drive("film", job.job_id)
    assert await world.streams() == []
    kept = await world.stores.jobs.get("film")
    assert (kept is None) == (deed == "delete")
    assert kept is None or kept.value.state is JobState.CANCELLED
