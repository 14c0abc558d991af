"""Model-predictive control: Yin et al., "A Control-Theoretic Approach ...", SIGCOMM 2015."""

from __future__ import annotations

from dataclasses import dataclass

from abr.domain.estimators import robust_forecast_bps
from abr.domain.view import Choice, View

STALL_COST_MBPS = 4.3
"""What a second of stalling costs in the linear QoE: what the highest rate of the paper's ladder earns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustMpc:
    """RobustMPC: the plan over the next segments with the best QoE at the lower bound of the forecast."""

    name: str = "robust_mpc"
    horizon: int = 5

    def choose(self, view: View) -> Choice:
        forecast_bps = robust_forecast_bps(view.downloads)
        if forecast_bps is None:
            return Choice(rung=0, reason="nothing is known of the network yet: the lowest")
        rates = [rung.rate_bps / 1e6 for rung in view.ladder[: view.cap + 1]]
        plan = _Plan(rates, [view.segment_s * rate * 1e6 / forecast_bps for rate in rates], view)
        rung = plan.best_first(view, self.horizon)
        reason = f"the best plan for {self.horizon} segments at a cautious {forecast_bps / 1000:.0f} kbit/s"
        return Choice(rung=rung, reason=reason)


class _Plan:
    """The best QoE from here, by rung and buffer; only the plans that matter are followed."""

    def __init__(self, rates: list[float], transfers_s: list[float], view: View) -> None:
        self._rates, self._transfers_s = rates, transfers_s
        self._segment_s, self._most_s = view.segment_s, max(view.buffer_target_s, view.segment_s)

    def best_first(self, view: View, horizon: int) -> int:
        """Follow the best plan per last rung and buffer, forwards; returns its first rung."""
        start = None if view.current is None else min(view.current, view.cap)
        plans = {(start, round(view.buffer_s, 1)): (0.0, -1)}
        for _ in range(horizon):
            plans = self._extend(plans)
        return max(plans.values())[1]

    def _extend(
        self, plans: dict[tuple[int | None, float], tuple[float, int]]
    ) -> dict[tuple[int | None, float], tuple[float, int]]:
        longer: dict[tuple[int | None, float], tuple[float, int]] = {}
        for (last, buffer_s), (score, first) in plans.items():
            for rung, rate in enumerate(self._rates):
                stall_s = max(self._transfers_s[rung] - buffer_s, 0.0)
                left_s = buffer_s + stall_s - self._transfers_s[rung] + self._segment_s
                change = 0.0 if last is None else abs(rate - self._rates[last])
                found = (score + rate - STALL_COST_MBPS * stall_s - change, rung if first < 0 else first)
                key = (rung, round(min(left_s, self._most_s)))
                if found > longer.get(key, (float("-inf"), -1)):
                    longer[key] = found
        return longer
