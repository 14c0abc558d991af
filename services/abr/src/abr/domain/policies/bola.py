"""Lyapunov optimisation of utility: Spiteri, Urgaonkar, Sitaraman, "BOLA", INFOCOM 2016."""

from __future__ import annotations

import math
from dataclasses import dataclass

from abr.domain.view import Choice, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Bola:
    """BOLA-BASIC: the rung that maximises (V (utility + gp) - buffer) / rate (section IV, equation 9).

    Utility is the logarithm of the rate over the lowest; V lets nothing be fetched beyond the target.
    """

    name: str = "bola"
    smoothness: float = 5.0
    """gp, what not stalling is worth beside utility: 5 in the paper's experiments (section VI)."""

    def choose(self, view: View) -> Choice:
        ladder = view.ladder[: view.cap + 1]
        utilities = [math.log(rung.rate_bps / ladder[0].rate_bps) for rung in ladder]
        room_s = max(view.buffer_target_s - view.segment_s, 0.5 * view.buffer_target_s)
        weight_s = room_s / (utilities[-1] + self.smoothness)
        scores = [
            (weight_s * (utility + self.smoothness) - view.buffer_s) / rung.rate_bps
            for utility, rung in zip(utilities, ladder, strict=True)
        ]
        rung = max(range(len(ladder)), key=scores.__getitem__)
        return Choice(
            rung=rung, reason=f"a buffer of {view.buffer_s:.1f} s is worth this rate's utility most"
        )
