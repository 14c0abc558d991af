"""Fold the ledger's records into what playlists are made of.

Pure and stepwise: however the records come in messages, however often one is repeated, the same timeline
results. Parts are passed over: they belong to low-latency playlists, which are not served yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import MappingProxyType

from chassis.errors import DataLoss
from hls_gateway.domain.bit_rate import UNMEASURED, BitRate
from hls_gateway.domain.stream import Ended, Record, Rendition, Segment, Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class RenditionTimeline:
    """One rendition and its announced segments, oldest first.

    Args:
        inits: The init segments that they need, oldest first: (storage key, bytes).
        bit_rate: Measured over all segments ever announced.
        iframe_bit_rate: The same over I-frames alone, for the I-frame playlist.
    """

    rendition: Rendition
    segments: tuple[Segment, ...] = ()
    inits: tuple[tuple[str, int], ...] = ()
    bit_rate: BitRate = UNMEASURED
    iframe_bit_rate: BitRate = UNMEASURED
    ended: bool = False

    def segment(self, msn: int) -> Segment | None:
        """Find the segment of a media sequence number."""
        index = msn - self.segments[0].msn if self.segments else -1
        return self.segments[index] if 0 <= index < len(self.segments) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Everything known of one incarnation of a stream.

    Args:
        sequence: Place in the ledger of the newest record folded in; 0 before the first.
        renditions: By id, in the order of their announcement.
        ended: Nothing will grow any more.
    """

    stream: Stream
    sequence: int = 0
    renditions: Mapping[str, RenditionTimeline] = field(default_factory=lambda: MappingProxyType({}))
    ended: bool = False

    @property
    def segment_count(self) -> int:
        """How many segments are held, as a measure of memory."""
        return sum(len(rendition.segments) for rendition in self.renditions.values())


def append_record(timeline: Timeline, record: Record) -> Timeline:
    """Fold one record in; one that was folded in before changes nothing.

    Raises:
        DataLoss: Something between the timeline and the record is missing.
    """
    if record.sequence <= timeline.sequence:
        return timeline
    renditions = dict(timeline.renditions)
    ended = timeline.ended
    arrived: dict[str, list[Segment]] = {}
    for entry in record.entries:
        match entry:
            case Rendition():
                renditions.setdefault(entry.rendition_id, RenditionTimeline(rendition=entry))
            case Segment():
                arrived.setdefault(entry.rendition_id, []).append(entry)
            case Ended(rendition_id=""):
                ended = True
            case Ended():
                renditions[entry.rendition_id] = replace(_known(renditions, entry.rendition_id), ended=True)
    for rendition_id, segments in arrived.items():
        known = _known(renditions, rendition_id)
        renditions[rendition_id] = _with_segments(known, segments, timeline.stream.target_duration_s)
    return replace(timeline, sequence=record.sequence, renditions=MappingProxyType(renditions), ended=ended)


def touched_renditions(record: Record) -> frozenset[str] | None:
    """Name the renditions whose playlists a record may change; None stands for all of them."""
    if any(isinstance(entry, Ended) and not entry.rendition_id for entry in record.entries):
        return None
    return frozenset(entry.rendition_id for entry in record.entries)


def _known(renditions: Mapping[str, RenditionTimeline], rendition_id: str) -> RenditionTimeline:
    try:
        return renditions[rendition_id]
    except KeyError:
        raise DataLoss(f"rendition {rendition_id!r} was never announced", reason="TIMELINE_BROKEN") from None


def _with_segments(
    known: RenditionTimeline, segments: Sequence[Segment], target_duration_s: int
) -> RenditionTimeline:
    for before, segment in pairwise((*known.segments[-1:], *segments)):
        if segment.msn != before.msn + 1:
            raise DataLoss(
                f"segment {segment.msn} of {segment.rendition_id!r} does not follow {before.msn}",
                reason="TIMELINE_BROKEN",
            )
    inits = ((segment.init_key, segment.init_size_bytes) for segment in segments if segment.init_key)
    return replace(
        known,
        segments=(*known.segments, *segments),
        inits=tuple(dict.fromkeys((*known.inits, *inits))),
        bit_rate=_measured(known.bit_rate, segments, target_duration_s),
        iframe_bit_rate=_measured_iframes(known.iframe_bit_rate, segments, target_duration_s),
    )


def _measured(bit_rate: BitRate, segments: Iterable[Segment], target_duration_s: int) -> BitRate:
    for one in segments:
        if one.gap:
            bit_rate = bit_rate.with_gap()
        else:
            bit_rate = bit_rate.with_segment(
                one.duration_s, one.size_bytes, target_duration_s=target_duration_s
            )
    return bit_rate


def _measured_iframes(bit_rate: BitRate, segments: Iterable[Segment], target_duration_s: int) -> BitRate:
    for segment in segments:
        for one in segment.iframes:
            bit_rate = bit_rate.with_segment(
                one.duration_s, one.size_bytes, target_duration_s=target_duration_s
            )
    return bit_rate
