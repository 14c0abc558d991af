"""A real distributor in this process, and the records that a transcoder would append to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from weir.distributor.v1 import distributor_pb2_grpc
from weir.timeline.v1 import timeline_pb2 as pb
from weir.timeline.v1 import timeline_pb2_grpc

from chassis.grpc_client import open_channel
from chassis.lifecycle import Stopping
from distributor.bootstrap import serve_distributor
from distributor.config import DistributorConfig
from distributor.domain.entries import LedgerId

SEGMENT_S = 4.0
LIVE_START = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Distributor:
    """One running replica and stubs that call it."""

    address: str
    timeline: Any
    streams: Any
    live: Any
    distribution: Any


@asynccontextmanager
async def running_distributor(nats_url: str, **settings: Any) -> AsyncIterator[Distributor]:
    """Run one replica for as long as the block lasts."""
    config = DistributorConfig(
        nats_url=nats_url,
        grpc_address="127.0.0.1:0",
        **{"shutdown_grace_s": 1.0, "reread_interval_s": 0.5, "storage_url": "memory:", **settings},
    )
    async with (
        serve_distributor(config, Stopping()) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield Distributor(
            address=f"127.0.0.1:{port}",
            timeline=timeline_pb2_grpc.TimelineServiceStub(channel),
            streams=distributor_pb2_grpc.StreamServiceStub(channel),
            live=distributor_pb2_grpc.LiveServiceStub(channel),
            distribution=distributor_pb2_grpc.DistributionServiceStub(channel),
        )


def open_request(stream_id: str = "film", *, new_incarnation: bool = False, **fields: Any) -> pb.OpenRequest:
    """Ask to open a VOD stream."""
    stream = pb.Stream(
        stream_id=stream_id,
        kind=pb.STREAM_KIND_VOD,
        container=pb.CONTAINER_CMAF,
        title="A film",
        recording_id=stream_id,
        target_duration_s=int(SEGMENT_S),
    )
    stream.MergeFrom(pb.Stream(**fields))
    return pb.OpenRequest(stream=stream, new_incarnation=new_incarnation, owner="test")


def rendition(rendition_id: str = "Low", **fields: Any) -> pb.Entry:
    """Begin a video rendition."""
    message = pb.Rendition(
        rendition_id=rendition_id,
        media_kind=pb.MEDIA_KIND_VIDEO,
        codecs="avc1.64001f",
        width_pixels=854,
        height_pixels=480,
        frame_rate_numerator=30,
        frame_rate_denominator=1,
        target_bps=1_000_000,
        peak_bps=1_500_000,
        name=rendition_id,
    )
    message.MergeFrom(pb.Rendition(**fields))
    return pb.Entry(rendition=message)


def images(rendition_id: str = "thumbnails") -> pb.Entry:
    """Begin a rendition of thumbnails, a picture every second."""
    return pb.Entry(
        rendition=pb.Rendition(
            rendition_id=rendition_id,
            media_kind=pb.MEDIA_KIND_IMAGES,
            codecs="jpeg",
            width_pixels=200,
            height_pixels=112,
            tile_s=1.0,
        )
    )


def segment(msn: int, rendition_id: str = "Low", **fields: Any) -> pb.Entry:
    """Announce segment `msn` of the grid."""
    message = pb.Segment(
        rendition_id=rendition_id,
        msn=msn,
        start_s=msn * SEGMENT_S,
        duration_s=SEGMENT_S,
        object_key=f"streams/film/0/{rendition_id}/{msn:08d}-a.m4s",
        size_bytes=500_000,
        init_key=f"streams/film/0/{rendition_id}/init-1.mp4",
        init_size_bytes=800,
        iframes=[
            pb.IFrame(offset_bytes=100, size_bytes=20_000, duration_s=2.0),
            pb.IFrame(offset_bytes=250_000, size_bytes=20_000, duration_s=2.0),
        ],
    )
    message.MergeFrom(pb.Segment(**fields))
    return pb.Entry(segment=message)


def live_segment(msn: int, rendition_id: str = "Low", **fields: Any) -> pb.Entry:
    """Announce segment `msn` of a live stream that began at LIVE_START."""
    entry = segment(msn, rendition_id, **fields)
    entry.segment.program_date_time.FromDatetime(LIVE_START + timedelta(seconds=entry.segment.start_s))
    return entry


def ended(rendition_id: str = "") -> pb.Entry:
    """Say that a rendition, or everything, has ended."""
    return pb.Entry(ended=pb.Ended(rendition_id=rendition_id))


class Writer:
    """Appends to one stream as its owner does: behind what it appended last."""

    def __init__(self, timeline: Any, opened: pb.OpenResponse) -> None:
        self.timeline = timeline
        self.stream_id = opened.stream.stream_id
        self.incarnation = opened.stream.incarnation
        self.ledger_id = LedgerId(stream_id=self.stream_id, incarnation=self.incarnation)
        self.epoch = opened.epoch
        self.sequence = opened.sequence

    def request(self, *entries: pb.Entry, **fields: Any) -> pb.AppendRequest:
        """An append of `entries`, with what is to be different."""
        named = {
            "stream_id": self.stream_id,
            "incarnation": self.incarnation,
            "epoch": self.epoch,
            "expected_sequence": self.sequence,
        }
        return pb.AppendRequest(entries=entries, **{**named, **fields})

    async def append(self, *entries: pb.Entry, **fields: Any) -> int:
        """Append one record."""
        response = await self.timeline.Append(self.request(*entries, **fields))
        self.sequence = response.sequence
        return self.sequence


async def open_writer(timeline: Any, stream_id: str = "film", **options: Any) -> Writer:
    """Open a stream and write to it."""
    return Writer(timeline, await timeline.Open(open_request(stream_id, **options)))


async def watch_until(
    timeline: Any, request: pb.WatchRequest, *, sequence: int
) -> Sequence[pb.WatchResponse]:
    """Watch until the record `sequence` came; everything that came up to then."""
    events = []
    call = timeline.Watch(request)
    async for event in call:
        events.append(event)
        if event.record.sequence >= sequence:
            break
    call.cancel()
    return events


def entries_of(events: Sequence[pb.WatchResponse]) -> Sequence[pb.Entry]:
    """All entries that a watcher was told, in order."""
    return [entry for event in events for entry in event.record.record.entries]


def msns_of(events: Sequence[pb.WatchResponse]) -> Sequence[int]:
    """The segments that a watcher was told."""
    return [entry.segment.msn for entry in entries_of(events) if entry.HasField("segment")]
