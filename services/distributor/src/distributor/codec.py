"""Entries of the ledger between their wire form and the domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from weir.timeline.v1 import timeline_pb2 as pb

from chassis.errors import InvalidArgument
from distributor.domain.entries import (
    EncryptionKey,
    Ended,
    Entry,
    IFrame,
    MediaKind,
    Opened,
    Part,
    Record,
    Rendition,
    Segment,
    StoredRecord,
    Trimmed,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MEDIA_KINDS: Mapping[pb.MediaKind.ValueType, MediaKind] = {
    pb.MEDIA_KIND_VIDEO: MediaKind.VIDEO,
    pb.MEDIA_KIND_AUDIO: MediaKind.AUDIO,
    pb.MEDIA_KIND_MUXED: MediaKind.MUXED,
    pb.MEDIA_KIND_SUBTITLES: MediaKind.SUBTITLES,
    pb.MEDIA_KIND_IMAGES: MediaKind.IMAGES,
}


_MEDIA_NUMBERS: Mapping[MediaKind | None, pb.MediaKind.ValueType] = {
    kind: number for number, kind in MEDIA_KINDS.items()
}


def read_record(record: StoredRecord) -> Record:
    """Read a stored record; entries of a kind that a later version added are passed over."""
    message = pb.Record.FromString(record.wire)
    entries = (read_entry(entry) for entry in message.entries)
    return Record(
        sequence=record.sequence,
        epoch=message.epoch,
        entries=tuple(entry for entry in entries if entry is not None),
        append_time=_read_time(message, "append_time"),
    )


def read_entry(entry: pb.Entry) -> Entry | None:
    """Read an entry; None if it is of no known kind."""
    which = entry.WhichOneof("kind")
    return _READERS[which](getattr(entry, which)) if which and which in _READERS else None


def write_entry(entry: Entry) -> pb.Entry:
    """Write an entry of the kinds that the distributor itself makes: heads and clips consist of them."""
    match entry:
        case Opened():
            return pb.Entry(opened=pb.Opened(owner=entry.owner))
        case Rendition():
            return pb.Entry(rendition=_write_rendition(entry))
        case Segment():
            return pb.Entry(segment=_write_segment(entry))
        case Trimmed():
            return pb.Entry(trimmed=pb.Trimmed(**asdict(entry)))
        case Ended():
            return pb.Entry(ended=pb.Ended(rendition_id=entry.rendition_id))
        case _:
            raise AssertionError(f"the distributor makes no {type(entry).__name__}")


def _rendition(rendition: pb.Rendition) -> Rendition:
    return Rendition(
        rendition_id=rendition.rendition_id,
        media_kind=MEDIA_KINDS.get(rendition.media_kind),
        codecs=rendition.codecs,
        name=rendition.name,
        language=rendition.language,
        width_pixels=rendition.width_pixels,
        height_pixels=rendition.height_pixels,
        frame_rate=(rendition.frame_rate_numerator, rendition.frame_rate_denominator),
        target_bps=rendition.target_bps,
        peak_bps=rendition.peak_bps,
        sample_rate_hz=rendition.sample_rate_hz,
        channel_count=rendition.channel_count,
        tile_s=rendition.tile_s,
    )


def _segment(segment: pb.Segment) -> Segment:
    return Segment(
        rendition_id=segment.rendition_id,
        msn=segment.msn,
        start_s=segment.start_s,
        duration_s=segment.duration_s,
        program_date_time=_read_time(segment, "program_date_time"),
        discontinuity_sequence=segment.discontinuity_sequence,
        object_key=segment.object_key,
        size_bytes=segment.size_bytes,
        init_key=segment.init_key,
        init_size_bytes=segment.init_size_bytes,
        gap=segment.gap,
        encryption_key=_encryption_key(segment),
        iframes=_iframes(segment.iframes),
    )


def _part(part: pb.Part) -> Part:
    return Part(
        rendition_id=part.rendition_id,
        msn=part.msn,
        part=part.part,
        start_s=part.start_s,
        duration_s=part.duration_s,
        program_date_time=_read_time(part, "program_date_time"),
        discontinuity_sequence=part.discontinuity_sequence,
        object_key=part.object_key,
        size_bytes=part.size_bytes,
        init_key=part.init_key,
        init_size_bytes=part.init_size_bytes,
        gap=part.gap,
        independent=part.independent,
        encryption_key=_encryption_key(part),
    )


def _write_rendition(rendition: Rendition) -> pb.Rendition:
    numerator, denominator = rendition.frame_rate
    return pb.Rendition(
        rendition_id=rendition.rendition_id,
        media_kind=_MEDIA_NUMBERS.get(rendition.media_kind, pb.MEDIA_KIND_UNSPECIFIED),
        codecs=rendition.codecs,
        width_pixels=rendition.width_pixels,
        height_pixels=rendition.height_pixels,
        frame_rate_numerator=numerator,
        frame_rate_denominator=denominator,
        target_bps=rendition.target_bps,
        peak_bps=rendition.peak_bps,
        sample_rate_hz=rendition.sample_rate_hz,
        channel_count=rendition.channel_count,
        language=rendition.language,
        name=rendition.name,
        tile_s=rendition.tile_s,
    )


def _write_segment(segment: Segment) -> pb.Segment:
    written = pb.Segment(
        rendition_id=segment.rendition_id,
        msn=segment.msn,
        start_s=segment.start_s,
        duration_s=segment.duration_s,
        discontinuity_sequence=segment.discontinuity_sequence,
        object_key=segment.object_key,
        size_bytes=segment.size_bytes,
        init_key=segment.init_key,
        init_size_bytes=segment.init_size_bytes,
        gap=segment.gap,
        iframes=[pb.IFrame(**asdict(iframe)) for iframe in segment.iframes],
    )
    if segment.program_date_time:
        written.program_date_time.FromDatetime(segment.program_date_time)
    if segment.encryption_key:
        written.encryption_key.CopyFrom(pb.EncryptionKey(**asdict(segment.encryption_key)))
    return written


def _trimmed(trimmed: pb.Trimmed) -> Trimmed:
    return Trimmed(
        rendition_id=trimmed.rendition_id,
        first_msn=trimmed.first_msn,
        start_s=trimmed.start_s,
        discontinuity_sequence=trimmed.discontinuity_sequence,
        size_bytes=trimmed.size_bytes,
        media_s=trimmed.media_s,
        peak_bps=trimmed.peak_bps,
    )


def _read_time(message: pb.Record | pb.Segment | pb.Part, field: str) -> datetime | None:
    if not message.HasField(field):  # type: ignore[arg-type] # all three have their field
        return None
    time: Timestamp = getattr(message, field)
    try:
        # Four times as fast as ToDatetime(UTC), on the way of every part.
        return _EPOCH + timedelta(seconds=time.seconds, microseconds=time.nanos // 1000)
    except OverflowError as error:
        raise InvalidArgument(
            f"{field} is {time.seconds} s: it must lie from the year 1 to 9999", reason="LEDGER_LAW"
        ) from error


def _iframes(iframes: Sequence[pb.IFrame]) -> Sequence[IFrame]:
    return tuple(
        IFrame(offset_bytes=iframe.offset_bytes, size_bytes=iframe.size_bytes, duration_s=iframe.duration_s)
        for iframe in iframes
    )


def _encryption_key(media: pb.Segment | pb.Part) -> EncryptionKey | None:
    if not media.HasField("encryption_key"):
        return None
    key = media.encryption_key
    return EncryptionKey(method=key.method, key_id=key.key_id, iv=key.iv)


_READERS: Mapping[str, Callable[[Any], Entry]] = {
    "opened": lambda opened: Opened(owner=opened.owner),
    "rendition": _rendition,
    "trimmed": _trimmed,
    "segment": _segment,
    "part": _part,
    "ended": lambda ended: Ended(rendition_id=ended.rendition_id),
}
