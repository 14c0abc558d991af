"""Fold the ledger's records into what playlists are made of.

Pure and stepwise: however the records come in messages, however often one is repeated, the same timeline
results. What a sliding window has left behind is let go here, so that a stream may run for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from chassis.errors import DataLoss
from hls_gateway.domain.bit_rate import UNMEASURED, BitRate
from hls_gateway.domain.live_window import (
    first_msn_with_parts,
    held_s,
    is_new,
    parts_held_s,
    window_start,
)
from hls_gateway.domain.stream import Ended, Part, Record, Rendition, Segment, Stream, StreamKind, Trimmed

Inits = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenditionTimeline:
    """One rendition and its announced segments, oldest first.

    Args:
        segments: Those that can still be asked for, of which the newest are listed.
        parts: Those of the segment that is not whole yet, behind those of the newest segments.
        next_msn: The segment that is not whole yet.
        inits: The init segments that they need, the one used last at the end: (storage key, bytes).
        bit_rate: Measured over all segments ever announced.
        iframe_bit_rate: The same over I-frames alone, for the I-frame playlist.
        media_s: How long `segments` last.
        is_cut: Older segments were let go.
    """

    rendition: Rendition
    segments: tuple[Segment, ...] = ()
    parts: tuple[Part, ...] = ()
    next_msn: int = 0
    inits: Inits = ()
    bit_rate: BitRate = UNMEASURED
    iframe_bit_rate: BitRate = UNMEASURED
    media_s: float = 0.0
    is_cut: bool = False
    ended: bool = False

    def segment(self, msn: int) -> Segment | None:
        """Find the segment of a media sequence number."""
        index = msn - self.segments[0].msn if self.segments else -1
        return self.segments[index] if 0 <= index < len(self.segments) else None

    def parts_of(self, msn: int) -> Sequence[Part]:
        """Give the parts of a segment that can still be read."""
        return [part for part in self.parts if part.msn == msn]

    def part_count(self, msn: int) -> int:
        """Count a segment's parts, with those before them that can be read no more."""
        parts = self.parts_of(msn)
        return parts[-1].part + 1 if parts else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Everything known of one incarnation of a stream.

    Args:
        sequence: Place in the ledger of the newest record folded in; 0 before the first.
        renditions: By id, in the order of their announcement.
        ended: Nothing will grow any more.
        keeps_all: Let go of nothing, to show a whole recorded stream.
    """

    stream: Stream
    sequence: int = 0
    renditions: Mapping[str, RenditionTimeline] = field(default_factory=lambda: MappingProxyType({}))
    ended: bool = False
    keeps_all: bool = False

    @property
    def played(self) -> Mapping[str, RenditionTimeline]:
        """The renditions that players are to know of."""
        return {key: known for key, known in self.renditions.items() if known.rendition.is_played}

    @property
    def segment_count(self) -> int:
        """How many segments are held, as a measure of memory."""
        return sum(len(rendition.segments) for rendition in self.renditions.values())

    @property
    def lacks_recorded(self) -> bool:
        """Tell whether the stream can be played whole now, and what is needed for that was let go."""
        is_recorded = self.ended and self.stream.record and self.stream.kind is StreamKind.LIVE
        return is_recorded and any(known.is_cut for known in self.renditions.values())

    @property
    def kind(self) -> StreamKind:
        """How it is to be played: what was live and recorded is VOD from its end on."""
        if self.ended and self.stream.record and not self.lacks_recorded:
            return StreamKind.VOD if self.stream.kind is StreamKind.LIVE else self.stream.kind
        return self.stream.kind

    @property
    def is_live(self) -> bool:
        """Tell whether viewers may wait for what comes next."""
        return self.stream.kind is not StreamKind.VOD and not self.ended

    def is_given_up(self, known: RenditionTimeline) -> bool:
        """Tell whether a rendition of what is, or was, live ended while others went on.

        It shows nothing any more, not even its end: a player would take that for the end of the stream.
        """
        goes_on = any(not other.ended for other in self.played.values())
        return known.ended and goes_on and self.stream.kind is not StreamKind.VOD

    def listed(self, known: RenditionTimeline) -> tuple[Segment, ...]:
        """Give the segments that a rendition's playlists list."""
        start = window_start(self.stream, known.segments) if self.kind is StreamKind.LIVE else 0
        return known.segments[start:] if start else known.segments


def append_record(timeline: Timeline, record: Record) -> Timeline:
    """Fold one record in; one that was folded in before changes nothing.

    Raises:
        DataLoss: Something between the timeline and the record is missing.
    """
    if record.sequence <= timeline.sequence:
        return timeline
    renditions = dict(timeline.renditions)
    ended = timeline.ended
    arrived: dict[str, list[Segment | Part]] = {}
    for entry in record.entries:
        match entry:
            case Segment() | Part():
                arrived.setdefault(entry.rendition_id, []).append(entry)
            case Rendition():
                renditions.setdefault(entry.rendition_id, RenditionTimeline(rendition=entry))
            case Trimmed():
                known = _known(renditions, entry.rendition_id)
                renditions[entry.rendition_id] = _without_trimmed(known, entry)
            case Ended(rendition_id=""):
                ended = True
            case Ended():
                renditions[entry.rendition_id] = replace(_known(renditions, entry.rendition_id), ended=True)
    for rendition_id, media in arrived.items():
        known = _known(renditions, rendition_id)
        renditions[rendition_id] = _with_media(timeline, known, media)
    return replace(timeline, sequence=record.sequence, renditions=MappingProxyType(renditions), ended=ended)


