"""The grid of a live rendition: which of its frames begin parts and segments, as exact fractions.

It has no end, and starts at the first frame of a run. Frames of pictures and of AAC differ in length: both
are cut by one rule, so that their segments are the same but for part of a frame. What is asked for each frame
is reckoned in whole numbers: fractions cost ten times as much.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

ROUNDING_FRAMES = Fraction(1, 1_000_000)
"""A part target such as 0.333333 holds as many frames as the fraction that it stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveGrid:
    """Where the segments and parts of one rendition begin, in frames from the start of the run."""

    timescale: int
    """Ticks per second."""
    frame_ticks: int
    segment_s: Fraction
    part_frames: int
    """Frames of every part but a segment's last; 0: there are no parts."""

    @property
    def frame_s(self) -> Fraction:
        return Fraction(self.frame_ticks, self.timescale)

    def first_frame(self, segment: int) -> int:
        """Frame at which a segment begins: the first one at or after its border."""
        border_s, unit = self.segment_s.as_integer_ratio()
        return -(-segment * border_s * self.timescale // (unit * self.frame_ticks))

    def segment_at(self, time_s: Fraction) -> int:
        """The segment that what ends at `time_s` belongs to."""
        return max(0, math.ceil(time_s / self.segment_s) - 1)

    def whole_frames(self, time_s: Fraction) -> int:
        """Frames that have ended by `time_s`."""
        time, unit = time_s.as_integer_ratio()
        return max(0, time * self.timescale // (unit * self.frame_ticks))

    def time_s(self, frame: int) -> Fraction:
        return Fraction(frame * self.frame_ticks, self.timescale)

    def duration_s(self, frame_count: int) -> float:
        return frame_count * self.frame_ticks / self.timescale


def count_part_frames(part_target_s: float, frame_rate: Fraction) -> int:
    """Count the frames of a part that is not longer than its target; 0 if not even one fits."""
    return math.floor(Fraction(part_target_s) * frame_rate + ROUNDING_FRAMES)
