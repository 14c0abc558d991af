"""The laws of succession: what may be appended to a ledger, given everything that stands in it already.

A `Ledger` is the small state to which any number of records folds. Every append is held against it before it
is stored, so that a playlist computed from the ledger cannot break the rules that players rely on: media
sequence numbers grow by one, discontinuity sequences never go back, time has neither holes nor overlaps but
at a discontinuity, no segment is longer than the target duration, nothing follows the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chassis.errors import FailedPrecondition
from distributor.domain.entries import (
    Container,
    Ended,
    Entry,
    Media,
    Opened,
    Part,
    Record,
    Rendition,
    Segment,
    Trimmed,
)
from distributor.domain.laws import broken, check_entry, require

MAX_ENTRIES = 1_000
MAX_RENDITIONS = 64
# Writers add up frame durations as floats; a hole or overlap below this is no fault of the media.
CLOCK_TOLERANCE_S = 0.010
_TIME_TOLERANCE = timedelta(seconds=CLOCK_TOLERANCE_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """One rendition's end, and what was measured on the way there."""

    rendition: Rendition
    next_msn: int = 0
    end_s: float | None = None
    """Where the last whole segment ends; None before the first."""
    discontinuity_sequence: int = 0
    next_part: int = 0
    """Parts announced so far of the segment `next_msn`."""
    parts_start_s: float = 0.0
    parts_end_s: float = 0.0
    parts_start_time: datetime | None = None
    end_time: datetime | None = None
    """Program date and time behind the last segment or part; None if it is not known."""
    ended: bool = False
    size_bytes: int = 0
    media_s: float = 0.0
    """Duration of all segments but gaps."""
    played_s: float = 0.0
    """Duration of all segments, gaps among them, that were folded one by one."""
    peak_bps: float = 0.0

    @property
    def begun(self) -> bool:
        return self.end_s is not None or self.next_part > 0

    @property
    def edge_s(self) -> float:
        """Where the next segment or part begins, if there is no discontinuity."""
        return self.parts_end_s if self.next_part else self.end_s or 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Everything that the next append is held against."""

    container: Container
    target_duration_s: int
    part_target_s: float = 0.0
    """Upper bound of a part's duration; 0: there are no parts."""
    is_live: bool = False
    """All media bear their program date and time."""
    epoch: int = 0
    timelines: Mapping[str, Timeline] = field(default_factory=dict)
    ended: bool = False

    @property
    def duration_s(self) -> float:
        """What of it can be played: to the end of the longest rendition."""
        return max((timeline.end_s or 0.0 for timeline in self.timelines.values()), default=0.0)


def fold(ledger: Ledger, records: Iterable[Record]) -> Ledger:
    """Fold records that stand in the ledger already, and so are lawful."""
    for record in records:
        ledger = replace(ledger, epoch=max(ledger.epoch, record.epoch))
        for entry in record.entries:
            ledger = _apply(ledger, entry)
    return ledger


def require_open(ledger: Ledger, *, epoch: int | None = None) -> None:
    """Require that the ledger still grows, and under `epoch`.

    Raises:
        FailedPrecondition: STALE_EPOCH or TIMELINE_ENDED.
    """
    if epoch is not None and epoch < ledger.epoch:
        raise FailedPrecondition(
            f"epoch is {epoch}, but the stream was taken over under epoch {ledger.epoch}: stop appending",
            reason="STALE_EPOCH",
            epoch=str(ledger.epoch),
        )
    if ledger.ended:
        raise timeline_ended()


def timeline_ended() -> FailedPrecondition:
    """Tell that nothing follows an end."""
    return FailedPrecondition(
        "the timeline has ended: open a new incarnation to go on", reason="TIMELINE_ENDED"
    )


def append(ledger: Ledger, *, epoch: int, entries: Sequence[Entry]) -> Ledger:
    """Hold one append against the laws; answers the ledger with it.

    Raises:
        FailedPrecondition: STALE_EPOCH or TIMELINE_ENDED.
        InvalidArgument: LEDGER_LAW; names the field, the value and the range.
    """
    require_open(ledger, epoch=epoch)
    require(epoch == ledger.epoch, "epoch", epoch, f"be one that Open gave; the newest is {ledger.epoch}")
    rule = f"number 1 to {MAX_ENTRIES}"
    require(1 <= len(entries) <= MAX_ENTRIES, "entries", f"{len(entries)} of them", rule)
    for index, entry in enumerate(entries):
        at = f"entries[{index}].{type(entry).__name__.lower()}"
        check_entry(
            entry,
            at,
            container=ledger.container,
            target_duration_s=ledger.target_duration_s,
            is_image=_is_image(ledger, entry),
        )
        _check_succession(ledger, entry, at)
        ledger = _apply(ledger, entry)
    return ledger


