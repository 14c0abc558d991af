"""A run's place on the ledger, and how a run that is over becomes whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.domain import entries as law
from distributor.domain.ledger import Ledger, append
from transcoder.domain.live_cutter import LivePart, LiveSegment
from transcoder.domain.live_timeline import (
    LedgerEntry,
    LiveTimeline,
    PlacedPart,
    PlacedSegment,
    Remains,
    RenditionEnd,
    Run,
    StoredObject,
    begin_run,
    close_runs,
    fold,
    gap_beside,
)
from transcoder.domain.packager import MediaKind, RenditionInfo

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
AUDIO_OFF_S = 0.0097  # how far a border of audio lies behind that of video
PART_S, PARTS = 0.5, 4


def info(rendition_id: str) -> RenditionInfo:
    return RenditionInfo(
        rendition_id=rendition_id, name=rendition_id, media_kind=MediaKind.VIDEO, codecs="avc1.64001f"
    )


def part(rendition_id: str, number: int, offset_s: float = 0.0) -> LivePart:
    """The run's part `number`; all borders but the first lie off by `offset_s`."""
    start_s, end_s = number * PART_S + (offset_s if number else 0.0), (number + 1) * PART_S + offset_s
    return LivePart(
        rendition=info(rendition_id),
        segment=number // PARTS,
        part=number % PARTS,
        start_s=start_s,
        duration_s=end_s - start_s,
        independent=True,
        data=b"part",
    )


def segment(rendition_id: str, number: int, offset_s: float = 0.0) -> LiveSegment:
    first, last = (
        part(rendition_id, number * PARTS, offset_s),
        part(rendition_id, number * PARTS + 3, offset_s),
    )
    return LiveSegment(
        rendition=info(rendition_id),
        segment=number,
        start_s=first.start_s,
        duration_s=last.start_s + last.duration_s - first.start_s,
        data=b"segment",
    )


