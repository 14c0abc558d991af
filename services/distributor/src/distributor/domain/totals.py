"""What all viewers of a stream were sent, and how much of it of late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from distributor.domain.views import NOTHING_SERVED, Served, Start

BANDWIDTH_WINDOW_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantTotals:
    """What was served of one variant, and when of late."""

    served: Served = NOTHING_SERVED
    recent_bytes: tuple[tuple[int, int], ...] = ()
    """By second, the oldest first."""

    def plus(self, served: Served, time: float) -> VariantTotals:
        """Add what was served."""
        return VariantTotals(
            served=self.served.plus(served), recent_bytes=self._with_bytes(served.size_bytes, int(time))
        )

    def bandwidth(self, now: float) -> float:
        """Bits per second over the last 10 s."""
        first = int(now) - BANDWIDTH_WINDOW_S
        return sum(size for second, size in self.recent_bytes if second > first) * 8 / BANDWIDTH_WINDOW_S

    def _with_bytes(self, size_bytes: int, second: int) -> tuple[tuple[int, int], ...]:
        recent = self.recent_bytes
        if recent and recent[-1][0] == second:
            return (*recent[:-1], (second, recent[-1][1] + size_bytes))
        kept = (item for item in recent if item[0] > second - BANDWIDTH_WINDOW_S)
        return (*kept, (second, size_bytes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What is known of a stream beside its sessions."""

    start: Start | None = None
    peak_count: int = 0
    views_count: int = 0
    """Sessions since the beginning."""
    cache_hits_count: int = 0
    cache_misses_count: int = 0
    variants: Mapping[str, VariantTotals] = field(default_factory=dict)
