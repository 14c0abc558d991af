"""Our default: what is worth most over all that the network may do next, within guardrails."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from abr.domain.estimators import Forecast, TwoSpeed, fill_ratio, robust_forecast_bps
from abr.domain.policies.bba import Bba
from abr.domain.policies.outlook import SPREADS, Model, Outlook, outlook_for
from abr.domain.view import Choice, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """Stochastic dynamic programming about a two-speed forecast; a buffer rule where forecasts miss."""

    name: str = "default"
    estimator: TwoSpeed = field(default_factory=TwoSpeed)
    model: Model = field(default_factory=Model)
    fallback: Bba = field(default_factory=lambda: Bba(reservoir_ratio=0.1, upper_ratio=0.5))
    caution: float = 0.84
    """The spread that is reckoned with, over the one that was measured."""
    unsure_miss: float = 1.5
    """Where forecasts missed by more (4.5 times too much or too little), the buffer decides."""
    cool_down_count: int = 1
    """Until more downloads than this have come after a drop, nothing higher is chosen."""
    leap_count: int = 2
    """While no more downloads than this are known, a viewer may be led up several rungs at once."""

    def choose(self, view: View) -> Choice:
        forecast = self._forecast(view)
        if forecast is None:
            return _blind(view)
        if forecast.missed > self.unsure_miss:
            return self._guard(view, forecast, self._fall_back(view))
        return self._guard(view, forecast, self._foresee(view, forecast, self.caution * forecast.spread))

    def _forecast(self, view: View) -> Forecast | None:
        """Forecast what comes, in the measure of the ladder's declared rates."""
        forecast = self.estimator.forecast(view.downloads)
        if forecast is None and view.stated_bps:
            forecast = Forecast(rate_bps=view.stated_bps, spread=self.estimator.prior_spread)
        if forecast is None:
            return None
        fill = fill_ratio(view.downloads, view.ladder)
        return replace(forecast, rate_bps=forecast.rate_bps / fill)

    def prepare(self, view: View) -> None:
        """Work out all outlooks that deciding for such a viewer rests on."""
        for spread in SPREADS:
            self._outlook(view, spread)

    def _outlook(self, view: View, spread: float) -> Outlook:
        rates_bps = [rung.rate_bps for rung in view.ladder[: view.cap + 1]]
        segment_s = min(view.segment_s, view.buffer_target_s / 1.5)
        return outlook_for(rates_bps, segment_s, view.buffer_target_s, spread, self.model)

    def _foresee(self, view: View, forecast: Forecast, spread: float) -> Choice:
        rates_bps = [rung.rate_bps for rung in view.ladder[: view.cap + 1]]
        left_count = None if view.left_s is None else round(view.left_s / view.segment_s)
        worths = self._outlook(view, spread).worths(forecast.rate_bps / 1e6, view.buffer_s, left_count)
        if view.current is not None:
            from_bps = rates_bps[min(view.current, view.cap)]
            cost = self.model.change_cost / 1e6
            worths = [
                worth - cost * abs(rate - from_bps) for worth, rate in zip(worths, rates_bps, strict=True)
            ]
        rung = max(range(self._most(view) + 1), key=worths.__getitem__)
        return Choice(rung=rung, reason=f"{_tell(view, forecast)}: {_move(view, rung)}")

    def _fall_back(self, view: View) -> Choice:
        """Leave it to the buffer where that is long enough to tell, else to the worst that was seen."""
        if view.buffer_target_s >= 3 * view.segment_s:
            return Choice(
                rung=self.fallback.choose(view).rung, reason="forecasts miss, so the buffer decides"
            )
        sure_bps = robust_forecast_bps(view.downloads) or 0.0
        carried = [place for place in range(view.cap + 1) if view.ladder[place].rate_bps <= sure_bps]
        return Choice(rung=max(carried, default=0), reason="forecasts miss, so only what is sure counts")

    def _is_cooling(self, view: View) -> bool:
        if view.last_drop_s is None:
            return False
        came_count: float = sum(one.end_s > view.last_drop_s for one in view.downloads)
        if not any(one.duration_s for one in view.downloads):  # nothing is measured, one thing is stated
            came_count = (view.now_s - view.last_drop_s) / view.segment_s
        return came_count <= self.cool_down_count

    def _most(self, view: View) -> int:
        """One rung up at a time, but for the very start."""
        if view.current is None or len(view.downloads) <= self.leap_count:
            return view.cap
        return min(view.current + 1, view.cap)

    def _guard(self, view: View, forecast: Forecast, choice: Choice) -> Choice:
        """Hold a choice to what the buffer carries, one rung up at a time, and the cool-down after a drop."""
        rung, held = choice.rung, ""
        if view.current is not None and rung > view.current:
            cooling = self._is_cooling(view)
            rung = view.current if cooling else min(rung, self._most(view))
            held = "; not up again so soon after a drop" if cooling else ""
        longest_s = max(view.buffer_s, view.segment_s / 2)
        while rung > 0 and view.segment_s * view.ladder[rung].rate_bps > forecast.rate_bps * longest_s:
            rung, held = rung - 1, "; held to what the buffer can carry"
        return Choice(rung=rung, reason=choice.reason + held)


def _blind(view: View) -> Choice:
    if view.current is None:
        return Choice(rung=0, reason="nothing is known of the network yet: the lowest")
    if view.buffer_s >= view.segment_s:
        return Choice(rung=min(view.current, view.cap), reason="nothing is known of the network: keep")
    rung = min(max(view.current - 1, 0), view.cap)
    return Choice(rung=rung, reason="nothing is known of the network, and the buffer is short: one down")


def _tell(view: View, forecast: Forecast) -> str:
    percent = 100 * (math.exp(forecast.spread) - 1)
    expected = f"{forecast.rate_bps / 1000:.0f} kbit/s expected, give or take {percent:.0f} %"
    return f"{expected}, {view.buffer_s:.1f} s held"


def _move(view: View, rung: int) -> str:
    if view.current is None:
        return "begin here"
    return "keep" if rung == view.current else "up" if rung > view.current else "down"
