"""A live plan keeps every bound of the playlists that will be made of it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import InvalidArgument
from support.sources import make_audio, make_source, make_video
from transcoder.domain.cadence import STANDARD_RATES
from transcoder.domain.live_plan import LivePlan, plan_live
from transcoder.domain.plan import Container
from transcoder.domain.source import Source

NTSC = Fraction(30_000, 1001)


def plan(
    source: Source | None = None, target_s: int = 2, part_s: float = 0.334, **wishes: object
) -> LivePlan:
    source = source or make_source()
    return plan_live(source, target_duration_s=target_s, part_target_s=part_s, **wishes)  # type: ignore[arg-type]


def plan_rate(rate: Fraction, part_s: float = 0.334) -> LivePlan:
    return plan(make_source(make_video(frame_rate=rate)), part_s=part_s)


@pytest.mark.parametrize(
    ("rate", "target_s", "gop", "segment"),
    [
        (Fraction(30), 2, 30, 60),
        (Fraction(30), 6, 30, 180),
        (NTSC, 2, 30, 60),
        (Fraction(25), 1, 25, 25),
        (Fraction(24_000, 1001), 4, 24, 96),
        (Fraction(15, 2), 20, 8, 152),  # 19 GOPs: with 20 of them a segment would last 21.3 s
    ],
)
def test_segments_are_whole_gops_of_about_a_second(
    rate: Fraction, target_s: int, gop: int, segment: int
) -> None:
    planned = plan(make_source(make_video(frame_rate=rate)), target_s, 0)
    assert (planned.frame_rate, planned.gop_frames, planned.segment_frames) == (rate, gop, segment)


@given(st.sampled_from([*STANDARD_RATES, *map(Fraction, (1, 3, 7, 12, 17, 90, 120))]), st.integers(1, 60))
def test_no_segment_rounds_to_more_than_the_target_duration(rate: Fraction, target_s: int) -> None:
    planned = plan(make_source(make_video(frame_rate=rate), make_audio(sample_rate_hz=44_100)), target_s)
    for grid in (planned.video_grid, planned.audio_grid):
        lengths = {grid.first_frame(n + 1) - grid.first_frame(n) for n in range(50)}
        assert int(max(lengths) * grid.frame_s + Fraction(1, 2)) <= target_s
    assert planned.segment_frames % planned.gop_frames == 0
    assert planned.segment_s >= target_s * Fraction(2, 3) or planned.segment_frames == planned.gop_frames


@given(
    st.sampled_from([*STANDARD_RATES, *map(Fraction, (1, 3, 7, 12, 120))]),
    st.sampled_from((0.2, 0.25, 0.333, 0.334, 0.5, 1.0)),
)
def test_parts_fill_their_target_and_are_never_longer(rate: Fraction, part_s: float) -> None:
    planned = plan_rate(rate, part_s)
    for grid in (planned.video_grid, planned.audio_grid):
        assert 0.85 * part_s <= float(grid.part_frames * grid.frame_s) <= part_s + 1e-6


@given(
    st.sampled_from([*STANDARD_RATES, *map(Fraction, (1, 3, 7, 12, 17, 90, 120))]),
    st.sampled_from((0.0, 0.2, 0.334, 0.5, 1.0)),
)
def test_parts_and_segments_begin_with_a_hand_over(rate: Fraction, part_s: float) -> None:
    try:
        planned = plan_rate(rate, part_s)
    except InvalidArgument:
        return
    counts = [planned.handover_frames(rung) for rung in planned.ladder]
    assert counts[0] == 1
    for count in counts[1:]:
        assert planned.segment_frames % count == planned.video_grid.part_frames % count == 0
        assert count == 1 or count * planned.video_grid.frame_s <= Fraction(1, 6)


@pytest.mark.parametrize(
    ("rate", "part_s", "count"),
    [(30, 0.334, 5), (30, 0.0, 5), (60, 0.334, 10), (25, 0.334, 2), (24, 0.334, 4), (30, 0.24, 1)],
)
def test_larger_rungs_hand_over_frames_together(rate: int, part_s: float, count: int) -> None:
    planned = plan_rate(Fraction(rate), part_s)
    assert {planned.handover_frames(rung) for rung in planned.ladder[1:]} == {count}


@pytest.mark.parametrize(
    ("rate", "part_s", "output_rate", "part_frames"),
    [
        (Fraction(30), 1 / 3, Fraction(30), 10),
        (Fraction(30), 0.333, Fraction(30), 9),
        (Fraction(15), 0.333, Fraction(30), 9),  # 4 frames of 15 per second fill only 80 %
        (Fraction(1), 0.333, Fraction(7), 2),
    ],
)
def test_frames_that_are_too_long_for_parts_are_repeated(
    rate: Fraction, part_s: float, output_rate: Fraction, part_frames: int
) -> None:
    planned = plan_rate(rate, part_s)
    assert (planned.frame_rate, planned.video_grid.part_frames) == (output_rate, part_frames)


def test_part_that_holds_no_frame_is_refused() -> None:
    with pytest.raises(
        InvalidArgument, match=r"part_target_s: 0\.01 s holds no frame; it must be at least 0\.0167"
    ):
        plan_rate(Fraction(30), 0.01)
    with pytest.raises(InvalidArgument, match=r"at least 0\.0213"):
        plan(make_source(None), part_s=0.02)


def test_transport_streams_have_no_parts() -> None:
    planned = plan(container=Container.TS)
    assert (planned.part_target_s, planned.video_grid.part_frames) == (0, 0)
    assert planned.audio_is_muxed
    assert planned.rendition_ids == ("VeryLow", "Low", "Medium", "High", "thumbnails")


def test_renditions_are_known_beforehand() -> None:
    assert plan().rendition_ids == ("VeryLow", "Low", "Medium", "High", "audio", "thumbnails")
    assert plan(make_source(None), container=Container.TS).rendition_ids == ("audio",)


def test_sound_alone_has_segments_of_the_target_duration() -> None:
    planned = plan(make_source(None), 6)
    assert planned.frame_rate is None
    assert planned.segment_s == 6
    assert not planned.ladder


def test_rates_above_60_are_divided() -> None:
    assert plan_rate(Fraction(120)).frame_rate == 60
