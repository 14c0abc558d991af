"""A live stream whose clock a test turns: its media, its ledger, and distributors that clean up behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from weir.distributor.v1 import distributor_pb2_grpc
from weir.timeline.v1 import timeline_pb2 as pb
from weir.timeline.v1 import timeline_pb2_grpc

from chassis.grpc_client import open_channel
from chassis.grpc_server import serve
from chassis.nats_connection import connect
from chassis.storage import ObjectStore, open_store
from distributor.bootstrap import SERVICES
from distributor.bootstrap_room import Room, build
from distributor.config import DistributorConfig
from support.distributor import Writer, images, rendition

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PARTS_COUNT = 4
SEGMENT_S = 2.0
PLAYED = ("Low", "High")
RENDITIONS = (*PLAYED, "thumbnails")


@dataclass(slots=True)
class Clock:
    """A clock that stands still unless it is told to go on."""

    time: datetime = NOON

    def __call__(self) -> datetime:
        return self.time

    def pass_s(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """A distributor that cleans up when a test says so, and stubs that call it."""

    room: Room
    timeline: Any
    streams: Any
    live: Any

    async def clean(self) -> None:
        await self.room.cleanup.round()
        await self.room.remains.round()


@asynccontextmanager
async def running_replica(
    nats_url: str, clock: Clock, storage: Path, **settings: Any
) -> AsyncIterator[Replica]:
    """Run one distributor by a test's clock."""
    config = DistributorConfig(nats_url=nats_url, storage_url=f"file://{storage}", **settings)
    async with connect(config, name="test") as client, open_channel("127.0.0.1:1") as nobody:
        room = await build(config, client, nobody, nobody, now=clock)
        async with (
            serve("127.0.0.1:0", room.register, services=SERVICES, grace_s=0) as (_, port),
            open_channel(f"127.0.0.1:{port}") as channel,
        ):
            yield Replica(
                room=room,
                timeline=timeline_pb2_grpc.TimelineServiceStub(channel),
                streams=distributor_pb2_grpc.StreamServiceStub(channel),
                live=distributor_pb2_grpc.LiveServiceStub(channel),
            )
            room.feeds.close()


@dataclass(slots=True, kw_only=True)
class Camera:
    """Makes a stream's media as a transcoder does: bytes first, then the entry, as time passes."""

    writer: Writer
    store: ObjectStore
    clock: Clock
    renditions: Sequence[str] = RENDITIONS
    low_latency: bool = True
    msn: int = 0
    start_s: float = 0.0
    discontinuity_sequence: int = 0
    made: list[tuple[datetime, str]] = field(default_factory=list)
    """Segments' objects, with the time at which each was announced."""

    async def begin(self) -> None:
        """Announce the renditions, with their init segments."""
        for rendition_id in self._played:
            await self.store.put(self._key(rendition_id, "init-1.mp4"), b"init")
        await self.writer.append(*map(_rendition, self.renditions))

    async def shoot(self, count: int = 1) -> None:
        """Make so many segments, and let their time pass."""
        for _ in range(count):
            await self._shoot_parts()
            entries = [await self._segment(rendition_id) for rendition_id in self.renditions]
            await self.writer.append(*entries)
            self.msn += 1
            self.start_s += SEGMENT_S

    def away(self, seconds: float) -> None:
        """The publisher is away for so long; a new run follows."""
        self.clock.pass_s(seconds)
        self.start_s += seconds
        self.discontinuity_sequence += 1

    @property
    def _played(self) -> Sequence[str]:
        return [rendition_id for rendition_id in self.renditions if rendition_id in PLAYED]

    async def _shoot_parts(self) -> None:
        if not self.low_latency:
            self.clock.pass_s(SEGMENT_S)
            return
        for part in range(PARTS_COUNT):
            self.clock.pass_s(SEGMENT_S / PARTS_COUNT)
            entries = [await self._part(rendition_id, part) for rendition_id in self._played]
            await self.writer.append(*entries)

    async def _part(self, rendition_id: str, part: int) -> pb.Entry:
        duration_s = SEGMENT_S / PARTS_COUNT
        message = pb.Part(
            part=part, duration_s=duration_s, independent=part == 0, **self._common(rendition_id)
        )
        message.start_s = self.start_s + part * duration_s
        message.program_date_time.FromDatetime(NOON + timedelta(seconds=message.start_s))
        message.object_key = self._key(rendition_id, f"{self.msn:08d}.{part:03d}-a.m4s")
        await self.store.put(message.object_key, b"part")
        return pb.Entry(part=message)

    async def _segment(self, rendition_id: str) -> pb.Entry:
        message = pb.Segment(duration_s=SEGMENT_S, start_s=self.start_s, **self._common(rendition_id))
        message.program_date_time.FromDatetime(NOON + timedelta(seconds=self.start_s))
        suffix = "m4s" if rendition_id in PLAYED else "jpg"
        message.object_key = self._key(rendition_id, f"{self.msn:08d}-a.{suffix}")
        await self.store.put(message.object_key, b"part" * PARTS_COUNT)
        self.made.append((self.clock.time, message.object_key))
        return pb.Entry(segment=message)

    def _common(self, rendition_id: str) -> dict[str, Any]:
        init = {"init_key": self._key(rendition_id, "init-1.mp4"), "init_size_bytes": 4}
        return {
            "rendition_id": rendition_id,
            "msn": self.msn,
            "discontinuity_sequence": self.discontinuity_sequence,
            "size_bytes": 4,
            **(init if rendition_id in PLAYED else {}),
        }

    def _key(self, rendition_id: str, name: str) -> str:
        return f"streams/{self.writer.stream_id}/{self.writer.incarnation}/{rendition_id}/{name}"


def _rendition(rendition_id: str) -> pb.Entry:
    return rendition(rendition_id) if rendition_id in PLAYED else images(rendition_id)


async def open_camera(
    replica: Replica, clock: Clock, storage: Path, stream_id: str = "cam", **fields: Any
) -> Camera:
    """Open a live stream of segments of 2 s, as it was created, and announce its renditions."""
    stream = pb.Stream(
        stream_id=stream_id,
        kind=pb.STREAM_KIND_LIVE,
        container=pb.CONTAINER_CMAF,
        target_duration_s=int(SEGMENT_S),
        part_target_s=SEGMENT_S / PARTS_COUNT,
        dvr_window_s=10.0,
    )
    stream.MergeFrom(pb.Stream(**fields))
    opened = await replica.timeline.Open(pb.OpenRequest(stream=stream, owner="camera"))
    camera = Camera(
        writer=Writer(replica.timeline, opened),
        store=open_store(f"file://{storage}"),
        clock=clock,
        low_latency=opened.stream.part_target_s > 0,
    )
    await camera.begin()
    return camera
