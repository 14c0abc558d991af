"""Find a picture's cadence: the constant rate that its frame times keep, or the rates to plan with if they do not.

What containers declare is a hint, no more: AVI may say 600 for 30 frames per second, Matroska rounds times to whole
milliseconds, telephones record variable rates under a constant label.
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
MAX_MISSING_RATIO = 0.02
"""A constant rate may lack so many of its frames: dropped by a busy camera, or lost on the way."""
CANDIDATE_RATIO = 1.03
"""Rates within this factor of the typical one are tried."""
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
        rate = next(iter(declared), FALLBACK_RATE)
        return Cadence(frame_rate=rate, busy_frame_rate=rate, is_constant=True)
    mean = ((len(times) - 1) / (span * time_base)).limit_denominator(RATE_PRECISION)
    usual = _usual_rate(times, time_base)
    near = [
        rate
        for rate in (*declared, *STANDARD_RATES, mean)
        if usual / CANDIDATE_RATIO <= rate <= usual * CANDIDATE_RATIO and _has_all(times, time_base, rate)
    ]
    deviations = [_deviation(times, time_base, rate) for rate in near]
    if near and min(deviations) <= MAX_DEVIATION_FRAMES:
        rate = near[deviations.index(min(deviations))]
        return Cadence(frame_rate=rate, busy_frame_rate=rate, is_constant=True)
    return Cadence(frame_rate=mean, busy_frame_rate=max(mean, usual), is_constant=False)


def _usual_rate(times: Sequence[int], time_base: Fraction) -> Fraction:
    """Tell the rate of the middle half of the distances between frames: without pauses, and without jitter."""
    step = max(1, len(times) // SAMPLE_COUNT)
    distances = sorted(times[place + 1] - times[place] for place in range(0, len(times) - 1, step))
    quarter = len(distances) // 4
    middle = distances[quarter : len(distances) - quarter]
    return len(middle) / (max(1, sum(middle)) * time_base)


def _has_all(times: Sequence[int], time_base: Fraction, rate: Fraction) -> bool:
    """Whether hardly a frame is missing, and none is too many, for a constant rate."""
    missing = round((times[-1] - times[0]) * time_base * rate) + 1 - len(times)
    return 0 <= missing <= max(1, MAX_MISSING_RATIO * len(times))


def _deviation(times: Sequence[int], time_base: Fraction, rate: Fraction) -> float:
    """Tell how far from its place a frame is at most, in frames, to a hundredth."""
    frames_per_unit = float(time_base * rate)
    step = max(1, len(times) // SAMPLE_COUNT)
    places = ((time - times[0]) * frames_per_unit for time in times[::step])
    return round(max(abs(place - round(place)) for place in places), 2)
