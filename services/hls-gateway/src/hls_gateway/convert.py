"""From the ledger's messages to the domain's values."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction

from weir.timeline.v1 import timeline_pb2 as pb

from chassis.errors import DataLoss
from hls_gateway.domain.stream import (
    Container,
    Ended,
    Entry,
    IFrame,
    MediaKind,
    Part,
    Record,
    Rendition,
    Segment,
    Stream,
    StreamKind,
    Trimmed,
)

_KINDS = {
    pb.STREAM_KIND_VOD: StreamKind.VOD,
    pb.STREAM_KIND_LIVE: StreamKind.LIVE,
    pb.STREAM_KIND_EVENT: StreamKind.EVENT,
}
_CONTAINERS = {pb.CONTAINER_CMAF: Container.CMAF, pb.CONTAINER_TS: Container.TS}
_MEDIA_KINDS = {
    pb.MEDIA_KIND_VIDEO: MediaKind.VIDEO,
    pb.MEDIA_KIND_AUDIO: MediaKind.AUDIO,
    pb.MEDIA_KIND_MUXED: MediaKind.MUXED,
    pb.MEDIA_KIND_SUBTITLES: MediaKind.SUBTITLES,
    pb.MEDIA_KIND_IMAGES: MediaKind.IMAGES,
}


def to_stream(message: pb.Stream) -> Stream:
    """Read a stream's description.

    Raises:
        DataLoss: It is of a kind that this gateway is too old to know.
    """
    try:
        return Stream(
            stream_id=message.stream_id,
            incarnation=message.incarnation,
            kind=_KINDS[message.kind],
            container=_CONTAINERS[message.container],
            target_duration_s=message.target_duration_s,
            part_target_s=message.part_target_s,
            dvr_window_s=message.dvr_window_s,
            record=message.record,
        )
    except KeyError as error:
        raise DataLoss(
            f"stream {message.stream_id!r} has an unknown kind or container: {error}", reason="UNKNOWN_KIND"
        ) from None


def to_record(message: pb.SequencedRecord) -> Record:
    """Read a record; entries of kinds that play no part in playlists are passed over."""
    return Record(sequence=message.sequence, entries=tuple(_entries(message.record)))


def _entries(record: pb.Record) -> Iterator[Entry]:
    announced_s = record.append_time.seconds + record.append_time.nanos / 1e9
    for entry in record.entries:
        match entry.WhichOneof("kind"):
            case "rendition":
                if entry.rendition.media_kind in _MEDIA_KINDS:
                    yield _rendition(entry.rendition)
            case "segment":
                yield _segment(entry.segment, announced_s)
            case "part":
                yield _part(entry.part, announced_s)
            case "trimmed":
                yield _trimmed(entry.trimmed)
            case "ended":
                yield Ended(rendition_id=entry.ended.rendition_id)


def _rendition(message: pb.Rendition) -> Rendition:
    rate = (message.frame_rate_numerator, message.frame_rate_denominator)
    return Rendition(
        rendition_id=message.rendition_id,
        media_kind=_MEDIA_KINDS[message.media_kind],
        codecs=tuple(message.codecs.split(",")),
        width_pixels=message.width_pixels,
        height_pixels=message.height_pixels,
        frame_rate=Fraction(*rate) if all(rate) else None,
        target_bps=message.target_bps,
        peak_bps=message.peak_bps,
        channel_count=message.channel_count,
        language=message.language,
        name=message.name,
        tile_s=message.tile_s,
    )


def _segment(message: pb.Segment, announced_s: float) -> Segment:
    return Segment(
        rendition_id=message.rendition_id,
        msn=message.msn,
        start_s=message.start_s,
        duration_s=message.duration_s,
        program_date_time=_program_date_time(message),
        discontinuity_sequence=message.discontinuity_sequence,
        object_key=message.object_key,
        size_bytes=message.size_bytes,
        init_key=message.init_key,
        init_size_bytes=message.init_size_bytes,
        gap=message.gap,
        iframes=tuple(
            IFrame(offset_bytes=one.offset_bytes, size_bytes=one.size_bytes, duration_s=one.duration_s)
            for one in message.iframes
        ),
        announced_s=announced_s,
    )


def _part(message: pb.Part, announced_s: float) -> Part:
    return Part(
        rendition_id=message.rendition_id,
        msn=message.msn,
        part=message.part,
        duration_s=message.duration_s,
        program_date_time=_program_date_time(message),
        discontinuity_sequence=message.discontinuity_sequence,
        object_key=message.object_key,
        size_bytes=message.size_bytes,
        init_key=message.init_key,
        init_size_bytes=message.init_size_bytes,
        independent=message.independent,
        gap=message.gap,
        announced_s=announced_s,
    )


def _trimmed(message: pb.Trimmed) -> Trimmed:
    return Trimmed(
        rendition_id=message.rendition_id,
        first_msn=message.first_msn,
        size_bytes=message.size_bytes,
        media_s=message.media_s,
        peak_bps=message.peak_bps,
    )


def _program_date_time(message: pb.Segment | pb.Part) -> datetime | None:
    has_time = message.HasField("program_date_time")
    return message.program_date_time.ToDatetime(UTC) if has_time else None
