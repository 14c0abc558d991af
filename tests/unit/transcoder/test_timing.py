"""The grid: exact times, whole GOPs, one timetable for all."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.sources import make_audio, make_source, make_video
from transcoder.domain.timing import choose_frame_rate, plan_grid

NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("rate", "chosen"),
    [
        (Fraction(24000, 1001), Fraction(24000, 1001)),
        (Fraction(25, 2), Fraction(25, 2)),
        (Fraction(60), Fraction(60)),
        (Fraction(60060, 1001), Fraction(60)),
        (Fraction(120), Fraction(60)),
        (Fraction(120000, 1001), Fraction(60000, 1001)),
        (Fraction(144), Fraction(48)),
        (Fraction(240), Fraction(60)),
    ],
)
def test_constant_rate_is_kept_or_divided(rate: Fraction, chosen: Fraction) -> None:
    assert choose_frame_rate(make_video(frame_rate=rate)) == chosen


@pytest.mark.parametrize(
    ("mean", "busy", "chosen"),
    [
        (20, 30, 30),
        (Fraction(599, 20), Fraction(599, 20), NTSC),
        (26, 26, NTSC),
        (3, 3, 10),
        (90, 200, 60),
        (24, 24, 24),
    ],
)
def test_variable_rate_becomes_the_standard_one_that_holds_it(mean: int, busy: int, chosen: int) -> None:
    video = make_video(frame_rate=Fraction(mean), busy_frame_rate=Fraction(busy), constant_frame_rate=False)
    assert choose_frame_rate(video) == chosen


def test_segments_are_whole_gops_near_the_wished_lengths() -> None:
    grid = plan_grid(make_source(make_video(frame_rate=NTSC, duration_s=30.03)), segment_s=4, gop_s=2)
    assert (grid.gop_frames, grid.segment_frames, grid.frame_count) == (60, 120, 900)
    assert [grid.segment_start_s(msn) for msn in range(3)] == [0, Fraction(4004, 1000), Fraction(8008, 1000)]
    assert grid.target_duration_s == 4


def test_short_remainder_joins_the_segment_before() -> None:
    grid = plan_grid(make_source(make_video(duration_s=8.4), None))
    assert (grid.segment_count, grid.segment_duration_s(1)) == (2, Fraction(44, 10))
    assert grid.target_duration_s == 4
    assert plan_grid(make_source(make_video(duration_s=8.5), None)).segment_count == 3


def test_target_leaves_room_for_a_frame_of_audio_at_the_border() -> None:
    grid = plan_grid(make_source(make_video(frame_rate=Fraction(60), duration_s=8.483), None))
    assert float(grid.segment_duration_s(1)) < 4.5 < float(grid.segment_duration_s(1)) + 1024 / 44_100
    assert grid.target_duration_s == 5


@given(
    st.sampled_from([Fraction(24000, 1001), Fraction(25), NTSC, Fraction(60)]),
    st.floats(0.01, 100),
    st.sampled_from([(1, 0.5), (2, 1), (4, 2), (6, 2), (10, 2)]),
)
def test_segments_add_up_and_never_exceed_the_target(
    rate: Fraction, duration_s: float, lengths: tuple[float, float]
) -> None:
    grid = plan_grid(make_source(make_video(frame_rate=rate, duration_s=duration_s), None), *lengths)
    durations = [grid.segment_duration_s(msn) for msn in range(grid.segment_count)]
    assert sum(durations) == grid.duration_s
    assert min(durations) > 0
    assert abs(grid.duration_s - Fraction(duration_s)) <= 1 / rate
    assert all(
        int(duration + Fraction(1, 2)) <= grid.target_duration_s for duration in durations
    )  # rounded EXTINF
    assert grid.segment_frames % grid.gop_frames == 0


@pytest.mark.parametrize(
    ("rate", "timescale", "ticks"),
    [
        (Fraction(25), 90_000, 3600),
        (NTSC, 90_000, 3003),
        (Fraction(24000, 1001), 24_000, 1001),
        (Fraction(25, 2), 90_000, 7200),
    ],
)
def test_a_frame_is_a_whole_number_of_ticks(rate: Fraction, timescale: int, ticks: int) -> None:
    grid = plan_grid(make_source(make_video(frame_rate=rate)))
    assert (grid.timescale, grid.frame_ticks) == (timescale, ticks)
    assert Fraction(grid.timescale, grid.frame_ticks) == rate


def test_clock_of_the_source_need_not_start_at_zero() -> None:
    grid = plan_grid(make_source(make_video(start_s=1000.0), make_audio(start_s=1000.0)))
    assert (grid.origin_s, grid.frame_count) == (1000.0, 900)


def test_late_picture_is_preceded_by_whole_frames() -> None:
    grid = plan_grid(make_source(make_video(start_s=1.01, duration_s=29.0), make_audio()))
    assert grid.origin_s == pytest.approx(
        0.01
    )  # 30 frames before the picture, not at the sound's start exactly
    assert (grid.video_frame_count, grid.frame_count) == (900, 900)


@pytest.mark.parametrize(("tail_s", "count"), [(0.03, 900), (0.04, 901), (0.09, 901), (0.2, 906)])
def test_codec_padding_behind_the_picture_adds_a_frame_at_most(tail_s: float, count: int) -> None:
    assert plan_grid(make_source(audio=make_audio(duration_s=30 + tail_s))).frame_count == count


def test_last_picture_is_held_while_sound_goes_on() -> None:
    grid = plan_grid(make_source(audio=make_audio(duration_s=40.0)))
    assert (grid.video_frame_count, grid.frame_count) == (900, 1200)


def test_sound_alone_has_a_grid_of_seconds() -> None:
    grid = plan_grid(make_source(None, make_audio(start_s=0.5, duration_s=10.0)), segment_s=4)
    assert [grid.segment_start_s(msn) for msn in range(4)] == [0, 4, 8, 10]
    assert (grid.origin_s, grid.video_frame_count) == (0.5, 0)


@given(st.sampled_from([44_100, 48_000]), st.floats(0.2, 200))
def test_audio_segments_start_at_the_first_frame_behind_their_border(
    sample_rate: int, duration_s: float
) -> None:
    grid = plan_grid(make_source(make_video(duration_s=duration_s), None))
    for msn in range(grid.segment_count):
        late_s = grid.first_audio_frame(msn, sample_rate) * Fraction(
            1024, sample_rate
        ) - grid.segment_start_s(msn)
        assert 0 <= late_s < Fraction(1024, sample_rate)
        assert grid.first_audio_frame(msn + 1, sample_rate) > grid.first_audio_frame(msn, sample_rate)
    end_s = grid.first_audio_frame(grid.segment_count, sample_rate) * Fraction(1024, sample_rate)
    assert abs(end_s - grid.duration_s) <= Fraction(1024, sample_rate)
