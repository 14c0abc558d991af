"""One measurement of one viewer, the ranges that it must lie in to count, and many of them together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

MAX_SECONDS = 3_600.0
MAX_TRANSFER_S = 600.0
MAX_BPS = 100e9
MAX_SPEED_RATIO = 16.0
PAST_S = 60.0
"""How old a sample may be when it comes in."""
AHEAD_S = 5.0
"""How far ahead of ours a reporter's clock may be."""


Row = tuple[
    str, int, float, int, float, float, float, float, int, float, bool, bool, float, float
]  # fmt: skip
"""A Sample as it comes out of columns: its values in its order, without names."""


class Sample(NamedTuple):
    """How one object came to a viewer. A tuple and no dataclass: 20,000 of them are made per second."""

    variant_id: str
    msn: int
    """Of a segment; below 0: a part, or no media."""
    end_s: float
    """When the last byte was sent, seconds since 1970."""
    size_bytes: int
    transfer_s: float
    """From the request to the last byte; 0: unknown."""
    player_bps: float
    """Throughput as the player states it; 0: it does not."""
    buffer_s: float
    """Media that the player held when it asked; below 0: unknown."""
    duration_s: float
    """Media in the object; 0: unknown."""
    top_bps: int
    """Highest rate that the player would play; 0: unknown."""
    speed_ratio: float
    starved: bool
    """The player ran dry since its last request."""
    startup: bool
    """The object is needed to start, or to leave a stall."""
    latency_s: float = 0.0
    """From the request to the first byte; 0: unknown."""
    after_s: float = -1.0
    """Media that the player holds since the last byte came; below 0: unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Samples that came together, those that lie in their ranges."""

    count: int
    """All samples, those outside their ranges too."""
    stream_ids: Sequence[str]
    """What was watched, session by session."""
    viewer_ids: Sequence[str]
    """Who watched it."""
    rows: Iterable[tuple[int, Row]]
    """The place of a session, and what was measured; to be gone through once."""

    @property
    def sessions(self) -> Iterable[tuple[str, str]]:
        """Each stream with who watches it."""
        return zip(self.stream_ids, self.viewer_ids, strict=True)
