"""Lyapunov optimisation of utility: Spiteri, Urgaonkar, Sitaraman, "BOLA", INFOCOM 2016."""

from __future__ import annotations

import math
from dataclasses import dataclass

from abr.domain.view import Choice, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Bola:
    """BOLA-BASIC: the rung that maximises (V (utility + gp) - buffer) / rate (section IV, equation 9)."""

    name: str = "bola"
    minimum_ratio: float = 1 / 6
    """Below this part of the target nothing but the lowest is worth its bits: 10 s of 60 s."""

    def choose(self, view: View) -> Choice:
        ladder = view.ladder[: view.cap + 1]
        utilities = [math.log(rung.rate_bps / ladder[0].rate_bps) + 1.0 for rung in ladder]
        weight, offset = self._gains(utilities[-1], view.buffer_target_s)
        scores = [
            (weight * (utility + offset) - view.buffer_s) / rung.rate_bps
            for utility, rung in zip(utilities, ladder, strict=True)
        ]
        rung = max(range(len(ladder)), key=scores.__getitem__)
        return Choice(
            rung=rung, reason=f"a buffer of {view.buffer_s:.1f} s is worth this rate's utility most"
        )

    def _gains(self, top_utility: float, target_s: float) -> tuple[float, float]:
        """V and gp with which the lowest is left at the minimum, and nothing is fetched beyond the target."""
        minimum_s = self.minimum_ratio * target_s
        if top_utility <= 1.0:
            return minimum_s, 0.0
        offset = (top_utility - 1.0) / (target_s / minimum_s - 1.0)
        return minimum_s / offset, offset - 1.0
