"""A live stream whose ledger a test writes: a recording's media, segment by segment, and a rung left out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from weir.timeline.v1 import timeline_pb2 as pb
from weir.timeline.v1 import timeline_pb2_grpc

from chassis.grpc_client import open_channel
from support.distributor import Writer, ended


class Replay:
    """Shows a recording's segments again, as a live encoder would announce them; make it with `replaying`."""

    def __init__(self, writer: Writer, renditions: Sequence[pb.Entry], segments: Sequence[pb.Entry]) -> None:
        self.stream_id = writer.stream_id
        self._writer = writer
        self._renditions = {entry.rendition.rendition_id: entry for entry in renditions}
        self._segments = segments
        self._begin_time = time.time()
        self._msn = 0
        self._left_out: set[str] = set()
        self._lock = asyncio.Lock()  # of two appends at a time one would lose

    async def begin(self, count: int) -> None:
        """Announce the renditions, and so many segments as if their time had passed."""
        await self._writer.append(*self._renditions.values())
        self._begin_time -= self._end_s(count - 1)
        for _ in range(count):
            await self._announce()

    async def run(self) -> None:
        """Announce each segment when its time is over, to the last one."""
        while self._msn <= self._segments[-1].segment.msn:
            await asyncio.sleep(self._begin_time + self._end_s(self._msn) - time.time())
            await self._announce()

    async def leave_out(self, rendition_id: str) -> None:
        """Let a rendition end while the others go on."""
        async with self._lock:
            self._left_out.add(rendition_id)
            await self._writer.append(ended(rendition_id))

    def _end_s(self, msn: int) -> float:
        return max(e.segment.start_s + e.segment.duration_s for e in self._segments if e.segment.msn == msn)

    async def _announce(self) -> None:
        async with self._lock:
            due = [entry for entry in self._segments if entry.segment.msn == self._msn]
            entries = [self._live(entry) for entry in due if entry.segment.rendition_id not in self._left_out]
            self._msn += 1
            await self._writer.append(*entries)

    def _live(self, entry: pb.Entry) -> pb.Entry:
        """Give a recording's segment its time of day."""
        live = pb.Entry()
        live.CopyFrom(entry)
        first_ms = round((self._begin_time + entry.segment.start_s) * 1000)
        live.segment.program_date_time.FromMilliseconds(first_ms)
        return live


@asynccontextmanager
async def replaying(address: str, recording_id: str, stream_id: str) -> AsyncIterator[Replay]:
    """Open a live stream over a recording's objects, by a distributor's own address."""
    async with open_channel(address) as channel:
        timeline: Any = timeline_pb2_grpc.TimelineServiceStub(channel)
        told = await timeline.GetSnapshot(pb.GetSnapshotRequest(stream_id=recording_id))
        entries = [entry for record in told.records for entry in record.entries]
        stream = pb.Stream(
            stream_id=stream_id,
            kind=pb.STREAM_KIND_LIVE,
            container=pb.CONTAINER_CMAF,
            target_duration_s=told.stream.target_duration_s,
            dvr_window_s=120,
        )
        opened = await timeline.Open(pb.OpenRequest(stream=stream, owner="replay"))
        renditions = [entry for entry in entries if _is_video(entry)]
        names = {entry.rendition.rendition_id for entry in renditions}
        segments = [entry for entry in entries if entry.segment.rendition_id in names]
        yield Replay(Writer(timeline, opened), renditions, segments)


def _is_video(entry: pb.Entry) -> bool:
    return entry.rendition.media_kind in {pb.MEDIA_KIND_VIDEO, pb.MEDIA_KIND_MUXED}
