"""What each rendition is worth, over all that the network may do next: stochastic dynamic programming.

The model is the viewer's own forecast: throughput comes as the forecast times a random factor, and the next
forecast follows what came. Its states are the forecast, the buffer and the rendition; the worth of a state is
the linear QoE that the best policy expects from it, found by value iteration (Bellman, 1957). Of the players
in the literature, Fugu's controller is the nearest (Yan et al., NSDI 2020, section 4).
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What an outlook depends on; rounded, so that viewers of one ladder share it."""

    rates_mbps: tuple[float, ...]
    segment_s: float
    target_s: float
    spread: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """How the network is believed to behave, and what is liked; found on traces, see bench/abr.py."""

    follow_ratio: float = 0.3
    """How far the forecast follows what came."""
    bias: float = -0.12
    """Logarithm of what comes in the middle, over what was forecast: estimates are a little bright."""
    long_buffer_s: float = 30.0
    """Below this target the bias fades: a short buffer outlasts no long low, and caution only costs rate."""
    return_ratio: float = 0.12
    """How far a forecast returns, per segment, to the middle of the ladder: bad times and good ones end."""
    change_cost: float = 1.174
    """Per Mbit/s of change; the linear QoE has 1, but each change tends to be taken back."""
    patience: float = 0.926
    """What the QoE of the next segment counts, compared with this one's."""
    latency_s: float = 0.08
    """From a request to its first byte."""
    stall_ratio: float = 1.3
    """What a second of stalling costs, over the highest rate; the linear QoE has 1, but lows last."""
    factors: tuple[tuple[float, float], ...] = (
        (-2.0, 0.09),
        (-0.9, 0.24),
        (0.0, 0.34),
        (0.9, 0.24),
        (2.0, 0.09),
    )
    """A normal distribution in five points: deviations and their probabilities."""
    levels_count: int = 18
    """Forecasts that are looked at, from less than the lowest rate to several times the highest."""
    buffers_count: int = 14
    look_ahead_s: float = 64.0


Worths = list[list[list[float]]]
"""By rung, forecast level and buffer level."""


