"""Forecast what a viewer's network will carry, and keep its buffer's level when reports are old."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from abr.domain.sample import MAX_BPS
from abr.domain.view import Download, Rung

RECENT = 5
"""Downloads that a harmonic mean looks back on, and errors that its discount does (Yin et al., 2015)."""


def throughput_bps(download: Download) -> float:
    """Bits per second from the request to the last byte; at most MAX_BPS, however short that was."""
    return min(8 * download.size_bytes / download.transfer_s, MAX_BPS)


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
    """Standard deviation of the logarithm of what comes over what was forecast, outages apart: 0.1 steady."""
    missed: float = 0.0
    """The same with outages, of the forecasts so far: from 1.5 on they were guesses."""


MOST_MISSED = 3.0
"""More than this no miss counts: one alone makes no forecast a guess for long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoSpeed:
    """Forecast by two means of the logarithm of throughput: a fast one sees steps, a slow one stays calm.

    The players' own way (hls.js, Shaka) with three changes: logarithms, because throughput varies by factors;
    a spread, learnt from the forecast's errors; and misses that the spread does not explain are taken for a
    step of the network, which both means follow at once.
    """

    window_count: int = 10
    """Downloads that are looked at, the newest."""
    fast_half_life: float = 0.51
    """Downloads after which one counts half."""
    slow_half_life: float = 4.4
    fast_share: float = 0.51
    prior_spread: float = 0.37
    """What the spread is taken for before there are errors to learn from."""
    prior_weight: float = 0.3
    """Errors that the prior counts as."""
    memory: float = 0.88
    """What an error still counts one download later."""
    greatest_error: float = 0.515
    """Larger ones count as this: an outage is no noise."""
    step_from: float = 1.46
    """A miss of more spreads than this may be a step."""
    step_gain: float = 0.72
    """How much surer that is with each spread more."""
    step_down_ratio: float = 1.43
    """What a miss downwards counts, when steps are looked for: those cost most."""
    step_again_share: float = 0.59
    """How much of a miss must be there a second time running, to be taken for a step."""
    step_excuse: float = 0.0
    """How much of a step is left out of the spread."""

    def forecast(self, downloads: Sequence[Download]) -> Forecast | None:
        """Forecast the next throughput; None without downloads."""
        known = [download for download in downloads if download.size_bytes > 0]
        logs = [math.log(throughput_bps(download)) for download in known[-self.window_count :]]
        if not logs:
            return None
        fast, slow = _Mean(logs[0], self.fast_half_life), _Mean(logs[0], self.slow_half_life)
        squares = misses = count = before = 0.0
        for came in logs[1:]:
            miss = came - self._mix(fast, slow)
            step = self._step(miss, before, self._spread(squares, count))
            error = min(abs(miss), self.greatest_error) * (1 - self.step_excuse * step)
            squares = self.memory * squares + error * error
            misses = self.memory * misses + min(abs(miss), MOST_MISSED) ** 2
            count, before = self.memory * count + 1, miss
            fast.add(came, step)
            slow.add(came, step)
            slow.forget(step)
        return Forecast(
            rate_bps=math.exp(self._mix(fast, slow)),
            spread=self._spread(squares, count),
            missed=self._spread(misses, count),
        )

    def _spread(self, squares: float, count: float) -> float:
        return math.sqrt((squares + self.prior_weight * self.prior_spread**2) / (count + self.prior_weight))

    def _step(self, miss: float, before: float, spread: float) -> float:
        """Tell how far a miss shows that the network is another than before, 0 to 1."""
        again = min(abs(miss), abs(before)) if miss * before > 0 else 0.0
        size = (1 - self.step_again_share) * abs(miss) + self.step_again_share * again
        if miss < 0:
            size *= self.step_down_ratio
        return min(max(self.step_gain * (size / spread - self.step_from), 0.0), 1.0)

    def _mix(self, fast: _Mean, slow: _Mean) -> float:
        return self.fast_share * fast.value + (1 - self.fast_share) * slow.value


class _Mean:
    """Exponentially weighted mean that begins as a plain one."""

    __slots__ = ("_memory", "_weight", "value")

    def __init__(self, value: float, half_life: float) -> None:
        self.value, self._weight, self._memory = value, 1.0, 0.5 ** (1 / half_life)

    def add(self, value: float, least_share: float) -> None:
        self._weight = self._weight * self._memory + 1
        self.value += (value - self.value) * max(1 / self._weight, least_share)

    def forget(self, step: float) -> None:
        """Rest less on what came before a step."""
        self._weight = max(self._weight * (1 - 0.7 * step), 1.0)


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
