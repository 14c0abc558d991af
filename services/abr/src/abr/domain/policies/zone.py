"""The four zones of the API: how full the buffer is says everything."""

from __future__ import annotations

from dataclasses import dataclass

from abr.domain.view import Choice, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """Health below 20 %: the lowest; below 40 %: one down; to 85 %: keep; above: one up.

    Health is the buffer in percent of what the player aims at.
    """

    name: str = "zone"
    lowest_below_percent: float = 20.0
    down_below_percent: float = 40.0
    up_above_percent: float = 85.0

    def choose(self, view: View) -> Choice:
        health = 100 * view.buffer_s / view.buffer_target_s
        current = min(view.current or 0, view.cap)
        if health < self.lowest_below_percent:
            return Choice(rung=0, reason=f"buffer health {health:.0f} % is below 20 %: the lowest")
        if health < self.down_below_percent:
            return Choice(
                rung=max(current - 1, 0), reason=f"buffer health {health:.0f} % is below 40 %: one down"
            )
        if health <= self.up_above_percent:
            return Choice(rung=current, reason=f"buffer health {health:.0f} % is between 40 % and 85 %: keep")
        return Choice(
            rung=min(current + 1, view.cap), reason=f"buffer health {health:.0f} % is above 85 %: one up"
        )
