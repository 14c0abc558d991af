"""Place ready segments on the ledger: what may be announced next, and what has become a gap.

Each variant grows for itself, number by number. Whichever is announced first fixes the row of a number, and
the others follow it, so that discontinuities fall together.

A discontinuity stands where the timestamps do not go on from the segment before, or where the init segment
is another one. There the time of day is that of the arrival, unless that would go back, and the clock jumps
by the time that passed; else both only add up durations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from transcoder.domain.live_timeline import TOLERANCE_S, LiveEntry, PlacedSegment
from transcoder.domain.packager import RenditionInfo
from transcoder.domain.ready_feed import AHEAD_COUNT, Feed, Variant
from transcoder.domain.ready_segment import ReadySegment
from transcoder.domain.ready_tracks import ReadyTimeline, ReadyTrack, Row, fold

ENTRIES_PER_RECORD = 300
# Timestamps that lie further from where the segment before has ended do not go on from it.
JUMP_S = 0.2
# 33 bits of 90 kHz, after which MPEG-TS counts from 0 again.
WRAP_S = 2**33 / 90_000

Segments = Mapping[str, Mapping[int, ReadySegment]]
"""By variant and number: what is stored, as far as it matters now."""


def plan_entries(
    feed: Feed, timeline: ReadyTimeline, segments: Segments, now: datetime
) -> tuple[LiveEntry, ...]:
    """Decide what may be announced now: what goes on without a hole, and gaps that are due."""
    if feed.first_number is None or timeline.has_ended:
        return ()
    variants = [
        known
        for known in feed.variants
        if known.variant_id in timeline.tracks or segments.get(known.variant_id)
    ]
    entries: list[LiveEntry] = [
        _describe(variant, segments[variant.variant_id])
        for variant in variants
        if variant.variant_id not in timeline.tracks
    ]
    timeline = fold(timeline, entries, timeline.sequence)
    while len(entries) < ENTRIES_PER_RECORD:
        scene = _Scene(feed=feed, timeline=timeline, segments=segments)
        found = next((entry for one in variants if (entry := scene.next_entry(one.variant_id, now))), None)
        if found is None:
            break
        entries.append(found)
        timeline = fold(timeline, (found,), timeline.sequence)
    return tuple(entries)


def next_look(feed: Feed, timeline: ReadyTimeline, segments: Segments) -> datetime | None:
    """Tell when something becomes due that no arrival announces; None: nothing waits."""
    if timeline.has_ended:
        return None
    if feed.first_number is None:
        return feed.begin_time
    scene = _Scene(feed=feed, timeline=timeline, segments=segments)
    return min((due for one in timeline.tracks if (due := scene.gap_time(one))), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """What every decision looks at."""

    feed: Feed
    timeline: ReadyTimeline
    segments: Segments

    def next_entry(self, variant_id: str, now: datetime) -> PlacedSegment | None:
        """Decide what the next of a variant becomes: its segment, a gap, or nothing yet."""
        msn = self.timeline.track(variant_id).next_msn
        if any(track.next_msn < msn - AHEAD_COUNT for track in self.timeline.tracks.values()):
            return None  # the others would no longer find their rows
        if segment := self._stored(variant_id, msn):
            return self._place(segment, msn)
        due = self.gap_time(variant_id)
        return self._gap(variant_id, msn) if due and now >= due else None

    def gap_time(self, variant_id: str) -> datetime | None:
        """Tell when the next of a variant becomes a gap: some time after a later one, or a sibling, came."""
        number = self._number(self.timeline.track(variant_id).next_msn)
        if number in self.segments.get(variant_id, {}):
            return None
        times = (
            segment.arrival_time
            for stored in self.segments.values()
            for segment in stored.values()
            if segment.number >= number
        )
        first = min(times, default=None)
        return first and first + self.feed.patience

    def _place(self, segment: ReadySegment, msn: int) -> PlacedSegment:
        place = self._join_row(segment.variant_id, msn) or self._lead(segment)
        return PlacedSegment(
            rendition_id=segment.variant_id,
            msn=msn,
            start_s=place.start_s,
            duration_s=segment.duration_s,
            program_date_time=place.start_time,
            discontinuity_sequence=place.discontinuity_sequence,
            media=segment.media,
            init=segment.init,
            iframes=segment.iframes,
        )

    def _gap(self, variant_id: str, msn: int) -> PlacedSegment:
        row = self.timeline.rows.get(msn)
        place = self._join_row(variant_id, msn) or self._go_on(variant_id)
        duration_s = row.end_s - place.start_s if row else self._missing_s(msn)
        return PlacedSegment(
            rendition_id=variant_id,
            msn=msn,
            start_s=place.start_s,
            duration_s=min(max(duration_s, TOLERANCE_S), float(self.feed.target_duration_s)),
            program_date_time=place.start_time,
            discontinuity_sequence=place.discontinuity_sequence,
        )

    def _join_row(self, variant_id: str, msn: int) -> Row | None:
        """Find where a variant's next one starts in a row that a sibling has fixed; None: there is none."""
        row, track = self.timeline.rows.get(msn), self.timeline.track(variant_id)
        if row is None or track.end_s is None or track.end_time is None:
            return row
        if row.discontinuity_sequence == track.discontinuity_sequence:
            return self._go_on(variant_id)
        start_s = max(row.start_s, track.end_s)  # clock and time of day go alike, so neither goes back
        return replace(
            row, start_s=start_s, start_time=row.start_time + timedelta(seconds=start_s - row.start_s)
        )

    def _lead(self, segment: ReadySegment) -> Row:
        """Fix where a row starts."""
        track, place = self.timeline.track(segment.variant_id), self._go_on(segment.variant_id)
        if track.end_s is None or not self._jumps(segment, track):
            return place
        passed = max(segment.arrival_time - place.start_time, timedelta())
        return replace(
            place,
            start_s=place.start_s + passed.total_seconds(),
            start_time=place.start_time + passed,
            discontinuity_sequence=place.discontinuity_sequence + 1,
        )

    def _go_on(self, variant_id: str) -> Row:
        """Start where the variant ends; a stream starts when its first segment has come."""
        track = self.timeline.track(variant_id)
        start_time = track.end_time or self.feed.opened_time
        if start_time is None:
            raise ValueError("a feed without segments has no timeline")
        return Row(
            start_s=track.end_s or 0.0,
            end_s=track.end_s or 0.0,
            start_time=start_time,
            discontinuity_sequence=track.discontinuity_sequence,
        )

    def _jumps(self, segment: ReadySegment, track: ReadyTrack) -> bool:
        """Tell whether a segment does not go on from the one before, which may be long forgotten."""
        if track.media_msn is None:
            return False
        before = self._stored(segment.variant_id, track.media_msn)
        if before is None or before.init != segment.init:
            return True
        gaps_s = (track.end_s or 0.0) - track.media_end_s
        return abs(_apart_s(before, segment) - gaps_s) > JUMP_S

    def _missing_s(self, msn: int) -> float:
        """Measure how long each missing segment was, where timestamps tell; else a target duration."""
        target_s = float(self.feed.target_duration_s)
        for variant_id, track in self.timeline.tracks.items():
            before = self._stored(variant_id, track.media_msn) if track.media_msn is not None else None
            later = [n for n in self.segments.get(variant_id, {}) if n > self._number(msn)]
            if before is None or not later or track.next_msn != msn:
                continue
            hole_s = _apart_s(before, self.segments[variant_id][min(later)])
            hole_s -= (track.end_s or 0.0) - track.media_end_s
            each_s = hole_s / (min(later) - self._number(msn))
            if 0 < each_s <= target_s:
                return each_s
        return target_s

    def _stored(self, variant_id: str, msn: int) -> ReadySegment | None:
        return self.segments.get(variant_id, {}).get(self._number(msn))

    def _number(self, msn: int) -> int:
        return (self.feed.first_number or 0) + msn


def _apart_s(before: ReadySegment, after: ReadySegment) -> float:
    """Measure from the end of one segment to the start of another, over a wrap of MPEG-TS."""
    apart_s = after.start_s - before.end_s
    return apart_s if after.init else (apart_s + WRAP_S / 2) % WRAP_S - WRAP_S / 2


def _describe(variant: Variant, stored: Mapping[int, ReadySegment]) -> RenditionInfo:
    """Describe a variant with the rates of the segments that came before it was announced."""
    rates: Sequence[int] = [segment.rate_bps for segment in stored.values()]
    return replace(variant.info, target_bps=sum(rates) // len(rates), peak_bps=max(rates))