class Outlook:
    """Worth of every rendition at every forecast and buffer."""

    def __init__(self, scene: Scene, model: Model) -> None:
        self._scene, self._model = scene, model
        lowest, highest = 0.4 * scene.rates_mbps[0], 4 * scene.rates_mbps[-1]
        self._lowest, self._levels_count = math.log(lowest), model.levels_count
        self._step = math.log(highest / lowest) / (model.levels_count - 1)
        self._middle = sum(map(math.log, scene.rates_mbps)) / len(scene.rates_mbps)
        places = [place / (model.buffers_count - 1) for place in range(model.buffers_count)]
        self._buffers_s = [scene.target_s * place**1.5 for place in places]
        self._tables = [[_flat(rows) for rows in worths] for worths in self._iterate()]
        """By segments left, less one, and rung."""

    def worths(self, rate_mbps: float, buffer_s: float, left_count: int | None = None) -> list[float]:
        """Look up what each rung is worth, before the cost of changing to it.

        Args:
            rate_mbps: The forecast.
            buffer_s: What the player holds.
            left_count: Segments that it has yet to fetch; None: no end is in sight.
        """
        level, up = self._level(math.log(rate_mbps))
        place, on = self._place(buffer_s)
        width = len(self._buffers_s)
        low, high = level * width + place, (level + 1) * width + place
        known = self._tables[-1 if left_count is None else min(max(left_count, 1), len(self._tables)) - 1]
        return [
            (1 - up) * ((1 - on) * table[low] + on * table[low + 1])
            + up * ((1 - on) * table[high] + on * table[high + 1])
            for table in known
        ]

    def _level(self, log_rate: float) -> tuple[int, float]:
        """Place a forecast between two levels."""
        exact = min(max((log_rate - self._lowest) / self._step, 0.0), self._levels_count - 1.0)
        level = min(int(exact), self._levels_count - 2)
        return level, exact - level

    def _place(self, buffer_s: float) -> tuple[int, float]:
        """Place a buffer between two levels."""
        buffer_s = min(max(buffer_s, 0.0), self._buffers_s[-1])
        place = min(bisect_right(self._buffers_s, buffer_s) - 1, len(self._buffers_s) - 2)
        return place, (buffer_s - self._buffers_s[place]) / (
            self._buffers_s[place + 1] - self._buffers_s[place]
        )

    def _iterate(self) -> Iterator[Worths]:
        """Value iteration: with one segment left, with two, up to as many as are worth looking at."""
        scene, model = self._scene, self._model
        branches = [
            [self._fetch(rate, level) for level in range(self._levels_count)] for rate in scene.rates_mbps
        ]
        nothing = [0.0] * model.buffers_count
        kept: Worths = [[nothing] * self._levels_count for _ in scene.rates_mbps]
        for _ in range(min(max(round(model.look_ahead_s / scene.segment_s), 4), 16)):
            worths = [
                [_expect(fetch, rows) for fetch in fetches]
                for fetches, rows in zip(branches, kept, strict=True)
            ]
            yield worths
            kept = self._choose(worths)

    def _fetch(self, rate_mbps: float, level: int) -> _Fetch:
        """Tell what comes of fetching a rung at a forecast: for each factor, and from each buffer."""
        scene, model = self._scene, self._model
        bias = model.bias * min(scene.target_s / model.long_buffer_s, 1.0)
        log_forecast = self._lowest + level * self._step
        rewards = [rate_mbps] * model.buffers_count
        branches = []
        for deviation, probability in model.factors:
            log_factor = scene.spread * deviation + bias
            fetch_s = scene.segment_s * rate_mbps / math.exp(log_forecast + log_factor) + model.latency_s
            stalls_s = [max(fetch_s - buffer_s, 0.0) for buffer_s in self._buffers_s]
            cost = probability * model.stall_ratio * scene.rates_mbps[-1]
            rewards = [reward - cost * stall_s for reward, stall_s in zip(rewards, stalls_s, strict=True)]
            log_next = log_forecast + model.follow_ratio * log_factor
            log_next += model.return_ratio * (self._middle - log_next)
            next_level, up = self._level(log_next)
            weight = probability * model.patience
            places = [
                self._place(max(buffer_s - fetch_s, 0.0) + scene.segment_s) for buffer_s in self._buffers_s
            ]
            branches.append((next_level, weight * (1 - up), weight * up, places))
        return rewards, branches

    def _choose(self, worths: Worths) -> Worths:
        """Choose the best from each rung: any below, or one above, as far as a player is led at once."""
        rates = self._scene.rates_mbps
        costs = [self._model.change_cost * (high - low) for low, high in pairwise(rates)]
        best = [worths[0]]
        for cost, rows in zip(costs, worths[1:], strict=True):
            best.append(_better(rows, best[-1], cost))
        raised = [
            _better(here, above, cost) for here, above, cost in zip(best, worths[1:], costs, strict=False)
        ]
        return [*raised, best[-1]]


_Fetch = tuple[list[float], list[tuple[int, float, float, list[tuple[int, float]]]]]
"""The QoE of a segment by buffer; then per factor the forecast's next level, the weights of it and the one
above, and the places of the next buffers."""


def _expect(fetch: _Fetch, rows: list[list[float]]) -> list[float]:
    """Add what is expected of the future to what a fetch brings at once."""
    totals, branches = fetch
    for level, weight, weight_above, places in branches:
        row = [
            weight * low + weight_above * high for low, high in zip(rows[level], rows[level + 1], strict=True)
        ]
        totals = [
            total + row[place] + on * (row[place + 1] - row[place])
            for total, (place, on) in zip(totals, places, strict=True)
        ]
    return totals


def _flat(rows: list[list[float]]) -> array[float]:
    return array("f", chain.from_iterable(rows))


def _better(rows: list[list[float]], others: list[list[float]], cost: float) -> list[list[float]]:
    """Take the other rung's worth where it is better even at the cost of changing to it."""
    return [
        [max(here, there - cost) for here, there in zip(row, other, strict=True)]
        for row, other in zip(rows, others, strict=True)
    ]


SPREADS = (0.12, 0.19, 0.29, 0.45)
"""Those for which outlooks are made: a viewer's own is taken for the nearest."""


def outlook_for(
    rates_bps: Sequence[float], segment_s: float, target_s: float, spread: float, model: Model
) -> Outlook:
    """Find the outlook for a ladder and a player, or make it: some 130 ms once, and 100 KB."""
    scene = Scene(
        rates_mbps=tuple(float(f"{rate / 1e6:.3g}") for rate in rates_bps),
        segment_s=max(round(2 * segment_s) / 2, 0.5),
        target_s=max(round(target_s), 1.0),
        spread=min(SPREADS, key=lambda known: abs(math.log(known / spread))),
    )
    return _make(scene, model)


@lru_cache(maxsize=256)
def _make(scene: Scene, model: Model) -> Outlook:
    return Outlook(scene, model)
