"""What a viewing was worth, in the measures of the literature."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Qoe:
    """Worth of each rung, less the changes of worth, less the stalls."""

    name: str
    worths: tuple[float, ...]
    stall_cost: float
    """Per second."""

    def total(self, rungs: Sequence[int], stalls_s: Sequence[float]) -> float:
        worths = [self.worths[rung] for rung in rungs]
        changes = sum(abs(after - before) for before, after in pairwise(worths))
        return sum(worths) - changes - self.stall_cost * sum(stalls_s)


def linear_qoe(rates_kbps: Sequence[int]) -> Qoe:
    """Mbit/s, and 4.3 per second of stalling (Yin et al., 2015; Mao et al., SIGCOMM 2017, table 1)."""
    return Qoe(name="linear", worths=tuple(rate / 1000 for rate in rates_kbps), stall_cost=4.3)


def log_qoe(rates_kbps: Sequence[int]) -> Qoe:
    """Logarithm of the rate over the lowest, and 2.66 per second (Mao et al., SIGCOMM 2017, table 1)."""
    return Qoe(
        name="log", worths=tuple(math.log(rate / rates_kbps[0]) for rate in rates_kbps), stall_cost=2.66
    )


QOES: tuple[Callable[[Sequence[int]], Qoe], ...] = (linear_qoe, log_qoe)
