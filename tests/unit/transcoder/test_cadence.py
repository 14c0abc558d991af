"""The rate is found in the times of the frames, not in what a container says."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from transcoder.domain.cadence import STANDARD_RATES, measure_cadence

MILLISECOND = Fraction(1, 1000)
TICK_90K = Fraction(1, 90_000)


def rounded_times(rate: Fraction, count: int, time_base: Fraction) -> list[int]:
    return [round(number / rate / time_base) for number in range(count)]


@pytest.mark.parametrize("rate", STANDARD_RATES)
@pytest.mark.parametrize("time_base", [MILLISECOND, TICK_90K])
def test_constant_rate_is_found_exactly(rate: Fraction, time_base: Fraction) -> None:
    cadence = measure_cadence(rounded_times(rate, 600, time_base), time_base)
    assert (cadence.frame_rate, cadence.busy_frame_rate, cadence.is_constant) == (rate, rate, True)


@pytest.mark.parametrize("declared", [Fraction(600), Fraction(25), Fraction(1)])
def test_wrong_declaration_is_not_believed(declared: Fraction) -> None:
    assert (
        measure_cadence(rounded_times(Fraction(30), 300, MILLISECOND), MILLISECOND, [declared]).frame_rate
        == 30
    )


def test_declaration_decides_what_times_cannot_tell() -> None:
    times = rounded_times(Fraction(30), 10, MILLISECOND)
    for rate in (Fraction(30), Fraction(30000, 1001)):
        assert measure_cadence(times, MILLISECOND, [rate]).frame_rate == rate


def test_rounded_declaration_becomes_the_standard_rate() -> None:
    times = rounded_times(Fraction(60000, 1001), 300, MILLISECOND)
    assert measure_cadence(times, MILLISECOND, [Fraction(19001, 317)]).frame_rate == Fraction(60000, 1001)


def test_unusual_constant_rate_is_kept() -> None:
    rate = Fraction(25, 2)
    cadence = measure_cadence(rounded_times(rate, 100, TICK_90K), TICK_90K, [rate])
    assert (cadence.frame_rate, cadence.is_constant) == (rate, True)


def test_few_lost_frames_leave_the_rate_constant() -> None:
    times = rounded_times(Fraction(30), 300, MILLISECOND)
    del times[100:104]
    assert measure_cadence(times, MILLISECOND).is_constant


def test_pauses_make_the_rate_variable_but_keep_the_busy_rate() -> None:
    times = [
        time for number, time in enumerate(rounded_times(Fraction(30), 600, MILLISECOND)) if number % 60 < 40
    ]
    cadence = measure_cadence(times, MILLISECOND)
    assert not cadence.is_constant
    assert cadence.frame_rate == pytest.approx(20, rel=0.05)
    assert cadence.busy_frame_rate == 30


def test_unsteady_times_make_the_rate_variable() -> None:
    generator = random.Random(1)
    times = [0]
    for _ in range(300):
        times.append(times[-1] + generator.randrange(20, 60))
    cadence = measure_cadence(times, MILLISECOND, [Fraction(30)])
    assert not cadence.is_constant
    assert cadence.frame_rate == pytest.approx(25, rel=0.05)
    assert cadence.busy_frame_rate >= cadence.frame_rate


def test_single_picture_has_the_declared_rate() -> None:
    assert measure_cadence([0], MILLISECOND, [Fraction(50)]).frame_rate == 50
    assert measure_cadence([0], MILLISECOND).frame_rate == 25
