"""Find a picture's cadence: the constant rate that its frame times keep, or what to plan with if they do not.

What containers declare is a hint, no more: AVI may say 600 for 30 frames per second, Matroska rounds times to
whole milliseconds, telephones record variable rates under a constant label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

STANDARD_RATES = (
    Fraction(10),
    Fraction(15),
    Fraction(24000, 1001),
    Fraction(24),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
    Fraction(50),
    Fraction(60000, 1001),
    Fraction(60),
)

FALLBACK_RATE = Fraction(25)
"""For a single picture that declares no rate."""

MAX_DEVIATION_FRAMES = 0.3
"""A constant rate has every frame this near its place."""
EQUAL_DEVIATION_FRAMES = 0.1
"""Rates that fit so nearly alike cannot be told apart, for rounded times deviate as much: take the first."""
MAX_MISSING_RATIO = 0.02
"""A constant rate may lack so many of its frames: dropped by a busy camera, or lost on the way."""
CANDIDATE_RATIO = 1.03
"""Rates within this factor of the typical one are tried."""
SNAP_RATIO = 1e-4
SAMPLE_COUNT = 20_000
"""Frames that are looked at, spread over all."""
RATE_PRECISION = 1_001_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """What frame times tell of the rate."""

    frame_rate: Fraction
    """Exact where it is constant, else the mean."""
    busy_frame_rate: Fraction
    """The usual rate while pictures move; `frame_rate` where that is constant."""
    is_constant: bool


def measure_cadence(times: Sequence[int], time_base: Fraction, declared: Sequence[Fraction] = ()) -> Cadence:
    """Measure the cadence of a picture.

    Args:
        times: Presentation times in units of time_base, ascending, at least one.
        time_base: Seconds.
        declared: Rates that the container or the codec declares, the most trusted first.
    """
    span = times[-1] - times[0]
    if not span:
        only = next(iter(declared), FALLBACK_RATE)
        return Cadence(frame_rate=only, busy_frame_rate=only, is_constant=True)
    mean = ((len(times) - 1) / (span * time_base)).limit_denominator(RATE_PRECISION)
    usual = _usual_rate(times, time_base)
    rate = _best_fit(times, time_base, [_snap(rate) for rate in (*declared, *STANDARD_RATES, mean)], usual)
    if rate is None:
        return Cadence(frame_rate=mean, busy_frame_rate=max(mean, usual), is_constant=False)
    is_constant = _is_whole(times, time_base, rate)
    return Cadence(frame_rate=rate if is_constant else mean, busy_frame_rate=rate, is_constant=is_constant)


def _snap(rate: Fraction) -> Fraction:
    """Take a rate that was rounded on its way, such as 59.94006, for the standard one that is meant."""
    return next((known for known in STANDARD_RATES if abs(rate / known - 1) < SNAP_RATIO), rate)


def _best_fit(
    times: Sequence[int], time_base: Fraction, candidates: Sequence[Fraction], usual: Fraction
) -> Fraction | None:
    """Choose the rate, of those near the usual one, on whose grid the times lie best; None if on none."""
    near = [rate for rate in candidates if usual / CANDIDATE_RATIO <= rate <= usual * CANDIDATE_RATIO]
    deviations = [_deviation(times, time_base, rate) for rate in near]
    good = min(deviations, default=1.0)
    if good > MAX_DEVIATION_FRAMES:
        return None
    return next(
        rate
        for rate, deviation in zip(near, deviations, strict=True)
        if deviation <= good + EQUAL_DEVIATION_FRAMES
    )


def _usual_rate(times: Sequence[int], time_base: Fraction) -> Fraction:
    """Tell the rate of the middle half of the distances between frames: without pauses and jitter."""
    step = max(1, len(times) // SAMPLE_COUNT)
    distances = sorted(times[place + 1] - times[place] for place in range(0, len(times) - 1, step))
    quarter = len(distances) // 4
    middle = distances[quarter : len(distances) - quarter]
    return len(middle) / (max(1, sum(middle)) * time_base)


def _is_whole(times: Sequence[int], time_base: Fraction, rate: Fraction) -> bool:
    """Whether hardly a frame is missing from the rate's grid, and none is too many."""
    missing = round((times[-1] - times[0]) * time_base * rate) + 1 - len(times)
    return 0 <= missing <= max(1, MAX_MISSING_RATIO * len(times))


def _deviation(times: Sequence[int], time_base: Fraction, rate: Fraction) -> float:
    """Tell how far from its place a frame is at most, in frames."""
    frames_per_unit = float(time_base * rate)
    step = max(1, len(times) // SAMPLE_COUNT)
    places = ((time - times[0]) * frames_per_unit for time in times[::step])
    return max(abs(place - round(place)) for place in places)
