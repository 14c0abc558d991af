"""Clips name the segments of another stream: no byte is copied, and none is removed that a clip needs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from weir.distributor.v1 import distributor_pb2 as api
from weir.timeline.v1 import timeline_pb2 as pb

from chassis import errors
from chassis.grpc_client import peer_errors
from chassis.storage import open_store
from support.distributor import images, open_writer, rendition, segment
from support.live_ledger import (
    NOON,
    PLAYED,
    RENDITIONS,
    SEGMENT_S,
    Camera,
    Clock,
    Replica,
    open_camera,
    running_replica,
)
from support.nats import NatsServer


@pytest.fixture
def clock() -> Clock:
    return Clock()


def at(seconds: float) -> Timestamp:
    time = Timestamp()
    time.FromDatetime(NOON + timedelta(seconds=seconds))
    return time


async def clip(replica: Replica, start_s: float, end_s: float, **fields: Any) -> api.Stream:
    named = {"stream_id": "cam", "clip_id": "goal", "start_time": at(start_s), "end_time": at(end_s)}
    request = api.CreateClipRequest(**{**named, **fields})
    async with peer_errors():
        stream: api.Stream = await replica.streams.CreateClip(request)
    return stream


async def told(replica: Replica, stream_id: str = "goal") -> Sequence[pb.Entry]:
    snapshot = await replica.timeline.GetSnapshot(pb.GetSnapshotRequest(stream_id=stream_id))
    return [entry for record in snapshot.records for entry in record.entries]


def keys_of(entries: Sequence[pb.Entry]) -> set[str]:
    return {entry.segment.object_key for entry in entries if entry.HasField("segment")}


def shot(camera: Camera, first: int, behind: int) -> set[str]:
    """Objects of the segments of all renditions, from one to before another."""
    return {key for _, key in camera.made[first * len(RENDITIONS) : behind * len(RENDITIONS)]}


async def objects(storage: Path) -> set[str]:
    return {key async for key in open_store(f"file://{storage}").list("streams/")}


async def delete(replica: Replica, stream_id: str) -> None:
    await replica.streams.DeleteStream(api.DeleteStreamRequest(stream_id=stream_id))


async def test_a_clip_holds_the_segments_that_it_touches(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        camera = await open_camera(replica, clock, tmp_path, dvr_window_s=30.0)
        await camera.shoot(10)
        before = await objects(tmp_path)
        made = await clip(replica, 5.0, 8.5, title="Goal!")
        assert (made.type, made.status, made.title) == ("vod", "ended", "Goal!")
        assert made.duration_s == 3 * SEGMENT_S
        assert {variant.variant_id for variant in made.variants} == set(PLAYED)
        assert not made.HasField("ingest")
        entries = await told(replica)
        assert keys_of(entries) == shot(camera, 2, 5)
        assert await objects(tmp_path) == before
        low = [entry.segment for entry in entries if entry.segment.rendition_id == "Low"]
        assert [(one.msn, one.start_s) for one in low] == [(0, 0.0), (1, 2.0), (2, 4.0)]
        assert low[0].program_date_time == at(4.0)
        sprites = [entry.segment for entry in entries if entry.segment.rendition_id == "thumbnails"]
        assert [(one.msn, one.start_s) for one in sprites] == [(0, 0.0), (1, 2.0), (2, 4.0)]
        assert images() in entries
        assert entries[-1].ended == pb.Ended()


async def test_a_stretch_outside_the_window_is_refused(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        camera = await open_camera(replica, clock, tmp_path, dvr_window_s=10.0)
        with pytest.raises(errors.OutOfRange, match="shows nothing yet"):
            await clip(replica, 0, 1)
        await camera.shoot(20)  # until 40 s: from 30 s on it can be played
        for start_s, end_s, field in ((29.9, 35, "start_time"), (35, 40.1, "end_time"), (50, 60, "start")):
            with pytest.raises(errors.OutOfRange, match=field):
                await clip(replica, start_s, end_s)
        for start_s, end_s in ((35, 35), (36, 35)):
            with pytest.raises(errors.InvalidArgument, match=r"end_time is .*: it must be after start_time"):
                await clip(replica, start_s, end_s)
        with pytest.raises(errors.InvalidArgument, match="start_time is missing"):
            async with peer_errors():
                await replica.streams.CreateClip(api.CreateClipRequest(stream_id="cam", end_time=at(1)))
        with pytest.raises(errors.NotFound):
            await clip(replica, 30, 40, stream_id="nothing")
        assert (await clip(replica, 30, 40)).duration_s == 10.0


async def test_ids_and_requests_are_the_clips_own(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        camera = await open_camera(replica, clock, tmp_path, dvr_window_s=60.0)
        await camera.shoot(5)
        same = await asyncio.gather(*(clip(replica, 2, 4, clip_id="", request_id="r") for _ in range(4)))
        assert len({made.SerializeToString(deterministic=True) for made in same}) == 1
        await camera.shoot(5)  # a repeated request means what it meant first
        assert await clip(replica, 2, 4, clip_id="", request_id="r") == same[0]
        await camera.shoot(40)  # also when the stretch has left the window
        assert await clip(replica, 2, 4, clip_id="", request_id="r") == same[0]
        await clip(replica, 98, 99)
        with pytest.raises(errors.AlreadyExists, match="clip_id is 'goal', which is taken"):
            await clip(replica, 98, 99)
        with pytest.raises(errors.AlreadyExists):
            await clip(replica, 98, 99, clip_id="cam")


async def test_what_has_no_time_of_day_is_not_clipped(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        writer = await open_writer(replica.timeline, "cam")
        await writer.append(rendition(), segment(0))
        with pytest.raises(errors.FailedPrecondition) as refused:
            await clip(replica, 0, 1)
        assert refused.value.reason == "NO_PROGRAM_TIME"


async def test_a_clip_outlives_the_window_and_its_stream(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        camera = await open_camera(replica, clock, tmp_path)
        await camera.shoot(10)
        await clip(replica, 12, 16)
        kept = shot(camera, 6, 8)
        await camera.shoot(30)
        await replica.clean()
        assert kept <= await objects(tmp_path)
        assert not shot(camera, 5, 6) & await objects(tmp_path)
        assert not shot(camera, 8, 20) & await objects(tmp_path)
        await delete(replica, "cam")
        clock.pass_s(3600)
        await replica.clean()
        left = await objects(tmp_path)
        assert {key for key in left if "init" not in key} == kept
        assert len(left - kept) == len(PLAYED)  # the init segments
        await delete(replica, "goal")
        await replica.clean()
        assert kept <= await objects(tmp_path)  # whoever plays it may go on to its end
        clock.pass_s(3600)
        await replica.clean()
        assert await objects(tmp_path) == set()


async def test_a_deleted_clip_takes_nothing_from_a_stream_that_goes_on(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        camera = await open_camera(replica, clock, tmp_path)
        await camera.shoot(10)
        await clip(replica, 12, 16)
        await camera.shoot(30)
        await replica.clean()
        await delete(replica, "goal")
        clock.pass_s(60)
        before = await objects(tmp_path)
        await replica.clean()
        gone = before - await objects(tmp_path)
        assert shot(camera, 6, 8) <= gone
        assert not gone & shot(camera, 36, 40)
        assert not any("init" in key for key in gone)


async def test_a_clip_of_a_clip_needs_the_same_objects(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        camera = await open_camera(replica, clock, tmp_path)
        await camera.shoot(10)
        await clip(replica, 10, 18)
        await clip(replica, 12, 14, stream_id="goal", clip_id="again")
        assert keys_of(await told(replica, "again")) == shot(camera, 6, 7)
        await delete(replica, "goal")
        await delete(replica, "cam")
        clock.pass_s(3600)
        await replica.clean()
        assert {key for key in await objects(tmp_path) if "init" not in key} == shot(camera, 6, 7)


async def test_a_clip_over_a_discontinuity_is_told_as_it_was(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        camera = await open_camera(replica, clock, tmp_path, dvr_window_s=600.0)
        await camera.shoot(3)
        camera.away(30)
        await camera.shoot(3)
        await clip(replica, 3, 37)
        low = [one.segment for one in await told(replica) if one.segment.rendition_id == "Low"]
        assert [one.discontinuity_sequence for one in low] == [0, 0, 1]
        assert [one.start_s for one in low] == [0.0, 2.0, 34.0]
        with pytest.raises(errors.OutOfRange, match="nothing was shown"):
            await clip(replica, 10, 20, clip_id="hole")
