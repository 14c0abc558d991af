"""The ledgers of live streams, kept by the distributor, over gRPC."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from weir.timeline.v1 import timeline_pb2 as pb
from weir.timeline.v1 import timeline_pb2_grpc

from chassis.grpc_client import call_metadata, peer_errors
from transcoder.adapters.timeline_client import CALL_DEADLINE_S, CONTAINERS, write_iframe, write_rendition
from transcoder.domain.announce import StreamEnd
from transcoder.domain.live_settings import LiveKind, LiveSettings
from transcoder.domain.live_timeline import (
    TAIL_SEGMENTS,
    LedgerEntry,
    LiveEntry,
    LiveTimeline,
    Placed,
    PlacedPart,
    PlacedSegment,
    RenditionEnd,
    StoredObject,
    TrackTrimmed,
    fold,
)
from transcoder.domain.packager import MediaKind, RenditionInfo
from transcoder.live.ports import OpenedLive

# Shorter than the distributor itself tries: whoever appends asks again, and may reach another replica.
APPEND_DEADLINE_S = 5.0

KINDS = {LiveKind.LIVE: pb.STREAM_KIND_LIVE, LiveKind.EVENT: pb.STREAM_KIND_EVENT}


_KINDS_READ = {pb.MEDIA_KIND_AUDIO: MediaKind.AUDIO, pb.MEDIA_KIND_IMAGES: MediaKind.IMAGES}


class LiveLedgerClient:
    """See `live.ports.LiveLedger`."""

    def __init__(self, channel: grpc.aio.Channel, *, owner: str) -> None:
        self._timeline = timeline_pb2_grpc.TimelineServiceStub(channel)
        self._owner = owner

    async def open(self, settings: LiveSettings) -> OpenedLive:
        request = pb.OpenRequest(stream=_stream(settings), owner=self._owner)
        async with peer_errors():
            opened = await self._timeline.Open(request, timeout=CALL_DEADLINE_S, metadata=call_metadata())
        return OpenedLive(
            incarnation=opened.stream.incarnation,
            epoch=opened.epoch,
            sequence=opened.sequence,
            timeline=await self._read(settings.stream_id, opened.stream.incarnation),
        )

    async def read(self, settings: LiveSettings) -> LiveTimeline:
        return await self._read(settings.stream_id, settings.incarnation)

    async def append(
        self,
        settings: LiveSettings,
        opened: OpenedLive,
        entries: Sequence[LiveEntry],
        *,
        sequence: int,
        request_id: str,
    ) -> int:
        request = pb.AppendRequest(
            stream_id=settings.stream_id,
            incarnation=opened.incarnation,
            epoch=opened.epoch,
            expected_sequence=sequence,
            entries=[write_entry(entry) for entry in entries],
            request_id=request_id,
        )
        async with peer_errors():
            response = await self._timeline.Append(
                request, timeout=APPEND_DEADLINE_S, metadata=call_metadata()
            )
        return int(response.sequence)

    async def _read(self, stream_id: str, incarnation: str) -> LiveTimeline:
        request = pb.GetSnapshotRequest(
            stream_id=stream_id, incarnation=incarnation, tail_segments=TAIL_SEGMENTS
        )
        async with peer_errors():
            snapshot = await self._timeline.GetSnapshot(
                request, timeout=CALL_DEADLINE_S, metadata=call_metadata()
            )
        known = _Known()
        for record in snapshot.records:
            known.take(record.entries)
        return fold(LiveTimeline(), known.entries())


@dataclass(slots=True)
class _KnownTrack:
    rendition: pb.Rendition
    trimmed: pb.Trimmed | None = None
    segments: deque[pb.Segment] = field(default_factory=lambda: deque(maxlen=TAIL_SEGMENTS))
    parts: list[pb.Part] = field(default_factory=list)
    has_ended: bool = False


@dataclass(slots=True)
class _Known:
    """What of a ledger matters to who goes on with it: days of segments are only counted by their last."""

    tracks: dict[str, _KnownTrack] = field(default_factory=dict)
    has_ended: bool = False

    def take(self, entries: Iterable[pb.Entry]) -> None:
        for entry in entries:
            match entry.WhichOneof("kind"):
                case "part":
                    self.tracks[entry.part.rendition_id].parts.append(entry.part)
                case "segment":
                    track = self.tracks[entry.segment.rendition_id]
                    track.segments.append(entry.segment)
                    track.parts.clear()
                case "rendition":
                    rendition = entry.rendition
                    self.tracks.setdefault(rendition.rendition_id, _KnownTrack(rendition=rendition))
                case "trimmed":
                    self.tracks[entry.trimmed.rendition_id].trimmed = entry.trimmed
                case "ended" if entry.ended.rendition_id:
                    self.tracks[entry.ended.rendition_id].has_ended = True
                case "ended":
                    self.has_ended = True

    def entries(self) -> Iterator[LedgerEntry]:
        for track in self.tracks.values():
            yield _read_rendition(track.rendition)
            if track.trimmed:
                yield _read_trimmed(track.trimmed)
            yield from map(_read_segment, track.segments)
            yield from map(_read_part, track.parts)
            if track.has_ended:
                yield RenditionEnd(rendition_id=track.rendition.rendition_id)
        if self.has_ended:
            yield StreamEnd()


def _stream(settings: LiveSettings) -> pb.Stream:
    return pb.Stream(
        stream_id=settings.stream_id,
        kind=KINDS[settings.kind],
        container=CONTAINERS[settings.container],
        title=settings.title,
        target_duration_s=settings.target_duration_s,
        part_target_s=settings.part_target_s,
        dvr_window_s=settings.dvr_window_s,
        record=settings.record,
    )


def write_entry(entry: LiveEntry) -> pb.Entry:
    """Write an entry as the ledger takes it."""
    match entry:
        case RenditionInfo():
            return pb.Entry(rendition=write_rendition(entry))
        case PlacedSegment():
            return pb.Entry(segment=_segment(entry))
        case PlacedPart():
            return pb.Entry(part=_part(entry))
        case RenditionEnd():
            return pb.Entry(ended=pb.Ended(rendition_id=entry.rendition_id))
        case StreamEnd():
            return pb.Entry(ended=pb.Ended())


def _segment(segment: PlacedSegment) -> pb.Segment:
    written = pb.Segment(iframes=[write_iframe(iframe) for iframe in segment.iframes])
    _fill(written, segment)
    return written


def _part(part: PlacedPart) -> pb.Part:
    written = pb.Part(part=part.part, independent=part.independent)
    _fill(written, part)
    return written


def _fill(written: pb.Segment | pb.Part, placed: Placed) -> None:
    """Write what segments and parts share."""
    written.rendition_id = placed.rendition_id
    written.msn = placed.msn
    written.start_s = placed.start_s
    written.duration_s = placed.duration_s
    written.program_date_time.FromDatetime(placed.program_date_time)
    written.discontinuity_sequence = placed.discontinuity_sequence
    written.gap = placed.media is None
    if placed.media:
        written.object_key, written.size_bytes = placed.media.key, placed.media.size_bytes
    if placed.init:
        written.init_key, written.init_size_bytes = placed.init.key, placed.init.size_bytes


def _read_rendition(written: pb.Rendition) -> RenditionInfo:
    """Read a rendition as far as going on with it needs it."""
    kind = _KINDS_READ.get(written.media_kind, MediaKind.VIDEO)
    return RenditionInfo(
        rendition_id=written.rendition_id, name=written.name, media_kind=kind, codecs=written.codecs
    )


def _read_trimmed(written: pb.Trimmed) -> TrackTrimmed:
    return TrackTrimmed(
        rendition_id=written.rendition_id,
        first_msn=written.first_msn,
        start_s=written.start_s,
        discontinuity_sequence=written.discontinuity_sequence,
    )


def _read_segment(written: pb.Segment) -> PlacedSegment:
    return PlacedSegment(
        rendition_id=written.rendition_id,
        msn=written.msn,
        start_s=written.start_s,
        duration_s=written.duration_s,
        program_date_time=_read_time(written.program_date_time),
        discontinuity_sequence=written.discontinuity_sequence,
        media=_read_object(written.object_key, written.size_bytes),
        init=_read_object(written.init_key, written.init_size_bytes),
    )


def _read_part(written: pb.Part) -> PlacedPart:
    return PlacedPart(
        rendition_id=written.rendition_id,
        msn=written.msn,
        part=written.part,
        start_s=written.start_s,
        duration_s=written.duration_s,
        program_date_time=_read_time(written.program_date_time),
        discontinuity_sequence=written.discontinuity_sequence,
        independent=written.independent,
        media=_read_object(written.object_key, written.size_bytes),
        init=_read_object(written.init_key, written.init_size_bytes),
    )


def _read_time(written: Timestamp) -> datetime:
    return written.ToDatetime(tzinfo=UTC)


def _read_object(key: str, size_bytes: int) -> StoredObject | None:
    return StoredObject(key=key, size_bytes=size_bytes) if key else None
