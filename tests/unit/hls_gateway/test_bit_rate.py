"""Bit rates: the RFC's definition, held against a count of every run of segments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls_gateway.domain.bit_rate import UNMEASURED, BitRate

TARGET_S = 4


def measured(segments: list[tuple[float, int]]) -> BitRate:
    rate = UNMEASURED
    for duration_s, size_bytes in segments:
        rate = rate.with_segment(duration_s, size_bytes, target_duration_s=TARGET_S)
    return rate


def counted_peak_bps(segments: list[tuple[float, int]]) -> float:
    """rfc8216bis 4.1: the largest bit rate of any contiguous set that lasts 0.5 to 1.5 target durations."""
    runs = [
        segments[start:end] for start in range(len(segments)) for end in range(start + 1, len(segments) + 1)
    ]
    rates = [
        sum(size for _, size in run) * 8 / sum(one_s for one_s, _ in run)
        for run in runs
        if 0.5 * TARGET_S <= sum(one_s for one_s, _ in run) <= 1.5 * TARGET_S
    ]
    return max(rates, default=0.0)


# Quarters of a second add up without rounding, so that both counts see the same runs.
lengths = st.integers(1, 18).map(lambda quarters: quarters / 4)


@given(st.lists(st.tuples(lengths, st.integers(1, 10**8)), min_size=1, max_size=20))
def test_the_peak_is_that_of_every_run(segments: list[tuple[float, int]]) -> None:
    assert measured(segments).highest_bps == pytest.approx(counted_peak_bps(segments))


def test_the_average_is_all_bytes_over_all_time() -> None:
    assert measured([(4.0, 1_000_000), (2.0, 200_000)]).average_bps == pytest.approx(1_600_000)


def test_a_short_last_segment_is_measured_together_with_the_one_before() -> None:
    # 0.25 s of 100 kB are 3.2 Mbit/s alone, but no player has to fetch them alone.
    rate = measured([(4.0, 1_000_000), (0.25, 100_000)])
    assert rate.peak_bps == pytest.approx(1_100_000 * 8 / 4.25)


def test_what_is_shorter_than_half_a_target_duration_has_its_average_as_peak() -> None:
    assert measured([(1.0, 125_000)]).peak_bps == pytest.approx(1_000_000)


def test_runs_do_not_reach_across_a_gap() -> None:
    rate = measured([(1.0, 900_000)]).with_gap().with_segment(1.0, 900_000, target_duration_s=TARGET_S)
    assert rate.highest_bps == 0.0
    assert rate.average_bps == pytest.approx(7_200_000)


def test_nothing_has_no_rate() -> None:
    assert UNMEASURED.peak_bps == UNMEASURED.average_bps == 0.0
