"""The ledger of streams, kept by the distributor, over gRPC."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import grpc
from weir.distributor.v1 import distributor_pb2, distributor_pb2_grpc
from weir.timeline.v1 import timeline_pb2, timeline_pb2_grpc

from chassis.errors import Conflict, FailedPrecondition, NotFound, Unavailable
from chassis.grpc_client import call_metadata, peer_errors
from transcoder.domain.announce import Announced, Entry, StoredSegment, fold_announced
from transcoder.domain.job import Job
from transcoder.domain.packager import IFrameRange, MediaKind, RenditionInfo
from transcoder.domain.plan import Container
from transcoder.ports import OpenedStream

CALL_DEADLINE_S = 25.0  # the distributor itself retries through an election of NATS, up to 20 s
READ_DEADLINE_S = 60.0
# What only says that somebody else appended first, one of our own processes among them.
_RACES = frozenset({"SEQUENCE_CONFLICT", "TIMELINE_ENDED"})

CONTAINERS = {
    Container.CMAF: timeline_pb2.CONTAINER_CMAF,
    Container.TS: timeline_pb2.CONTAINER_TS,
}
_MEDIA_KINDS = {
    MediaKind.VIDEO: timeline_pb2.MEDIA_KIND_VIDEO,
    MediaKind.AUDIO: timeline_pb2.MEDIA_KIND_AUDIO,
    MediaKind.MUXED: timeline_pb2.MEDIA_KIND_MUXED,
    MediaKind.IMAGES: timeline_pb2.MEDIA_KIND_IMAGES,
}


class TimelineClient:
    """See `ports.Timeline`."""

    def __init__(self, channel: grpc.aio.Channel, *, owner: str) -> None:
        self._timeline = timeline_pb2_grpc.TimelineServiceStub(channel)
        self._streams = distributor_pb2_grpc.StreamServiceStub(channel)
        self._owner = owner

    async def open(self, job: Job, *, anew: bool) -> OpenedStream:
        if not anew:
            await self._require_stream(job.recording_id)
        stream = timeline_pb2.Stream(
            stream_id=job.recording_id,
            kind=timeline_pb2.STREAM_KIND_VOD,
            container=CONTAINERS[job.container],
            title=job.title,
            recording_id=job.recording_id,
            target_duration_s=job.target_duration_s,
        )
        request = timeline_pb2.OpenRequest(stream=stream, new_incarnation=anew, owner=self._owner)
        async with peer_errors():
            opened = await self._timeline.Open(request, timeout=CALL_DEADLINE_S, metadata=call_metadata())
        return OpenedStream(incarnation=opened.stream.incarnation, epoch=opened.epoch)

    async def append(self, job: Job, sequence: int, entries: Sequence[Entry]) -> int:
        request = timeline_pb2.AppendRequest(
            stream_id=job.recording_id,
            incarnation=job.incarnation,
            epoch=job.epoch,
            expected_sequence=sequence,
            entries=[_entry(entry) for entry in entries],
            request_id=secrets.token_hex(8),  # a retry of this call, by the channel, appends nothing twice
        )
        try:
            async with peer_errors():
                response = await self._timeline.Append(
                    request, timeout=CALL_DEADLINE_S, metadata=call_metadata()
                )
        except FailedPrecondition as error:
            if error.reason in _RACES:
                raise Conflict(error.message, reason=error.reason) from error
            raise
        return response.sequence

    async def catch_up(self, job: Job, announced: Announced) -> Announced:
        request = timeline_pb2.WatchRequest(
            stream_id=job.recording_id,
            incarnation=job.incarnation,
            after_sequence=announced.sequence,
        )
        async with peer_errors():
            call = self._timeline.Watch(request, timeout=READ_DEADLINE_S, metadata=call_metadata())
            try:
                async for response in call:
                    if response.HasField("caught_up"):
                        return announced
                    if response.HasField("record"):
                        announced = _fold(announced, response.record)
            finally:
                call.cancel()
        raise Unavailable("the distributor ended a watch before it had told everything")

    async def remove(self, recording_id: str, incarnation: str | None) -> None:
        try:
            async with peer_errors():
                if await self._shows(recording_id, incarnation):
                    request = distributor_pb2.DeleteStreamRequest(stream_id=recording_id)
                    await self._streams.DeleteStream(
                        request, timeout=CALL_DEADLINE_S, metadata=call_metadata()
                    )
        except NotFound:
            return

    async def _shows(self, recording_id: str, incarnation: str | None) -> bool:
        """Whether the stream of that id is the recording's, and at the given incarnation, if any is given."""
        stream = await self._stream(recording_id)
        return stream.recording_id == recording_id and incarnation in {None, stream.incarnation}

    async def _require_stream(self, recording_id: str) -> None:
        async with peer_errors():
            await self._stream(recording_id)

    async def _stream(self, stream_id: str) -> distributor_pb2.Stream:
        request = distributor_pb2.GetStreamRequest(stream_id=stream_id)
        return await self._streams.GetStream(request, timeout=CALL_DEADLINE_S, metadata=call_metadata())


def _fold(announced: Announced, record: timeline_pb2.SequencedRecord) -> Announced:
    reached: dict[str, int] = {}
    ended = False
    for entry in record.record.entries:
        match entry.WhichOneof("kind"):
            case "rendition":
                reached.setdefault(entry.rendition.rendition_id, 0)
            case "segment":
                reached[entry.segment.rendition_id] = entry.segment.msn + 1
            case "ended":
                ended = ended or not entry.ended.rendition_id
    return fold_announced(announced, sequence=record.sequence, reached=reached, has_ended=ended)


def _entry(entry: Entry) -> timeline_pb2.Entry:
    if isinstance(entry, RenditionInfo):
        return timeline_pb2.Entry(rendition=write_rendition(entry))
    if isinstance(entry, StoredSegment):
        return timeline_pb2.Entry(segment=_segment(entry))
    return timeline_pb2.Entry(ended=timeline_pb2.Ended())


def write_rendition(info: RenditionInfo) -> timeline_pb2.Rendition:
    """Write what is measured of a rendition."""
    return timeline_pb2.Rendition(
        rendition_id=info.rendition_id,
        media_kind=_MEDIA_KINDS[info.media_kind],
        codecs=info.codecs,
        width_pixels=info.width_pixels,
        height_pixels=info.height_pixels,
        frame_rate_numerator=info.frame_rate.numerator if info.frame_rate else 0,
        frame_rate_denominator=info.frame_rate.denominator if info.frame_rate else 0,
        target_bps=info.target_bps,
        peak_bps=info.peak_bps,
        sample_rate_hz=info.sample_rate_hz,
        channel_count=info.channel_count,
        language=info.language,
        name=info.name,
        tile_s=info.tile_s,
    )


def _segment(segment: StoredSegment) -> timeline_pb2.Segment:
    return timeline_pb2.Segment(
        rendition_id=segment.rendition_id,
        msn=segment.msn,
        start_s=segment.start_s,
        duration_s=segment.duration_s,
        object_key=segment.object_key,
        size_bytes=segment.size_bytes,
        init_key=segment.init_key,
        init_size_bytes=segment.init_size_bytes,
        iframes=[write_iframe(iframe) for iframe in segment.iframes],
    )


def write_iframe(iframe: IFrameRange) -> timeline_pb2.IFrame:
    """Write where an I-frame lies."""
    return timeline_pb2.IFrame(
        offset_bytes=iframe.offset_bytes, size_bytes=iframe.size_bytes, duration_s=iframe.duration_s
    )
