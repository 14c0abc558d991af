"""Measure bit rates as playlists declare them: from what segments really weigh."""

from __future__ import annotations

from dataclasses import dataclass

_LEAST_RATIO, _MOST_RATIO = 0.5, 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class BitRate:
    """The rates of a run of segments, fed one after the other.

    The peak is the largest rate of any neighbouring segments that together last 0.5 to 1.5 target durations
    (rfc8216bis 4.1, Peak Segment Bit Rate).

    Args:
        recent: The newest segments that may still share such a run with the next one: (seconds, bytes).
    """

    total_s: float = 0.0
    total_bytes: int = 0
    highest_bps: float = 0.0
    recent: tuple[tuple[float, int], ...] = ()

    @property
    def average_bps(self) -> float:
        return self.total_bytes * 8 / self.total_s if self.total_s else 0.0

    @property
    def peak_bps(self) -> float:
        """The peak; the average while nothing is long enough to have one."""
        return self.highest_bps or self.average_bps

    def with_segment(self, duration_s: float, size_bytes: int, *, target_duration_s: int) -> BitRate:
        """Measure one more segment."""
        highest_bps = self.highest_bps
        run_s, run_bytes = 0.0, 0
        kept = []
        for one_s, one_bytes in ((duration_s, size_bytes), *reversed(self.recent)):
            run_s += one_s
            run_bytes += one_bytes
            if run_s > _MOST_RATIO * target_duration_s:
                break
            kept.append((one_s, one_bytes))
            if run_s >= _LEAST_RATIO * target_duration_s:
                highest_bps = max(highest_bps, run_bytes * 8 / run_s)
        return BitRate(
            total_s=self.total_s + duration_s,
            total_bytes=self.total_bytes + size_bytes,
            highest_bps=highest_bps,
            recent=tuple(reversed(kept)),
        )

    def with_gap(self) -> BitRate:
        """Pass over a time without media: runs do not reach across it."""
        return BitRate(total_s=self.total_s, total_bytes=self.total_bytes, highest_bps=self.highest_bps)


UNMEASURED = BitRate()
