"""Buffer-based adaptation: Huang et al., "A Buffer-Based Approach to Rate Adaptation", SIGCOMM 2014."""

from __future__ import annotations

from dataclasses import dataclass

from abr.domain.view import Choice, Rung, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Bba:
    """BBA-0: a map from buffer to rate, and changes only when it crosses the next rung (algorithm 1)."""

    name: str = "bba"
    reservoir_ratio: float = 0.375
    """Below this part of the target, the lowest: 90 s of 240 s in the paper."""
    upper_ratio: float = 0.9
    """From here on, the highest: reservoir and cushion are 216 s of 240 s in the paper."""

    def choose(self, view: View) -> Choice:
        ladder = view.ladder[: view.cap + 1]
        rate_bps = self._map(ladder, view.buffer_s / view.buffer_target_s)
        rung = _step(ladder, min(view.current or 0, view.cap), rate_bps)
        return Choice(
            rung=rung, reason=f"a buffer of {view.buffer_s:.1f} s maps to {rate_bps / 1000:.0f} kbit/s"
        )

    def _map(self, ladder: tuple[Rung, ...], fullness: float) -> float:
        lowest, highest = ladder[0].rate_bps, ladder[-1].rate_bps
        share = (fullness - self.reservoir_ratio) / (self.upper_ratio - self.reservoir_ratio)
        return lowest + min(max(share, 0.0), 1.0) * (highest - lowest)


def _step(ladder: tuple[Rung, ...], current: int, rate_bps: float) -> int:
    """Move only when the map has reached the rung above, or fallen to the rung below."""
    above = ladder[min(current + 1, len(ladder) - 1)].rate_bps
    below = ladder[max(current - 1, 0)].rate_bps
    places = range(len(ladder))
    if rate_bps >= above:
        return max((place for place in places if ladder[place].rate_bps <= rate_bps), default=0)
    if rate_bps <= below:
        return min((place for place in places if ladder[place].rate_bps >= rate_bps), default=current)
    return current
