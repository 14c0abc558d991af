"""Place what encoders make on a live stream's ledger, run by run, and end what a dead run left open.

A run is one publisher's connection. Its pieces count from 0; here they get their media sequence numbers,
their place on the stream's clock, which goes on while nobody publishes, and their time of day. All renditions
hold the same number of segments in each run: what one of them lacks becomes a gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from transcoder.domain.announce import StreamEnd
from transcoder.domain.live_cutter import LiveMedia, LivePart, LiveSegment
from transcoder.domain.packager import IFrameRange, RenditionInfo

# The ledger takes holes and overlaps up to 10 ms for rounding; borders of audio lie further off than that.
TOLERANCE_S = 0.005
# Renditions of a run are announced together, so they never lie further apart.
TAIL_SEGMENTS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """Bytes that can be read from storage."""

    key: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """What segments and parts share: a stretch of the stream's clock, and where its bytes lie."""

    rendition_id: str
    msn: int
    start_s: float
    duration_s: float
    program_date_time: datetime
    discontinuity_sequence: int
    media: StoredObject | None = None
    """None: a gap."""
    init: StoredObject | None = None
    """None: a gap, or MPEG-TS."""

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s

    @property
    def end_time(self) -> datetime:
        return self.program_date_time + timedelta(seconds=self.duration_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedSegment(Placed):
    """A whole segment."""

    iframes: tuple[IFrameRange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedPart(Placed):
    """A part of the segment `msn`."""

    part: int
    independent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackTrimmed:
    """The oldest segments of a rendition can no longer be read."""

    rendition_id: str
    first_msn: int
    start_s: float
    discontinuity_sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RenditionEnd:
    """A rendition is made no more, in no later run either."""

    rendition_id: str


LiveEntry = RenditionInfo | PlacedSegment | PlacedPart | RenditionEnd | StreamEnd
LedgerEntry = LiveEntry | TrackTrimmed


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """The end of one rendition on the ledger."""

    rendition_id: str
    next_msn: int = 0
    end_s: float | None = None
    """Of the newest segment; None before the first."""
    end_time: datetime | None = None
    discontinuity_sequence: int = 0
    open_parts: tuple[PlacedPart, ...] = ()
    """Announced parts of the segment `next_msn`."""
    tail: tuple[PlacedSegment, ...] = ()
    """The newest segments."""
    has_ended: bool = False

    @property
    def has_begun(self) -> bool:
        return self.end_s is not None or bool(self.open_parts)

    @property
    def edge_s(self) -> float | None:
        """Where the next part or segment begins, within a run."""
        return self.open_parts[-1].end_s if self.open_parts else self.end_s

    @property
    def edge_time(self) -> datetime | None:
        return self.open_parts[-1].end_time if self.open_parts else self.end_time


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTimeline:
    """What the ledger holds, as far as going on with it needs it."""

    tracks: Mapping[str, Track] = field(default_factory=dict)
    has_ended: bool = False

    @property
    def growing(self) -> Sequence[Track]:
        """The renditions that have not ended."""
        return [track for track in self.tracks.values() if not track.has_ended]

    def takes(self, rendition_id: str) -> bool:
        """Whether a rendition may grow, or begin."""
        track = self.tracks.get(rendition_id)
        return track is None or not track.has_ended


def fold(timeline: LiveTimeline, entries: Iterable[LedgerEntry]) -> LiveTimeline:
    """Add entries that stand on the ledger."""
    tracks = dict(timeline.tracks)
    has_ended = timeline.has_ended
    for entry in entries:
        if isinstance(entry, StreamEnd):
            has_ended = True
        else:
            track = tracks.get(entry.rendition_id) or Track(rendition_id=entry.rendition_id)
            tracks[entry.rendition_id] = grow(track, entry)
    return LiveTimeline(tracks=tracks, has_ended=has_ended)


def grow(
    track: Track, entry: RenditionInfo | PlacedSegment | PlacedPart | RenditionEnd | TrackTrimmed
) -> Track:
    """Add an entry that stands on the ledger to its rendition."""
    match entry:
        case PlacedPart():
            return replace(
                track,
                next_msn=entry.msn,
                open_parts=(*track.open_parts, entry),
                discontinuity_sequence=entry.discontinuity_sequence,
            )
        case PlacedSegment():
            return replace(
                track,
                next_msn=entry.msn + 1,
                end_s=entry.end_s,
                end_time=entry.end_time,
                discontinuity_sequence=entry.discontinuity_sequence,
                open_parts=(),
                tail=(*track.tail[1 - TAIL_SEGMENTS :], entry),
            )
        case TrackTrimmed():
            return replace(
                track,
                next_msn=entry.first_msn,
                end_s=entry.start_s,
                discontinuity_sequence=entry.discontinuity_sequence,
            )
        case RenditionEnd():
            return replace(track, has_ended=True)
        case RenditionInfo():
            return track


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Where a run lies on its stream's ledger."""

    start_s: float
    start_time: datetime
    discontinuity_sequence: int
    first_msns: Mapping[str, int]
    """By rendition."""
    new_msn: int = 0
    """Of renditions that are new: they count on as their siblings do."""

    def place_part(self, piece: LivePart, media: StoredObject, init: StoredObject | None) -> PlacedPart:
        """Place a part whose bytes can be read."""
        return PlacedPart(
            rendition_id=piece.rendition.rendition_id,
            msn=self.msn(piece),
            part=piece.part,
            start_s=self.start_s + piece.start_s,
            duration_s=piece.duration_s,
            program_date_time=self._time(piece.start_s),
            discontinuity_sequence=self.discontinuity_sequence,
            independent=piece.independent,
            media=media,
            init=init,
        )

    def place_segment(
        self, piece: LiveSegment, media: StoredObject, init: StoredObject | None
    ) -> PlacedSegment:
        """Place a segment whose bytes can be read."""
        return PlacedSegment(
            rendition_id=piece.rendition.rendition_id,
            msn=self.msn(piece),
            start_s=self.start_s + piece.start_s,
            duration_s=piece.duration_s,
            program_date_time=self._time(piece.start_s),
            discontinuity_sequence=self.discontinuity_sequence,
            iframes=piece.iframes,
            media=media,
            init=init,
        )

    def msn(self, piece: LiveMedia) -> int:
        """Number the segment that a piece is, or is a part of."""
        return self.first_msns.get(piece.rendition.rendition_id, self.new_msn) + piece.segment

    def _time(self, start_s: float) -> datetime:
        return self.start_time + timedelta(seconds=start_s)


def begin_run(timeline: LiveTimeline, now: datetime) -> Run:
    """Place a run behind everything that stands on the ledger, which `close_runs` has made whole.

    The stream's clock goes on by the time that passed since the last run's end, and neither it nor the time
    of day ever goes back.

    Args:
        timeline: The ledger.
        now: When the run's first frame came.
    """
    begun = [track for track in timeline.tracks.values() if track.has_begun]
    if not begun:
        return Run(start_s=0.0, start_time=now, discontinuity_sequence=0, first_msns={})
    end_s = max(track.end_s or 0.0 for track in begun)
    end_times = [track.end_time for track in begun if track.end_time]
    start_time = max([now, *end_times])
    passed_s = (start_time - max(end_times)).total_seconds() if end_times else 0.0
    return Run(
        start_s=end_s + passed_s,
        start_time=start_time,
        discontinuity_sequence=max(track.discontinuity_sequence for track in begun) + 1,
        first_msns={track.rendition_id: track.next_msn for track in begun},
        new_msn=max(track.next_msn for track in begun),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """An unfinished segment of a run that is over: what becomes of its announced parts."""

    parts: tuple[PlacedPart, ...]
    segment: PlacedSegment
    """The segment that closes them, as a gap until its bytes are stored."""


def close_runs(timeline: LiveTimeline) -> tuple[Remains | PlacedSegment, ...]:
    """Decide how a run that is over becomes whole: open segments are closed, what renditions lack are gaps.

    The segments of one rendition stand in order.
    """
    wanted = _reference(timeline.growing)
    return tuple(closing for track in timeline.growing for closing in _close_track(track, wanted))


def _reference(tracks: Iterable[Track]) -> tuple[PlacedSegment, ...]:
    """Choose the rendition that came furthest: its segments of the newest run, the open one closed."""
    candidates = [
        (*track.tail, *([_closed(track.open_parts)] if track.open_parts else [])) for track in tracks
    ]
    segments = max(
        filter(None, candidates),
        key=lambda some: (some[-1].discontinuity_sequence, some[-1].start_s),
        default=(),
    )
    return tuple(one for one in segments if one.discontinuity_sequence == segments[-1].discontinuity_sequence)


def _close_track(track: Track, wanted: Sequence[PlacedSegment]) -> Iterator[Remains | PlacedSegment]:
    missing = wanted[_count_held(track, wanted) :]
    if track.open_parts:
        border = missing[0] if len(missing) > 1 else None  # the last segment ends where its own parts do
        segment = _closed(track.open_parts, border)
        yield Remains(parts=track.open_parts, segment=segment)
        track, missing = grow(track, segment), missing[1:]
    for sibling in missing:
        gap = gap_beside(track, sibling)
        yield gap
        track = grow(track, gap)


def _count_held(track: Track, wanted: Sequence[PlacedSegment]) -> int:
    """Count how many of its sibling's segments a rendition has: borders of audio lie a little off."""
    if not wanted or not track.tail:
        return 0
    last = track.tail[-1]
    if last.discontinuity_sequence != wanted[-1].discontinuity_sequence:
        return 0
    return 1 + min(range(len(wanted)), key=lambda index: abs(wanted[index].start_s - last.start_s))


def _closed(parts: Sequence[PlacedPart], border: PlacedSegment | None = None) -> PlacedSegment:
    first, last = parts[0], parts[-1]
    end_s = max(last.end_s, border.end_s) if border else last.end_s
    return PlacedSegment(
        rendition_id=first.rendition_id,
        msn=first.msn,
        start_s=first.start_s,
        duration_s=end_s - first.start_s,
        program_date_time=first.program_date_time,
        discontinuity_sequence=first.discontinuity_sequence,
    )


def gap_beside(track: Track, sibling: PlacedSegment) -> PlacedSegment:
    """Fill a rendition where its sibling has a segment that it lacks."""
    goes_on = track.edge_s is not None and track.discontinuity_sequence == sibling.discontinuity_sequence
    start_s = track.edge_s if goes_on and track.edge_s is not None else sibling.start_s
    return PlacedSegment(
        rendition_id=track.rendition_id,
        msn=track.next_msn if track.has_begun else sibling.msn,
        start_s=start_s,
        duration_s=max(sibling.end_s - start_s, TOLERANCE_S),
        program_date_time=sibling.program_date_time + timedelta(seconds=start_s - sibling.start_s),
        discontinuity_sequence=sibling.discontinuity_sequence,
    )
