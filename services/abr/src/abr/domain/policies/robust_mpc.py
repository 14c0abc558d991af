"""Model-predictive control: Yin et al., "A Control-Theoretic Approach ...", SIGCOMM 2015."""

from __future__ import annotations

import math
from dataclasses import dataclass

from abr.domain.estimators import robust_forecast_bps
from abr.domain.view import Choice, View

STALL_COST_MBPS = 4.3
"""What a second of stalling costs in the linear QoE: what the highest rate of the paper's ladder earns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustMpc:
    """RobustMPC: the plan for the next segments with the best QoE at the lower bound of the forecast."""

    name: str = "robust_mpc"
    horizon: int = 5
    """Segments that a plan looks ahead (section 6)."""

    def choose(self, view: View) -> Choice:
        forecast_bps = robust_forecast_bps(view.downloads)
        if forecast_bps is None:
            return Choice(rung=0, reason="nothing is known of the network yet: the lowest")
        rung = _best_first(view, forecast_bps, self.horizon)
        reason = f"best plan for {self.horizon} segments at a cautious {forecast_bps / 1000:.0f} kbit/s"
        return Choice(rung=rung, reason=reason)


def _best_first(view: View, forecast_bps: float, horizon: int) -> int:
    """Find the rung with which the best plan begins: one for some segments, then at most one other.

    The paper follows all 6^5 plans. At a constant forecast more than one change after the first hardly ever
    pays, so that some 130 plans do as well.
    """
    rates = [rung.rate_bps / 1e6 for rung in view.ladder[: view.cap + 1]]
    fetches_s = [view.segment_s * 1e6 * rate / forecast_bps for rate in rates]
    most_s = max(view.buffer_target_s, view.segment_s)
    before = rates[min(view.current or 0, view.cap)]
    best, best_first = -math.inf, 0
    for first, rate in enumerate(rates):
        score, buffer_s = -abs(rate - before), view.buffer_s
        for left in reversed(range(horizon)):
            stall_s, buffer_s = _fetch(1, fetches_s[first], buffer_s, view.segment_s, most_s)
            score += rate - STALL_COST_MBPS * stall_s
            for then, other in enumerate(rates):
                at_most = score + left * other - abs(other - rate)
                if at_most <= best or (not left and then != first):
                    continue
                stall_s, _ = _fetch(left, fetches_s[then], buffer_s, view.segment_s, most_s)
                if (found := at_most - STALL_COST_MBPS * stall_s) > best:
                    best, best_first = found, first
    return best_first


def _fetch(
    count: int, fetch_s: float, buffer_s: float, segment_s: float, most_s: float
) -> tuple[float, float]:
    """Fetch some segments; returns the stall meanwhile, and the buffer then."""
    stall_s = 0.0
    for _ in range(count):
        if fetch_s > buffer_s:
            stall_s += fetch_s - buffer_s
            buffer_s = segment_s
        else:
            buffer_s = min(buffer_s - fetch_s + segment_s, most_s)
    return stall_s, buffer_s
