"""A stream as far as adaptation goes: its ladder, and how its players hold media."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from abr.domain.view import Rung


class Viewport(NamedTuple):
    """The area in which a player shows video, in device pixels."""

    width_pixels: int
    height_pixels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What can be played, and what its players aim at."""

    stream_id: str
    ladder: tuple[Rung, ...]
    """Lowest rate first, never empty."""
    segment_s: float
    """How long a segment lasts at most; above 0."""
    buffer_target_s: float
    """Media that a player aims at holding; above 0."""
    is_live: bool
    duration_s: float = 0.0
    """All of its media; 0: unknown, or still growing."""
    part_s: float = 0.0
    """How long a part lasts at most; 0: the stream has none."""
    places: Mapping[str, int] = field(init=False, repr=False)
    """Places in the ladder by rendition id."""

    def __post_init__(self) -> None:
        places = {rung.rendition_id: place for place, rung in enumerate(self.ladder)}
        object.__setattr__(self, "places", places)

    @property
    def top(self) -> int:
        """The highest place."""
        return len(self.ladder) - 1

    def find(self, name: str) -> int | None:
        """Look a rendition up by its id or its name, whatever the case; None: there is none."""
        if name in self.places:
            return self.places[name]
        wanted = name.casefold()
        return next((place for place, rung in enumerate(self.ladder) if rung.name.casefold() == wanted), None)

    def carried(self, rate_bps: float) -> int:
        """The highest place whose rate is not above `rate_bps`; the lowest if none is."""
        return max(bisect_right(self.ladder, rate_bps, key=lambda rung: rung.rate_bps) - 1, 0)

    def nearest(self, rate_bps: float) -> int:
        """The place whose rate differs least from `rate_bps`."""
        return min(range(len(self.ladder)), key=lambda place: abs(self.ladder[place].rate_bps - rate_bps))

    def segments(self, duration_s: float) -> float:
        """What an object is of a segment: all of it, but for a part."""
        if not self.part_s or duration_s <= 0 or duration_s >= self.segment_s:
            return 1.0
        return duration_s / self.segment_s

    def covering(self, viewport: Viewport) -> int:
        """The highest place of the smallest size that fills a viewport; the top if none does.

        Pictures keep their shape, so the side that comes to its border first is the one to fill.
        """
        sizes = [(rung.width_pixels, rung.height_pixels) for rung in self.ladder]
        for width, height in sizes:
            if width >= viewport.width_pixels or height >= viewport.height_pixels:
                return self.top - sizes[::-1].index((width, height))
        return self.top


HOLD_BACK_COUNT = 3
"""Target durations of segments, or of parts, that players stay behind the live edge (rfc8216bis 4.4.3.8)."""


def plan_buffer_target(
    segment_s: float, *, is_live: bool, part_s: float, vod_buffer_target_s: float
) -> float:
    """Plan what a player of a stream aims at holding, seconds: of live media, only the hold-back is there."""
    if not is_live:
        return max(vod_buffer_target_s, segment_s)
    return HOLD_BACK_COUNT * (part_s or segment_s)
