"""What the ledger holds of ready segments, as far as going on with it needs it.

A *row* is what all variants share of one number: when it starts, on the stream's clock and by the time of
day, and after how many discontinuities. Whichever variant is announced first fixes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from transcoder.domain.announce import StreamEnd
from transcoder.domain.live_timeline import LedgerEntry, PlacedSegment, TrackTrimmed
from transcoder.domain.packager import RenditionInfo
from transcoder.domain.ready_feed import AHEAD_COUNT

_REMEMBERED = 2 * AHEAD_COUNT


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyTrack:
    """The end of one variant on the ledger."""

    next_msn: int = 0
    end_s: float | None = None
    """None before the first segment or gap."""
    end_time: datetime | None = None
    discontinuity_sequence: int = 0
    media_msn: int | None = None
    """The newest segment that is no gap, and where it ends."""
    media_end_s: float = 0.0
    gaps: frozenset[int] = frozenset()
    """Of the newest segments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What all variants share of one number."""

    start_s: float
    end_s: float
    start_time: datetime
    discontinuity_sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyTimeline:
    """What the ledger holds, as far as going on with it needs it."""

    sequence: int = 0
    tracks: Mapping[str, ReadyTrack] = field(default_factory=dict)
    rows: Mapping[int, Row] = field(default_factory=dict)
    """The newest, by msn."""
    has_ended: bool = False

    @property
    def least_msn(self) -> int:
        """The lowest that any variant still lacks."""
        return min((track.next_msn for track in self.tracks.values()), default=0)

    def track(self, variant_id: str) -> ReadyTrack:
        return self.tracks.get(variant_id) or ReadyTrack()


def fold(timeline: ReadyTimeline, entries: Iterable[LedgerEntry], sequence: int) -> ReadyTimeline:
    """Add one record."""
    tracks, rows, has_ended = dict(timeline.tracks), dict(timeline.rows), timeline.has_ended
    for entry in entries:
        match entry:
            case RenditionInfo():
                tracks.setdefault(entry.rendition_id, ReadyTrack())
            case TrackTrimmed():
                tracks[entry.rendition_id] = _trimmed(entry)
            case PlacedSegment():
                track = tracks.get(entry.rendition_id) or ReadyTrack()
                tracks[entry.rendition_id] = _grown(track, entry)
                rows.setdefault(entry.msn, _row(entry))
            case StreamEnd():
                has_ended = True
    newest = max(rows, default=0)
    return ReadyTimeline(
        sequence=sequence,
        tracks=tracks,
        rows={msn: row for msn, row in rows.items() if msn > newest - _REMEMBERED},
        has_ended=has_ended,
    )


def _grown(track: ReadyTrack, entry: PlacedSegment) -> ReadyTrack:
    is_gap = entry.media is None
    recent: Iterator[int] = (msn for msn in track.gaps if msn > entry.msn - _REMEMBERED)
    return ReadyTrack(
        next_msn=entry.msn + 1,
        end_s=entry.end_s,
        end_time=entry.end_time,
        discontinuity_sequence=entry.discontinuity_sequence,
        media_msn=track.media_msn if is_gap else entry.msn,
        media_end_s=track.media_end_s if is_gap else entry.end_s,
        gaps=frozenset((*recent, entry.msn)) if is_gap else frozenset(recent),
    )


def _trimmed(entry: TrackTrimmed) -> ReadyTrack:
    return ReadyTrack(
        next_msn=entry.first_msn,
        end_s=entry.start_s,
        discontinuity_sequence=entry.discontinuity_sequence,
    )


def _row(entry: PlacedSegment) -> Row:
    return Row(
        start_s=entry.start_s,
        end_s=entry.end_s,
        start_time=entry.program_date_time,
        discontinuity_sequence=entry.discontinuity_sequence,
    )