def _is_image(ledger: Ledger, entry: Entry) -> bool:
    timeline = ledger.timelines.get(entry.rendition_id) if isinstance(entry, Media) else None
    return timeline is not None and not timeline.rendition.is_played


def _check_succession(ledger: Ledger, entry: Entry, at: str) -> None:
    require(not ledger.ended, at, "behind Ended", "stand before the end of the whole stream")
    match entry:
        case Rendition():
            known, count = ledger.timelines, len(ledger.timelines)
            require(entry.rendition_id not in known, f"{at}.rendition_id", entry.rendition_id, "be new")
            require(count < MAX_RENDITIONS, at, f"number {count + 1}", f"be one of at most {MAX_RENDITIONS}")
        case Segment():
            timeline = _growing(ledger, entry.rendition_id, at)
            _check_place(ledger, timeline, entry, at)
            _check_time(ledger, timeline, entry, at)
            _check_whole(timeline, entry, at)
        case Part():
            timeline = _growing(ledger, entry.rendition_id, at)
            require(entry.part == timeline.next_part, f"{at}.part", entry.part, f"be {timeline.next_part}")
            _check_part_duration(ledger, entry, at)
            _check_place(ledger, timeline, entry, at)
            _check_time(ledger, timeline, entry, at)
            _check_start(entry, at, timeline.edge_s, free=_is_free(timeline, entry))
        case Ended() if entry.rendition_id:
            _growing(ledger, entry.rendition_id, at)


def _growing(ledger: Ledger, rendition_id: str, at: str) -> Timeline:
    field_name = f"{at}.rendition_id"
    timeline = ledger.timelines.get(rendition_id)
    if timeline is None:
        raise broken(field_name, rendition_id, "have begun with a Rendition entry")
    require(not timeline.ended, field_name, rendition_id, "not have ended")
    return timeline


def _check_place(ledger: Ledger, timeline: Timeline, entry: Media, at: str) -> None:
    # A rendition that joins may count on as its siblings do, so that their numbers tell the same time.
    newest = timeline.next_msn if timeline.begun else max(one.next_msn for one in ledger.timelines.values())
    oldest = timeline.next_msn if timeline.begun else 0
    rule = f"lie from {oldest} to {newest}" if newest > oldest else f"be {newest}"
    require(oldest <= entry.msn <= newest, f"{at}.msn", entry.msn, rule)
    least = timeline.discontinuity_sequence
    most = least if timeline.next_part else least + 1
    require(
        # rfc8216bis 6.2.2: it grows by one at a discontinuity, and never goes back.
        entry.discontinuity_sequence >= 0
        and (not timeline.begun or least <= entry.discontinuity_sequence <= most),
        f"{at}.discontinuity_sequence",
        entry.discontinuity_sequence,
        f"lie from {least} to {most}" if timeline.begun else "be at least 0",
    )


def _check_part_duration(ledger: Ledger, entry: Part, at: str) -> None:
    require(ledger.part_target_s > 0, at, "a part", "not be: the stream was made without part_target_s")
    require(
        # rfc8216bis 4.4.3.7: no part is longer than the part target.
        entry.duration_s <= ledger.part_target_s + CLOCK_TOLERANCE_S,
        f"{at}.duration_s",
        entry.duration_s,
        f"be at most part_target_s, {ledger.part_target_s}",
    )


def _check_time(ledger: Ledger, timeline: Timeline, entry: Media, at: str) -> None:
    """Hold the program date and time: live media have one, and it never goes back."""
    time = entry.program_date_time
    if time is None:
        require(not ledger.is_live, f"{at}.program_date_time", "absent", "be given for live media")
    elif isinstance(entry, Segment) and timeline.next_part:
        begun = timeline.parts_start_time
        if begun and abs(time - begun) > _TIME_TOLERANCE:
            rule = f"be that of its first part, {begun.isoformat()}"
            raise broken(f"{at}.program_date_time", time.isoformat(), rule)
    elif timeline.end_time and time < timeline.end_time - _TIME_TOLERANCE:
        rule = f"not be before {timeline.end_time.isoformat()}, the end of what came before"
        raise broken(f"{at}.program_date_time", time.isoformat(), rule)


