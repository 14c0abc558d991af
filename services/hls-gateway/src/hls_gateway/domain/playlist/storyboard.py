"""Render the storyboard: WebVTT whose cues say which part of which image shows each moment of a stream.

Times count from the beginning of the playlist, as players count them. In a sliding one that moves on, so
there each cue bears as its identifier the time of day, which does not.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import accumulate

from hls_gateway.domain.names import sprite_uri
from hls_gateway.domain.playlist import tags
from hls_gateway.domain.stream import Segment
from hls_gateway.domain.timeline import RenditionTimeline, Timeline

SIGNATURE = "WEBVTT"
# A tile this much shorter than the others is none: durations are rounded.
_ROUNDING_RATIO = 1e-3
# More than any seek bar has room for; of a longer stream, some segments stand for their neighbours.
_MOST_CUES = 2_000


def render_storyboard(timeline: Timeline) -> str:
    """Render the storyboard of a stream; one without images has no cues."""
    shown = [known for known in timeline.renditions.values() if not known.rendition.is_played]
    cues = (cue for known in shown for cue in _cues(timeline, known))
    return "\n\n".join((SIGNATURE, *cues)) + "\n"


def _cues(timeline: Timeline, known: RenditionTimeline) -> Iterator[str]:
    clock = _PlayClock(_leading(timeline))
    segments = timeline.listed(known)
    most_count = len(segments) * _count(known, timeline.stream.target_duration_s)
    stride = max(1, math.ceil(most_count / _MOST_CUES))
    for segment in segments:
        if segment.gap or segment.msn % stride:
            continue
        place_s = clock.place_s(segment)
        if place_s is not None:
            yield from _tiles(timeline, known, segment, place_s, stride)


def _leading(timeline: Timeline) -> Sequence[Segment]:
    """Give the listed segments by which players count time: of the first picture on offer."""
    pictures = (known for known in timeline.renditions.values() if known.rendition.has_picture)
    offered = (known for known in pictures if known.segments and not timeline.is_given_up(known))
    return next((timeline.listed(known) for known in offered), ())


class _PlayClock:
    """Tells where in a playlist a segment stands, whose own clock may jump at discontinuities."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._segments = segments
        self._starts_s = [one.start_s for one in segments]
        self._places_s = list(accumulate((one.duration_s for one in segments), initial=0.0))

    def place_s(self, segment: Segment) -> float | None:
        """Find the place of what stands beside one of the segments; None where none is listed."""
        middle_s = segment.start_s + segment.duration_s / 2
        index = bisect_right(self._starts_s, middle_s) - 1
        if index < 0 or self._segments[index].end_s <= middle_s:
            return None
        return max(0.0, self._places_s[index] + segment.start_s - self._starts_s[index])


def _count(known: RenditionTimeline, duration_s: float) -> int:
    """Count the pictures of a segment."""
    return math.ceil(duration_s / known.rendition.tile_s - _ROUNDING_RATIO)


def _tiles(
    timeline: Timeline, known: RenditionTimeline, segment: Segment, place_s: float, stride: int
) -> Iterator[str]:
    """Write a cue for each picture of a segment; or one that stands for so many segments."""
    rendition = known.rendition
    width, height = rendition.width_pixels, rendition.height_pixels
    tile_s = rendition.tile_s if stride == 1 else stride * segment.duration_s
    uri = sprite_uri(timeline.stream, rendition.rendition_id, segment)
    for row in range(_count(known, segment.duration_s) if stride == 1 else 1):
        begin_s, end_s = row * tile_s, min((row + 1) * tile_s, stride * segment.duration_s)
        lines = [
            f"{_time(place_s + begin_s)} --> {_time(place_s + end_s)}",
            f"{uri}#xywh=0,{row * height},{width},{height}",  # media fragments, 4.2.2
        ]
        if segment.program_date_time:
            lines.insert(0, tags.date_time(segment.program_date_time + timedelta(seconds=begin_s)))
        yield "\n".join(lines)


def _time(seconds: float) -> str:
    """Write a WebVTT timestamp."""
    minutes, ms = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02}.{ms % 1000:03}"
