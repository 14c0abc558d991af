"""Forecast what a viewer's network will carry, and keep its buffer's level when reports are old."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from abr.domain.view import Download, Rung

RECENT = 5
"""Downloads that a harmonic mean looks back on, and errors that its discount does (Yin et al., 2015)."""


def throughput_bps(download: Download) -> float:
    """Bits per second from the request to the last byte."""
    return 8 * download.size_bytes / download.transfer_s


def harmonic_mean(values: list[float]) -> float:
    """Mean that one fast segment does not carry away; values above 0."""
    return len(values) / sum(1 / value for value in values)


def robust_forecast_bps(downloads: tuple[Download, ...]) -> float | None:
    """Bound the next throughput from below: harmonic mean / (1 + greatest recent error); None: no downloads.

    Yin et al., SIGCOMM 2015, section 4.3.
    """
    rates = [throughput_bps(download) for download in downloads[-2 * RECENT :] if download.size_bytes > 0]
    if not rates:
        return None
    errors = [
        abs(harmonic_mean(rates[max(0, at - RECENT) : at]) - rates[at]) / rates[at]
        for at in range(max(1, len(rates) - RECENT), len(rates))
    ]
    return harmonic_mean(rates[-RECENT:]) / (1 + max(errors, default=0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What the network will carry next, and how far that is to be trusted."""

    rate_bps: float
    spread: float
    """Standard deviation of the logarithm of what comes over what was forecast: 0.1 steady, 0.6 a guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoSpeed:
    """Forecast by two means of the logarithm of throughput: a fast one sees steps, a slow one stays calm.

    The players' own way (hls.js, Shaka) with two changes: logarithms, because throughput varies by factors,
    and a spread, learnt from the forecast's errors.
    """

    window_count: int = 10
    """Downloads that are looked at, the newest."""
    fast_half_life: float = 0.62
    """Downloads after which one counts half."""
    slow_half_life: float = 3.5
    fast_share: float = 0.51
    prior_spread: float = 0.37
    """What the spread is taken for before there are errors to learn from."""
    prior_weight: float = 1.07
    """Errors that the prior counts as."""
    memory: float = 0.92
    """What an error still counts one download later."""
    greatest_error: float = 0.81
    """Larger ones count as this: an outage is no noise."""

    def forecast(self, downloads: Sequence[Download]) -> Forecast | None:
        """Forecast the next throughput; None without downloads."""
        known = [download for download in downloads if download.size_bytes > 0]
        logs = [math.log(throughput_bps(download)) for download in known[-self.window_count :]]
        if not logs:
            return None
        fast, slow = _Mean(logs[0], self.fast_half_life), _Mean(logs[0], self.slow_half_life)
        squares = count = 0.0
        for came in logs[1:]:
            error = min(abs(came - self._mix(fast, slow)), self.greatest_error)
            squares, count = self.memory * squares + error * error, self.memory * count + 1
            fast.add(came)
            slow.add(came)
        variance = (squares + self.prior_weight * self.prior_spread**2) / (count + self.prior_weight)
        return Forecast(rate_bps=math.exp(self._mix(fast, slow)), spread=math.sqrt(variance))

    def _mix(self, fast: _Mean, slow: _Mean) -> float:
        return self.fast_share * fast.value + (1 - self.fast_share) * slow.value


class _Mean:
    """Exponentially weighted mean that begins as a plain one."""

    __slots__ = ("_memory", "_weight", "value")

    def __init__(self, value: float, half_life: float) -> None:
        self.value, self._weight, self._memory = value, 1.0, 0.5 ** (1 / half_life)

    def add(self, value: float) -> None:
        self._weight = self._weight * self._memory + 1
        self.value += (value - self.value) / self._weight


def fill_ratio(downloads: Sequence[Download], ladder: Sequence[Rung]) -> float:
    """Tell how large segments are, compared with what the declared (peak) rates of their renditions allow.

    Returns:
        0.2 to 1.5; 1 while nothing is known.
    """
    known = [one for one in downloads if one.duration_s > 0 and one.size_bytes > 0 and one.rung < len(ladder)]
    declared_bits = sum(ladder[one.rung].rate_bps * one.duration_s for one in known)
    if declared_bits <= 0:
        return 1.0
    return min(max(8 * sum(one.size_bytes for one in known) / declared_bits, 0.2), 1.5)


def reckon_buffer(
    *,
    known_s: float,
    arrived_s: float,
    elapsed_s: float,
    speed_ratio: float = 1.0,
    most_s: float = float("inf"),
) -> float:
    """Bring a buffer level that was reported some time ago up to now: plus what came, less what played.

    Args:
        known_s: Media that the player held when it last said so.
        arrived_s: Media that has been sent since.
        elapsed_s: Time since, on the wall's clock.
        speed_ratio: Speed of playback; 0 paused.
        most_s: More than this the player does not hold.

    Returns:
        Media that it holds now, 0 to most_s.
    """
    return min(max(known_s - speed_ratio * elapsed_s, 0.0) + arrived_s, most_s)
