"""What viewers felt: sums that samples are folded into, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

STALL_COST_MBPS = 4.3
"""What a second of stalling costs in the linear QoE (Yin et al., SIGCOMM 2015)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Qoe:
    """Quality of experience since a session began."""

    average_bps: float
    """Of what was played, by time."""
    rebuffer_ratio: float
    """Time stalled per time watched, 0 to 1."""
    rebuffers_count: int
    switches_count: int
    startup_s: float
    """From the first request to the first frame; 0: unknown. Of several viewers, the mean of those known."""
    score: float
    """Linear QoE per segment: Mbit/s - |change| - 4.3 x stall seconds."""


@dataclass(slots=True, kw_only=True)
class Experience:
    """The sums of one session, or of many."""

    media_s: float = 0.0
    media_bits: float = 0.0
    segments: float = 0.0
    """Parts count as what they are of a segment."""
    rates_mbps: float = 0.0
    """Sum over segments."""
    changes_mbps: float = 0.0
    switches_count: int = 0
    stalled_s: float = 0.0
    rebuffers_count: int = 0
    startup_s: float = 0.0
    startups_count: int = 0

    def note_media(self, rate_bps: float, duration_s: float, segments: float) -> None:
        """Count media that will be played."""
        self.media_s += duration_s
        self.media_bits += rate_bps * duration_s
        self.segments += segments
        self.rates_mbps += rate_bps / 1e6 * segments

    def note_switch(self, from_bps: float, to_bps: float) -> None:
        """Count a change of rendition."""
        self.switches_count += 1
        self.changes_mbps += abs(to_bps - from_bps) / 1e6

    def note_stall(self, stalled_s: float) -> None:
        """Count a stall, as long as is known of it."""
        self.rebuffers_count += 1
        self.stalled_s += stalled_s

    def note_startup(self, startup_s: float) -> None:
        """Say how long the first frame took."""
        self.startup_s += startup_s
        self.startups_count += 1

    def add(self, sums: Iterable[float]) -> None:
        """Take another session's sums in, in the order of SUMS."""
        for name, value in zip(SUMS, sums, strict=True):
            setattr(self, name, getattr(self, name) + value)

    def qoe(self) -> Qoe:
        """Say what follows."""
        watched_s = self.media_s + self.stalled_s
        total = self.rates_mbps - self.changes_mbps - STALL_COST_MBPS * self.stalled_s
        return Qoe(
            average_bps=self.media_bits / self.media_s if self.media_s else 0.0,
            rebuffer_ratio=self.stalled_s / watched_s if watched_s else 0.0,
            rebuffers_count=int(self.rebuffers_count),
            switches_count=int(self.switches_count),
            startup_s=self.startup_s / self.startups_count if self.startups_count else 0.0,
            score=total / self.segments if self.segments else 0.0,
        )


SUMS = tuple(field.name for field in fields(Experience))
"""The names of an Experience's sums."""
