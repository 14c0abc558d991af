"""Whoever dies between any two steps of a job: nothing is lost, announced twice, or left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from weir.timeline.v1 import timeline_pb2

from chassis.config import ServiceConfig
from chassis.errors import AlreadyExists, Conflict
from chassis.grpc_client import open_channel
from chassis.nats_connection import connect
from support.distributor import Distributor, running_distributor
from support.jobs import a_recording, a_source, a_stored_source
from support.mortal import Died, Fuse, Mortal, build_mortal
from support.nats import NatsServer
from support.transcoder import Ledger
from transcoder.bootstrap_ground import Stores, open_stores
from transcoder.config import TranscoderConfig
from transcoder.domain.job import JobState
from transcoder.domain.ladder import NAMED_RUNGS
from transcoder.domain.plan import Container
from transcoder.domain.recording import RecordingState
from transcoder.ports import Lane, Task
from transcoder.service_jobs import TranscodeWish

pytestmark = pytest.mark.torture

ACK_WAIT_S = 1.0
END_S = 60.0
POLL_S = 0.3
LIVES_AT_A_TIME = 16
DRIVERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What outlives processes."""

    stores: Stores
    channel: Any
    distributor: Distributor
    undertaker: Mortal
    """The process that does what dead ones have left."""
    mortals: dict[str, Mortal]
    """Each recording's own process, which does what it can."""