def announced(run: Run, rendition_id: str, parts_count: int, offset_s: float = 0.0) -> list[LedgerEntry]:
    """What a rendition's first parts put on the ledger, with the segments that they make whole."""
    entries: list[LedgerEntry] = []
    media = StoredObject(key="k", size_bytes=1)
    for number in range(parts_count):
        entries.append(run.place_part(part(rendition_id, number, offset_s), media, media))
        if number % PARTS == PARTS - 1:
            entries.append(run.place_segment(segment(rendition_id, number // PARTS, offset_s), media, media))
    return entries


class TestRun:
    def test_first_run_begins_at_zero_and_now(self) -> None:
        run = begin_run(fold(LiveTimeline(), [info("Low")]), NOON)
        assert (run.start_s, run.start_time, run.discontinuity_sequence) == (0.0, NOON, 0)

    def test_pieces_are_placed_behind_the_run_before(self) -> None:
        first = begin_run(LiveTimeline(), NOON)
        timeline = fold(LiveTimeline(), [info("Low"), *announced(first, "Low", 8)])
        later = NOON + timedelta(seconds=34)
        run = begin_run(timeline, later)
        placed = run.place_part(part("Low", 5), StoredObject(key="k", size_bytes=9), None)
        assert (placed.msn, placed.part, placed.discontinuity_sequence) == (3, 1, 1)
        assert placed.start_s == 34.0 + 2.5
        assert placed.program_date_time == later + timedelta(seconds=2.5)

    def test_time_never_goes_back(self) -> None:
        timeline = fold(LiveTimeline(), [info("Low"), *announced(begin_run(LiveTimeline(), NOON), "Low", 8)])
        run = begin_run(timeline, NOON + timedelta(seconds=1))  # the encoder was ahead of the clock
        assert (run.start_s, run.start_time) == (4.0, NOON + timedelta(seconds=4))

    def test_a_new_rendition_counts_on_as_its_siblings_do(self) -> None:
        timeline = fold(LiveTimeline(), [info("Low"), *announced(begin_run(LiveTimeline(), NOON), "Low", 8)])
        run = begin_run(timeline, NOON)
        placed = run.place_segment(segment("High", 0), StoredObject(key="k", size_bytes=9), None)
        assert (placed.msn, placed.discontinuity_sequence, placed.start_s) == (2, 1, 4.0)

    def test_a_rendition_that_has_ended_gets_no_gaps_and_takes_no_more(self) -> None:
        run = begin_run(LiveTimeline(), NOON)
        both = [info("Low"), info("Top"), *announced(run, "Low", 8), *announced(run, "Top", 4)]
        timeline = fold(LiveTimeline(), [*both, RenditionEnd(rendition_id="Top")])
        assert close_runs(timeline) == ()
        assert (timeline.takes("Top"), timeline.takes("Low"), timeline.takes("new")) == (False, True, True)


class TestClosing:
    def test_nothing_is_to_be_closed_between_segments(self) -> None:
        run = begin_run(LiveTimeline(), NOON)
        entries = [*announced(run, "Low", 8), *announced(run, "audio", 8, AUDIO_OFF_S)]
        assert close_runs(fold(LiveTimeline(), entries)) == ()
        assert close_runs(LiveTimeline()) == ()

    def test_open_segment_covers_exactly_its_parts(self) -> None:
        run = begin_run(LiveTimeline(), NOON)
        (remains,) = close_runs(fold(LiveTimeline(), announced(run, "Low", 6)))
        assert isinstance(remains, Remains)
        assert [one.part for one in remains.parts] == [0, 1]
        closed = remains.segment
        assert (closed.msn, closed.start_s, closed.duration_s) == (1, 2.0, 1.0)
        assert closed.program_date_time == NOON + timedelta(seconds=2)

    def test_rendition_without_parts_gets_a_gap(self) -> None:
        run = begin_run(LiveTimeline(), NOON)
        entries = [*announced(run, "Low", 6), *announced(run, "High", 4)]
        remains, gap = close_runs(fold(LiveTimeline(), entries))
        assert isinstance(remains, Remains)
        assert isinstance(gap, PlacedSegment)
        assert (gap.rendition_id, gap.msn, gap.start_s, gap.duration_s, gap.media) == (
            "High",
            1,
            2.0,
            1.0,
            None,
        )

    def test_rendition_that_lags_reaches_the_border_first(self) -> None:
        run = begin_run(LiveTimeline(), NOON)
        entries = [*announced(run, "Low", 9), *announced(run, "High", 6)]
        closings = close_runs(fold(LiveTimeline(), entries))
        high = [
            (one.segment if isinstance(one, Remains) else one)
            for one in closings
            if (one.segment if isinstance(one, Remains) else one).rendition_id == "High"
        ]
        assert [(one.msn, one.start_s, one.end_s) for one in high] == [(1, 2.0, 4.0), (2, 4.0, 4.5)]

    def test_gaps_chain_beside_a_sibling(self) -> None:
        run = begin_run(LiveTimeline(), NOON)
        media = StoredObject(key="k", size_bytes=1)
        track = fold(LiveTimeline(), announced(run, "audio", 4, AUDIO_OFF_S)).tracks["audio"]
        gap = gap_beside(track, run.place_segment(segment("Low", 1), media, None))
        assert gap.start_s == pytest.approx(2.0 + AUDIO_OFF_S)
        assert gap.end_s == 4.0


@given(
    runs=st.lists(
        st.tuples(st.integers(0, 14), st.integers(0, 5), st.integers(0, 5), st.floats(-5, 100)),
        min_size=1,
        max_size=5,
    ),
    late=st.integers(0, 4),
)
def test_whatever_a_run_leaves_the_ledger_takes_what_follows(
    runs: list[tuple[int, int, int, float]],
    late: int,
) -> None:
    """Runs that die anywhere, with renditions apart by any number of parts, keep every law of the ledger.

    One of the renditions joins in the run `late`.
    """
    timeline = LiveTimeline()
    ledger = Ledger(
        container=law.Container.TS, target_duration_s=2, part_target_s=PART_S, is_live=True, epoch=1
    )
    now = NOON
    for number, (parts_count, less, lesser, pause_s) in enumerate(runs):
        names = [name for name in ("Low", "High", "late") if name != "late" or number >= late]
        new = [name for name in names if name not in timeline.tracks]
        if new:
            ledger = append(ledger, epoch=1, entries=[_law_rendition(name) for name in new])
            timeline = fold(timeline, [info(name) for name in new])
        now += timedelta(seconds=parts_count * PART_S + pause_s)
        run = begin_run(timeline, now)
        made = [
            *announced(run, "Low", parts_count),
            *announced(run, "High", max(0, parts_count - less)),
            *(announced(run, "late", max(0, parts_count - lesser), AUDIO_OFF_S) if number >= late else ()),
        ]
        closings = close_runs(fold(timeline, made))
        closed = [one.segment if isinstance(one, Remains) else one for one in closings]
        entries = [*made, *closed]
        timeline = fold(timeline, entries)
        if entries:
            ledger = append(ledger, epoch=1, entries=[_law_entry(entry) for entry in entries])
        assert close_runs(timeline) == ()
        assert len({track.next_msn for track in timeline.tracks.values() if track.has_begun}) <= 1


def _law_rendition(rendition_id: str) -> law.Rendition:
    return law.Rendition(
        rendition_id=rendition_id,
        media_kind=law.MediaKind.VIDEO,
        codecs="avc1.64001f",
        width_pixels=2,
        height_pixels=2,
        frame_rate=(30, 1),
        target_bps=1,
        peak_bps=1,
    )


def _law_entry(entry: LedgerEntry) -> law.Entry:
    assert isinstance(entry, PlacedSegment | PlacedPart)
    shared: dict[str, Any] = {
        "rendition_id": entry.rendition_id,
        "msn": entry.msn,
        "start_s": entry.start_s,
        "duration_s": entry.duration_s,
        "program_date_time": entry.program_date_time,
        "discontinuity_sequence": entry.discontinuity_sequence,
        "object_key": entry.media.key if entry.media else "",
        "size_bytes": entry.media.size_bytes if entry.media else 0,
        "gap": entry.media is None,
    }
    if isinstance(entry, PlacedPart):
        return law.Part(**shared, part=entry.part)
    return law.Segment(**shared)
