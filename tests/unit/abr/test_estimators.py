"""Forecasts follow what came, and buffers are brought up to now."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abr.domain.estimators import (
    TwoSpeed,
    fill_ratio,
    reckon_buffer,
    robust_forecast_bps,
)
from abr.domain.view import Download, Rung

RUNG = Rung(rendition_id="a", name="a", rate_bps=1_000_000, width_pixels=0, height_pixels=0, frame_rate=0)


def came(*rates_kbps: float, duration_s: float = 4.0) -> tuple[Download, ...]:
    return tuple(
        Download(end_s=4.0 * place, size_bytes=125_000, transfer_s=1000 / rate, duration_s=duration_s, rung=0)
        for place, rate in enumerate(rates_kbps)
    )


def test_a_steady_network_is_forecast_as_it_is_and_trusted_more_and_more() -> None:
    short, long = TwoSpeed().forecast(came(2000)), TwoSpeed().forecast(came(*[2000] * 10))
    assert short is not None
    assert long is not None
    assert long.rate_bps == pytest.approx(2e6)
    assert long.spread < short.spread == pytest.approx(TwoSpeed().prior_spread)


def test_the_fast_mean_sees_a_step_and_the_slow_one_holds_back() -> None:
    step = TwoSpeed(step_gain=0.0).forecast(came(*[500] * 8, 4000))
    assert step is not None
    assert 1.2e6 < step.rate_bps < 3.5e6


@pytest.mark.parametrize("other_kbps", [100, 4000])
def test_a_step_that_lasts_is_followed_sooner_than_means_alone_would(other_kbps: float) -> None:
    calm = TwoSpeed(step_gain=0.0)
    for forecaster, is_there in ((TwoSpeed(), True), (calm, False)):
        after = forecaster.forecast(came(*[700] * 8, other_kbps, other_kbps))
        assert after is not None
        assert (abs(math.log(after.rate_bps / 1000 / other_kbps)) < 0.25) is is_there


def test_noise_is_no_step() -> None:
    noise = came(*[1000, 1400, 900, 1300, 1100, 800, 1500, 1000, 1200])
    assert TwoSpeed().forecast(noise) == TwoSpeed(step_gain=0.0).forecast(noise)


def test_what_came_long_ago_is_forgotten() -> None:
    assert TwoSpeed().forecast(came(50, *[2000] * 10)) == TwoSpeed().forecast(came(*[2000] * 10))


def test_one_miss_however_great_counts_as_the_greatest() -> None:
    great, greater = (TwoSpeed().forecast(came(*[2000] * 8, rate)) for rate in (200, 20))
    assert great is not None
    assert greater is not None
    assert great.spread == pytest.approx(greater.spread)


@given(st.lists(st.floats(10, 1e6), min_size=1, max_size=12))
def test_no_forecast_leaves_what_came(rates_kbps: list[float]) -> None:
    forecast = TwoSpeed().forecast(came(*rates_kbps))
    sure_bps = robust_forecast_bps(came(*rates_kbps))
    assert forecast is not None
    assert sure_bps is not None
    assert 0.99 * min(rates_kbps) <= forecast.rate_bps / 1000 <= 1.01 * max(rates_kbps)
    assert sure_bps / 1000 <= 1.01 * max(rates_kbps)


@pytest.mark.parametrize("transfer_s", [5e-324, 1e-9])
def test_what_came_within_no_time_has_a_forecast(transfer_s: float) -> None:
    at_once = Download(end_s=1.0, size_bytes=2**40, transfer_s=transfer_s, duration_s=4.0, rung=0)
    forecast, sure_bps = TwoSpeed().forecast((at_once,) * 3), robust_forecast_bps((at_once,) * 3)
    assert forecast is not None
    assert math.isfinite(forecast.rate_bps)
    assert sure_bps is not None
    assert math.isfinite(sure_bps)


def test_without_downloads_there_is_no_forecast() -> None:
    assert TwoSpeed().forecast(()) is None
    assert robust_forecast_bps(()) is None


def test_the_robust_forecast_is_the_harmonic_mean_less_the_greatest_error() -> None:
    # the mean of 2,000 missed 1,000 by 100 %; the harmonic mean of 2,000 and 1,000 is 1,333
    assert robust_forecast_bps(came(2000, 1000)) == pytest.approx(4e6 / 3 / 2)


def test_segments_hold_less_than_their_peak_rate_allows() -> None:
    assert fill_ratio(came(2000, 3000, duration_s=2.0), (RUNG,)) == pytest.approx(0.5)
    assert fill_ratio(came(2000, duration_s=0.0), (RUNG,)) == 1.0
    assert fill_ratio(came(2000, duration_s=100.0), (RUNG,)) == 0.2


@pytest.mark.parametrize(
    ("known_s", "arrived_s", "elapsed_s", "speed_ratio", "reckoned_s"),
    [
        (10.0, 4.0, 3.0, 1.0, 11.0),
        (2.0, 4.0, 3.0, 1.0, 4.0),  # it stalled for a second
        (10.0, 4.0, 3.0, 0.0, 14.0),  # paused
        (10.0, 4.0, 3.0, 2.0, 8.0),
        (58.0, 8.0, 1.0, 1.0, 60.0),  # more it does not hold
    ],
)
def test_what_came_is_added_and_what_played_is_taken_away(
    known_s: float, arrived_s: float, elapsed_s: float, speed_ratio: float, reckoned_s: float
) -> None:
    reckoned = reckon_buffer(
        known_s=known_s, arrived_s=arrived_s, elapsed_s=elapsed_s, speed_ratio=speed_ratio, most_s=60.0
    )
    assert reckoned == pytest.approx(reckoned_s)
