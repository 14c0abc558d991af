"""The grid: exact times, whole GOPs, one timetable for all."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

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
    assert [grid.segment_start_s(msn) for msn in range(4)] == [
        0,
        Fraction(2002, 1000),
        Fraction(4004, 1000),
        Fraction(8008, 1000),
    ]
    assert grid.target_duration_s == 4


@pytest.mark.parametrize(
    ("lengths", "first_borders"),
    [
        ((4, 2), [0, 20, 40, 80, 120]),
        ((10, 2), [0, 20, 40, 60, 80, 100, 200]),
        ((6, 3), [0, 30, 60, 120]),
        ((2, 2), [0, 20, 40, 60]),
    ],
)
def test_single_gops_stand_in_the_place_of_the_first_segment(
    lengths: tuple[float, float], first_borders: list[int]
) -> None:
    grid = plan_grid(make_source(make_video(frame_rate=Fraction(10))), *lengths)
    assert [grid.first_frame(msn) for msn in range(len(first_borders))] == first_borders


@pytest.mark.parametrize(
    ("frame_count", "borders", "target_s"),
    [
        (1, [0, 1], 1),
        (4, [0, 4], 1),
        (20, [0, 20], 2),
        (24, [0, 24], 2),
        (25, [0, 20, 25], 2),
        (40, [0, 20, 40], 2),
        (44, [0, 20, 44], 2),
        (45, [0, 20, 40, 45], 2),
        (80, [0, 20, 40, 80], 4),
        (84, [0, 20, 40, 84], 4),
        (85, [0, 20, 40, 80, 85], 4),
        (124, [0, 20, 40, 80, 124], 4),
    ],
)
def test_short_remainder_joins_the_segment_before(
    frame_count: int, borders: list[int], target_s: int
) -> None:
    grid = plan_grid(make_source(make_video(frame_rate=Fraction(10), duration_s=frame_count / 10), None))
    assert [grid.first_frame(msn) for msn in range(grid.segment_count + 1)] == borders
    assert grid.target_duration_s == target_s


@pytest.mark.parametrize(("duration_s", "msn", "target_s"), [(8.483, 2, 5), (2.483, 0, 3)])
def test_target_leaves_room_for_a_frame_of_audio_at_the_border(
    duration_s: float, msn: int, target_s: int
) -> None:
    grid = plan_grid(make_source(make_video(frame_rate=Fraction(60), duration_s=duration_s), None))
    longest_s = float(grid.segment_duration_s(msn))
    assert msn == grid.segment_count - 1
    assert longest_s < target_s - 0.5 < longest_s + 1024 / 44_100
    assert grid.target_duration_s == target_s


RATES = st.sampled_from([Fraction(5), Fraction(24000, 1001), Fraction(25), NTSC, Fraction(60)])
LENGTHS = st.sampled_from([(1, 0.5), (2, 1), (2, 2), (4, 2), (6, 2), (10, 2)])


@given(RATES, st.floats(0.01, 100), LENGTHS)
def test_segments_are_gops_then_whole_ones_then_what_remains(
    rate: Fraction, duration_s: float, lengths: tuple[float, float]
) -> None:
    grid = plan_grid(make_source(make_video(frame_rate=rate, duration_s=duration_s), None), *lengths)
    borders = [grid.first_frame(msn) for msn in range(grid.segment_count + 1)]
    *usual, last = [end - first for first, end in pairwise(borders)]
    lead = [grid.gop_frames] * (grid.segment_frames // grid.gop_frames)
    assert (borders[0], borders[-1]) == (0, grid.frame_count)
    assert usual == (lead + [grid.segment_frames] * len(usual))[: len(usual)]
    assert last > 0
    assert last >= rate / 2 or not usual
    assert last < grid.segment_frames + rate / 2


@given(RATES, st.floats(0.01, 100), LENGTHS)
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
    assert grid.target_duration_s <= max(durations) + Fraction(1024, 44_100) + 1  # and no more than they need
    assert grid.segment_frames % grid.gop_frames == 0


@given(RATES, st.floats(0.01, 100), LENGTHS, st.sampled_from([44_100, 48_000]))
def test_segments_of_audio_do_not_exceed_the_target_either(
    rate: Fraction, duration_s: float, lengths: tuple[float, float], sample_rate: int
) -> None:
    grid = plan_grid(make_source(make_video(frame_rate=rate, duration_s=duration_s), None), *lengths)
    borders = [grid.first_audio_frame(msn, sample_rate) for msn in range(grid.segment_count + 1)]
    durations = [Fraction(1024 * (end - first), sample_rate) for first, end in pairwise(borders)]
    assert min(durations) > 0
    assert all(int(duration + Fraction(1, 2)) <= grid.target_duration_s for duration in durations)


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
    assert (grid.lead_count, grid.segment_count, grid.target_duration_s) == (1, 3, 4)
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