def _known(renditions: Mapping[str, RenditionTimeline], rendition_id: str) -> RenditionTimeline:
    try:
        return renditions[rendition_id]
    except KeyError:
        raise DataLoss(f"rendition {rendition_id!r} was never announced", reason="TIMELINE_BROKEN") from None


def _without_trimmed(known: RenditionTimeline, trimmed: Trimmed) -> RenditionTimeline:
    """Begin behind what the ledger has lost; what was measured of it counts as if it had been seen."""
    measured = known.bit_rate
    if not known.segments:
        measured = BitRate(
            total_s=trimmed.media_s, total_bytes=trimmed.size_bytes, highest_bps=trimmed.peak_bps
        )
    return replace(
        known,
        segments=tuple(one for one in known.segments if one.msn >= trimmed.first_msn),
        parts=tuple(one for one in known.parts if one.msn >= trimmed.first_msn),
        next_msn=max(known.next_msn, trimmed.first_msn),
        media_s=sum(one.duration_s for one in known.segments if one.msn >= trimmed.first_msn),
        bit_rate=measured,
    )


def _with_media(
    timeline: Timeline, known: RenditionTimeline, media: Sequence[Segment | Part]
) -> RenditionTimeline:
    _require_succession(known, media)
    target_duration_s = timeline.stream.target_duration_s
    segments = [one for one in media if isinstance(one, Segment)]
    parts = [one for one in media if isinstance(one, Part)]
    arrived = _inits_of(media)
    grown = replace(
        known,
        segments=(*known.segments, *segments) if segments else known.segments,
        parts=(*known.parts, *parts) if parts else known.parts,
        next_msn=segments[-1].msn + 1 if segments else media[0].msn,
        inits=(*(init for init in known.inits if init not in arrived), *arrived),
        bit_rate=_measured(known.bit_rate, segments, target_duration_s),
        iframe_bit_rate=_measured_iframes(known.iframe_bit_rate, segments, target_duration_s),
    )
    return _within_bounds(timeline, grown, segments) if segments else grown


def _require_succession(known: RenditionTimeline, media: Sequence[Segment | Part]) -> None:
    """Hold what came against what was there.

    The first segment ever may have any number, and so may the first part: what was before them is gone from
    the ledger.
    """
    next_msn = known.next_msn if known.segments or known.parts else media[0].msn
    next_part = known.part_count(next_msn)
    has_parts = bool(known.parts)
    for one in media:
        part = one.part if isinstance(one, Part) else next_part
        if isinstance(one, Part) and not has_parts:
            has_parts, next_part = True, one.part
        if (one.msn, part) != (next_msn, next_part):
            raise DataLoss(
                f"segment {one.msn} of {one.rendition_id!r} does not follow {next_msn - 1}"
                + (f" with part {part} behind {next_part} others" if isinstance(one, Part) else ""),
                reason="TIMELINE_BROKEN",
            )
        next_msn, next_part = (one.msn, part + 1) if isinstance(one, Part) else (one.msn + 1, 0)


def _within_bounds(
    timeline: Timeline, known: RenditionTimeline, arrived: Sequence[Segment]
) -> RenditionTimeline:
    """Let go of what nobody may ask for any more; step by step, so that any split lets go of the same."""
    stream, segments, media_s = timeline.stream, known.segments, known.media_s
    parts = _parts_within_bounds(stream, known, now_s=arrived[-1].announced_s)
    if timeline.keeps_all or not stream.slides:
        return replace(known, parts=parts)
    bound_s, dropped = held_s(stream), 0
    for segment in arrived:
        media_s += segment.duration_s
        now_s = segment.announced_s
        while media_s - segments[dropped].duration_s >= bound_s and not is_new(
            segments[dropped], now_s=now_s, within_s=bound_s
        ):
            media_s -= segments[dropped].duration_s
            dropped += 1
    if not dropped:
        return replace(known, parts=parts, media_s=media_s)
    return replace(
        known,
        segments=segments[dropped:],
        parts=parts,
        media_s=media_s,
        inits=_needed_inits(known.inits, segments[dropped:], parts),
        is_cut=True,
    )


def _parts_within_bounds(stream: Stream, known: RenditionTimeline, *, now_s: float) -> tuple[Part, ...]:
    if not known.parts:
        return ()
    first_msn, within_s = first_msn_with_parts(stream, known.segments, held=True), parts_held_s(stream)
    return tuple(
        part for part in known.parts if part.msn >= first_msn or is_new(part, now_s=now_s, within_s=within_s)
    )


def _inits_of(media: Sequence[Segment | Part]) -> Inits:
    """Give each once, in the order of their last uses."""
    newest_first = ((one.init_key, one.init_size_bytes) for one in reversed(media) if one.init_key)
    return tuple(dict.fromkeys(newest_first))[::-1]


def _needed_inits(inits: Inits, segments: Sequence[Segment], parts: Sequence[Part]) -> Inits:
    if len(inits) == 1:
        return inits
    needed = {segment.init_key for segment in segments} | {part.init_key for part in parts}
    return tuple(init for init in inits if init[0] in needed)


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