@pytest.fixture
async def world(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[World]:
    config = TranscoderConfig(
        nats_url=nats_server.url,
        storage_url=f"file://{tmp_path}/objects",
        transcode_ack_wait_s=ACK_WAIT_S,
        transcode_heartbeat_s=ACK_WAIT_S / 5,
    )
    async with (
        running_distributor(nats_server.url) as distributor,
        connect(ServiceConfig(nats_url=nats_server.url), name="test") as client,
        open_channel(distributor.address) as channel,
    ):
        stores = await open_stores(config, client)
        world = World(
            stores=stores,
            channel=channel,
            distributor=distributor,
            undertaker=build_mortal(stores, channel, Fuse()),
            mortals={},
        )
        dispatcher = asyncio.create_task(_dispatch(world))
        yield world
        dispatcher.cancel()
        with suppress(asyncio.CancelledError):
            await dispatcher


async def _dispatch(world: World) -> None:
    """Give each task to its recording's own process while that lives, else to the undertaker."""
    async with asyncio.TaskGroup() as group:
        for lane in (Lane.DRIVE, Lane.FIRST, Lane.REST):
            group.create_task(_dispatch_lane(world, lane, group))


async def _dispatch_lane(world: World, lane: Lane, group: asyncio.TaskGroup) -> None:
    while True:
        if delivery := await world.stores.queue.take(lane, wait_s=1):
            mortal = world.mortals[delivery.task.recording_id]
            taker = world.undertaker if mortal.fuse.is_blown else mortal
            group.create_task(taker.handle(delivery))


async def _live(world: World, recording_id: str, container: Container, last_step: int | None) -> Mortal:
    """Let one recording's job go to its end, its process dying at the given step."""
    mortal = world.mortals[recording_id] = build_mortal(world.stores, world.channel, Fuse(last_step))
    await _put_recording(world, recording_id)
    wish = a_wish(recording_id, container)
    try:
        await mortal.jobs.start(wish)
    except Died:
        with suppress(AlreadyExists):
            await world.undertaker.jobs.start(wish)  # as the client would
    await _until_ended(world, recording_id)
    return mortal


def a_wish(recording_id: str, container: Container = Container.CMAF) -> TranscodeWish:
    return TranscodeWish(
        recording_id=recording_id, input_key="", rungs=NAMED_RUNGS, container=container, request_id=""
    )


async def _until_ended(world: World, recording_id: str) -> None:
    async with asyncio.timeout(END_S):
        while not await _has_ended(world, recording_id):  # noqa: ASYNC110 - polled, as clients do
            await asyncio.sleep(POLL_S)


async def _has_ended(world: World, recording_id: str) -> bool:
    kept = await world.stores.jobs.get(recording_id)
    return kept is not None and kept.value.has_ended


async def _until_queue_is_empty(world: World) -> None:
    async with asyncio.timeout(END_S):
        while (counts := await world.stores.queue.count()).waiting_count + counts.running_count:  # noqa: ASYNC110 - polled
            await asyncio.sleep(POLL_S)


async def _until_forgotten(world: World, job_id: str) -> None:
    """Who died right behind a job's end left that to the job's own task, which comes back."""
    async with asyncio.timeout(END_S):
        while await _is_remembered(world, job_id):  # noqa: ASYNC110 - polled
            await asyncio.sleep(POLL_S)


async def _is_remembered(world: World, job_id: str) -> bool:
    return bool(await world.stores.outputs.list_pieces(job_id) or await world.stores.claims.list(job_id))


async def _put_recording(world: World, recording_id: str) -> None:
    source = a_stored_source()
    await world.stores.media.put_shared(source.key, b"source")
    await world.stores.probes.put(source.probe_key, a_source())
    recording = a_recording(recording_id=recording_id, state=RecordingState.READY, source=source)
    await world.stores.recordings.create(recording)


async def _check(world: World, recording_id: str) -> None:
    """The job succeeded, its stream is whole, and storage holds what the ledger names, and nothing else."""
    kept = await world.stores.jobs.get(recording_id)
    assert kept
    assert (kept.value.state, kept.value.error) == (JobState.SUCCEEDED, "")
    request = timeline_pb2.GetSnapshotRequest(stream_id=recording_id)
    ledger = Ledger(await world.distributor.timeline.GetSnapshot(request))
    assert ledger.has_ended
    assert ledger.stream.incarnation == kept.value.incarnation
    assert all(len(ledger.segments(name)) == kept.value.segment_count for name in ledger.renditions)
    stored = await world.stores.folders.list(f"streams/{recording_id}/")
    assert set(stored) == ledger.keys
    await _until_forgotten(world, kept.value.job_id)


@pytest.mark.parametrize(("container", "every"), [(Container.CMAF, 1), (Container.TS, 3)])
async def test_a_process_may_die_at_any_step(world: World, container: Container, every: int) -> None:
    immortal = await _live(world, "whole", container, None)
    await _check(world, "whole")
    steps = range(1, immortal.fuse.step + 1, every)
    assert immortal.fuse.step > 50
    names = [f"dies-at-{step}" for step in steps]
    few = asyncio.Semaphore(LIVES_AT_A_TIME)

    async def live(name: str, step: int) -> Mortal:
        async with few:
            return await _live(world, name, container, step)

    mortals = await asyncio.gather(*map(live, names, steps))
    died = sum(mortal.fuse.is_blown for mortal in mortals)
    assert died > 0.8 * len(steps)  # tasks may interleave with fewer steps than the first time
    for name in names:
        await _check(world, name)
    await _until_queue_is_empty(world)


async def test_many_who_begin_a_job_at_once_do_not_take_it_from_each_other(world: World) -> None:
    drivers = [build_mortal(world.stores, world.channel, Fuse()).driver for _ in range(DRIVERS)]
    world.mortals["fought-over"] = world.undertaker
    await _put_recording(world, "fought-over")
    job = await world.undertaker.jobs.start(a_wish("fought-over"))
    drives = (driver.drive(job.recording_id, job.job_id) for driver in drivers)
    for failure in await asyncio.gather(*drives, return_exceptions=True):
        assert failure in {True, False} or isinstance(failure, Conflict)
    await _until_ended(world, "fought-over")
    await _check(world, "fought-over")
    kept = await world.stores.jobs.get("fought-over")
    assert kept
    assert kept.value.epoch <= DRIVERS + 1


class ForgetfulQueue:
    """Loses every task that it is given for the first time, but for those that accompany a job."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    async def publish(self, task: Task, *, again: bool = False) -> None:
        if again or task.lane is Lane.DRIVE:
            await self._queue.publish(task, again=again)


async def test_tasks_that_the_queue_has_lost_are_queued_again(world: World) -> None:
    forgetful: Any = ForgetfulQueue(world.stores.queue)
    mortal = build_mortal(replace(world.stores, queue=forgetful), world.channel, Fuse())
    world.mortals["robbed"] = mortal
    await _put_recording(world, "robbed")
    await mortal.jobs.start(a_wish("robbed"))
    await _until_ended(world, "robbed")
    await _check(world, "robbed")