def _check_whole(timeline: Timeline, entry: Segment, at: str) -> None:
    """Hold a segment against the parts of it that were announced, or else against the segment before it."""
    if timeline.next_part == 0:
        _check_start(entry, at, timeline.edge_s, free=_is_free(timeline, entry))
        return
    _check_start(entry, at, timeline.parts_start_s, free=False)
    require(
        entry.end_s >= timeline.parts_end_s - CLOCK_TOLERANCE_S,
        f"{at}.duration_s",
        entry.duration_s,
        f"reach the end of its parts at {timeline.parts_end_s:.6f} s",
    )


def _is_free(timeline: Timeline, entry: Media) -> bool:
    """Whether the clock may jump here: at the beginning, and at a discontinuity."""
    return not timeline.begun or entry.discontinuity_sequence > timeline.discontinuity_sequence


def _check_start(entry: Media, at: str, edge_s: float, *, free: bool) -> None:
    gap_s = entry.start_s - edge_s
    fits = gap_s >= -CLOCK_TOLERANCE_S and (free or gap_s <= CLOCK_TOLERANCE_S)
    rule = "not be before" if free else "be"
    require(fits, f"{at}.start_s", entry.start_s, f"{rule} {edge_s:.6f}, the end of what came before")


def _apply(ledger: Ledger, entry: Entry) -> Ledger:
    match entry:
        case Opened():
            return ledger
        case Ended(rendition_id=""):
            return replace(ledger, ended=True)
        case Rendition():
            timeline = Timeline(rendition=entry)
        case _:
            timeline = _grown(ledger, ledger.timelines[entry.rendition_id], entry)
    return replace(ledger, timelines={**ledger.timelines, timeline.rendition.rendition_id: timeline})


def _grown(ledger: Ledger, timeline: Timeline, entry: Trimmed | Segment | Part | Ended) -> Timeline:
    match entry:
        case Trimmed():
            return _without_trimmed(timeline, entry)
        case Segment():
            return _with_segment(ledger, timeline, entry)
        case Part():
            return _with_part(timeline, entry)
        case Ended():
            return replace(timeline, ended=True)


def _without_trimmed(timeline: Timeline, entry: Trimmed) -> Timeline:
    return replace(
        timeline,
        next_msn=entry.first_msn,
        end_s=entry.start_s,
        discontinuity_sequence=entry.discontinuity_sequence,
        size_bytes=entry.size_bytes,
        media_s=entry.media_s,
        peak_bps=entry.peak_bps,
    )


def _with_segment(ledger: Ledger, timeline: Timeline, entry: Segment) -> Timeline:
    timeline = replace(
        timeline,
        next_msn=entry.msn + 1,
        end_s=entry.end_s,
        discontinuity_sequence=entry.discontinuity_sequence,
        next_part=0,
        end_time=entry.end_time or timeline.end_time,
        played_s=timeline.played_s + entry.duration_s,
    )
    return timeline if entry.gap else _measured(timeline, entry, ledger.target_duration_s)


def _measured(timeline: Timeline, entry: Segment, target_duration_s: int) -> Timeline:
    # rfc8216bis 4.4.6.2: the peak is taken over stretches of at least half a target duration.
    counts = entry.duration_s >= target_duration_s / 2 or timeline.peak_bps == 0
    rate_bps = entry.size_bytes * 8 / entry.duration_s if counts else 0.0
    return replace(
        timeline,
        size_bytes=timeline.size_bytes + entry.size_bytes,
        media_s=timeline.media_s + entry.duration_s,
        peak_bps=max(timeline.peak_bps, rate_bps),
    )


def _with_part(timeline: Timeline, entry: Part) -> Timeline:
    return replace(
        timeline,
        next_msn=entry.msn,
        next_part=entry.part + 1,
        parts_start_s=entry.start_s if entry.part == 0 else timeline.parts_start_s,
        parts_end_s=entry.end_s,
        parts_start_time=entry.program_date_time if entry.part == 0 else timeline.parts_start_time,
        end_time=entry.end_time or timeline.end_time,
        discontinuity_sequence=entry.discontinuity_sequence,
    )
