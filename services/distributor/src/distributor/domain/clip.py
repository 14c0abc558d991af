"""Clips: which segments a stretch of time consists of, and how they are told as a stream of their own.

A clip begins and ends at segment borders of its leading rendition, so that it holds at least what was asked
for. Its segments are those of the other stream, bytes and all; only their numbers and their clock begin anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chassis.errors import FailedPrecondition, OutOfRange
from distributor.domain.entries import Ended, Entry, Record, Rendition, Segment
from distributor.domain.retention import retention_of
from distributor.domain.stream import Cut, Description, Stream

Msns = Mapping[str, tuple[int, int]]

# Playlists and players tell instants in whole milliseconds: one of theirs may lie so far beside ours.
_ROUNDED = timedelta(milliseconds=1)


@dataclass(slots=True)
class Story:
    """The renditions and whole segments of a ledger, as far as it still tells them."""

    renditions: dict[str, Rendition] = field(default_factory=dict)
    segments: dict[str, list[Segment]] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)
    """Renditions that ended while the stream may have gone on."""

    def tell(self, records: Iterable[Record]) -> None:
        """Add what stands in further records."""
        for record in records:
            for entry in record.entries:
                if isinstance(entry, Rendition):
                    self.renditions.setdefault(entry.rendition_id, entry)
                elif isinstance(entry, Segment):
                    self.segments.setdefault(entry.rendition_id, []).append(entry)
                elif isinstance(entry, Ended) and entry.rendition_id:
                    self.left_out.add(entry.rendition_id)

    def leading(self) -> Sequence[Segment]:
        """The segments by which a stretch is measured: of the first rendition with a picture, if any has.

        One that was left out tells no more how far the stream has come.
        """
        begun = [one for one in self.renditions.values() if one.rendition_id in self.segments]
        begun.sort(key=lambda one: (not _has_picture(one), one.rendition_id in self.left_out))
        return self.segments[begun[0].rendition_id] if begun else ()

    def breaks_off(self, rendition_id: str, time: datetime) -> bool:
        """Tell whether a rendition was left out before an instant."""
        return rendition_id in self.left_out and _end_time(self.segments[rendition_id][-1]) <= time


def choose_msns(story: Story, description: Description, *, start: datetime, end: datetime) -> Msns:
    """Choose what a stretch of time touches: by rendition the first segment, and the one behind the last.

    A rendition that was left out meanwhile is in none of it: who played it would take its end for the clip's.

    Raises:
        OutOfRange: OUTSIDE_WINDOW; some of it has left the window, or is still to come.
        FailedPrecondition: NO_PROGRAM_TIME; the stream does not say when it was recorded.
    """
    listed = _listed(story.leading(), description)
    _require_within(listed, start, end)
    rounded = min(_ROUNDED, (end - start) / 4)
    touched = [one for one in listed if _time(one) < end - rounded and _end_time(one) > start + rounded]
    if not touched:
        raise OutOfRange(
            f"from {start.isoformat()} to {end.isoformat()} nothing was shown", reason="OUTSIDE_WINDOW"
        )
    stretch = (_time(touched[0]), _end_time(touched[-1]))
    chosen = {
        rendition_id: [one.msn for one in segments if stretch[0] <= _middle(one) < stretch[1]]
        for rendition_id, segments in story.segments.items()
        if not story.breaks_off(rendition_id, _middle(touched[-1]))
    }
    return {rendition_id: (msns[0], msns[-1] + 1) for rendition_id, msns in chosen.items() if msns}


def cut_of(source: Stream, msns: Msns) -> Cut:
    """Whose objects a clip of `source` names; a clip of a clip names those of the first stream."""
    if source.cut is None:
        return Cut(stream_id=source.stream_id, incarnation=source.incarnation, msns=msns)
    return replace(source.cut, msns=_shifted(msns, source.cut, 1), request_id="")


def msns_within(source: Stream, cut: Cut) -> Msns:
    """The segments of `source` that a cut of it names; a clip numbers them anew."""
    return _shifted(cut.msns, source.cut, -1) if source.cut else cut.msns


def _shifted(msns: Msns, by: Cut, sign: int) -> Msns:
    return {
        rendition_id: (first + sign * by.msns[rendition_id][0], behind + sign * by.msns[rendition_id][0])
        for rendition_id, (first, behind) in msns.items()
    }


def clip_entries(story: Story, msns: Msns) -> Sequence[Entry]:
    """Tell the chosen segments as a stream that begins with them and ends.

    Raises:
        OutOfRange: OUTSIDE_WINDOW; the story does not tell all of them any more.
    """
    chosen = {
        rendition_id: [one for one in story.segments.get(rendition_id, ()) if first <= one.msn < behind]
        for rendition_id, (first, behind) in msns.items()
    }
    if any(len(chosen[rendition_id]) < behind - first for rendition_id, (first, behind) in msns.items()):
        raise OutOfRange("the stretch has left the DVR window: delete the clip", reason="OUTSIDE_WINDOW")
    everything = [one for segments in chosen.values() for one in segments]
    base_s = min(one.start_s for one in everything)
    base_discontinuity = min(one.discontinuity_sequence for one in everything)
    renumbered = (
        replace(
            one,
            msn=one.msn - msns[one.rendition_id][0],
            start_s=one.start_s - base_s,
            discontinuity_sequence=one.discontinuity_sequence - base_discontinuity,
        )
        for one in everything
    )
    in_time = sorted(renumbered, key=lambda one: (one.start_s, one.rendition_id))
    return [*(story.renditions[rendition_id] for rendition_id in chosen), *in_time, Ended()]


def _has_picture(rendition: Rendition) -> bool:
    return rendition.media_kind is not None and rendition.media_kind.has_picture


def _listed(segments: Sequence[Segment], description: Description) -> Sequence[Segment]:
    """The segments that playlists list now."""
    if description.keeps_everything or not segments:
        return segments
    horizon_s = segments[-1].end_s - retention_of(description).window_s
    return [one for one in segments if one.end_s > horizon_s]


def _require_within(listed: Sequence[Segment], start: datetime, end: datetime) -> None:
    if not listed:
        raise OutOfRange("the stream shows nothing yet", reason="OUTSIDE_WINDOW")
    first, last = _time(listed[0]), _end_time(listed[-1])
    for name, time in (("start_time", start), ("end_time", end)):
        if not first - _ROUNDED <= time <= last + _ROUNDED:
            raise OutOfRange(
                f"{name} is {time.isoformat()}: it must lie from {first.isoformat()} to {last.isoformat()}, "
                "what can be played now",
                reason="OUTSIDE_WINDOW",
                field=name,
            )


def _time(segment: Segment) -> datetime:
    if segment.program_date_time is None:
        raise FailedPrecondition(
            "the stream has no program date and time: only what was live can be clipped",
            reason="NO_PROGRAM_TIME",
        )
    return segment.program_date_time


def _end_time(segment: Segment) -> datetime:
    return _time(segment) + timedelta(seconds=segment.duration_s)


def _middle(segment: Segment) -> datetime:
    return _time(segment) + timedelta(seconds=segment.duration_s / 2)


def batches(entries: Sequence[Entry], count: int) -> Iterator[Sequence[Entry]]:
    """Cut entries into records of at most `count`."""
    for first in range(0, len(entries), count):
        yield entries[first : first + count]
