"""Entries of the ledger between their wire form and the domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from weir.timeline.v1 import timeline_pb2 as pb

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
)

MEDIA_KINDS: Mapping[pb.MediaKind.ValueType, MediaKind] = {
    pb.MEDIA_KIND_VIDEO: MediaKind.VIDEO,
    pb.MEDIA_KIND_AUDIO: MediaKind.AUDIO,
    pb.MEDIA_KIND_MUXED: MediaKind.MUXED,
    pb.MEDIA_KIND_SUBTITLES: MediaKind.SUBTITLES,
}


def read_record(record: StoredRecord) -> Record:
    """Read a stored record; entries of a kind that a later version added are passed over."""
    message = pb.Record.FromString(record.wire)
    entries = (read_entry(entry) for entry in message.entries)
    return Record(
        sequence=record.sequence,
        epoch=message.epoch,
        entries=tuple(entry for entry in entries if entry is not None),
    )


def read_entry(entry: pb.Entry) -> Entry | None:
    """Read an entry; None if it is of no known kind."""
    match entry.WhichOneof("kind"):
        case "opened":
            return Opened(owner=entry.opened.owner)
        case "rendition":
            return _rendition(entry.rendition)
        case "segment":
            return _segment(entry.segment)
        case "part":
            return _part(entry.part)
        case "ended":
            return Ended(rendition_id=entry.ended.rendition_id)
        case _:
            return None


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
    )


def _segment(segment: pb.Segment) -> Segment:
    return Segment(
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
        discontinuity_sequence=part.discontinuity_sequence,
        object_key=part.object_key,
        size_bytes=part.size_bytes,
        init_key=part.init_key,
        init_size_bytes=part.init_size_bytes,
        gap=part.gap,
        encryption_key=_encryption_key(part),
    )


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
