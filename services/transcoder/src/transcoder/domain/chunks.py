"""Cut a recording into chunks: the pieces of a VOD job that several transcoders encode at the same time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from transcoder.domain.source import Source, VideoTrack
from transcoder.domain.timing import Grid

Run = tuple[int, int]
"""First segment and count of what is stored, and announced, at once; a chunk is one run or more."""

RUN_SEGMENTS = (1, 2, 4)
"""Segments per run: few in the first ones, so that play starts early; the last number repeats."""

LEFT_SHARES = 4
"""Behind the first ones, a run is at most this part of what is left.

So runs become shorter towards the end, down to one segment, and two transcoders of two tasks at a time end
together, rather than that one waits for the other's long ones.
"""

SEEK_MARGIN_S = {"mov": 0.0, "matroska": 0.0, "flv": 0.0, "mpegts": 1.0}
"""Containers in which ffmpeg finds a keyframe by time, and how far before its time to aim.

MPEG-TS has no index: libav searches the decoding time, which lies before the keyframe's own by the reordering
delay. A container that is not here is decoded from its start, as one chunk.
"""

MAX_DECODED_BEFORE_S = 20.0
"""A chunk begins only this near behind a keyframe, since what lies between is decoded as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A run of whole segments that one ffmpeg makes."""

    index: int
    first_segment: int
    segment_count: int
    first_frame: int
    """On the grid."""
    frame_count: int
    seek_s: float | None
    """Where decoding starts, on the source's clock: at or before a keyframe. None: at its beginning."""
    is_last: bool

    @property
    def msns(self) -> range:
        """Numbers of its segments."""
        return range(self.first_segment, self.first_segment + self.segment_count)


def plan_runs(segment_count: int, *, tapers: bool) -> tuple[Run, ...]:
    """Cut a recording into runs; `tapers`: they become shorter towards the end."""
    planned: list[Run] = []
    first = 0
    while first < segment_count:
        size = _choose_size(len(planned), segment_count - first, tapers=tapers)
        planned.append((first, size))
        first += size
    return tuple(planned)


def plan_chunks(grid: Grid, source: Source, runs: Sequence[Run]) -> tuple[Chunk, ...]:
    """Make a chunk of each run, and of several where none can begin.

    A source without video has no chunks, since its audio is one task; one that cannot be sought has one.
    """
    if source.video is None:
        return ()
    borders = [first for first, _ in runs if first == 0 or _can_begin(grid, source, source.video, first)]
    return tuple(
        Chunk(
            index=index,
            first_segment=first,
            segment_count=end - first,
            first_frame=grid.first_frame(first),
            frame_count=grid.first_frame(end) - grid.first_frame(first),
            seek_s=_choose_seek_s(grid, source, source.video, first),
            is_last=end == grid.segment_count,
        )
        for index, (first, end) in enumerate(pairwise((*borders, grid.segment_count)))
    )


def _choose_size(index: int, left: int, *, tapers: bool) -> int:
    """Choose how many of the `left` segments the run of a number has."""
    if index < len(RUN_SEGMENTS) - 1:
        return min(RUN_SEGMENTS[index], left)
    return min(RUN_SEGMENTS[-1], ceil(left / LEFT_SHARES) if tapers else left)


def _can_begin(grid: Grid, source: Source, video: VideoTrack, segment: int) -> bool:
    """Whether a chunk that begins with `segment` need not decode much that it does not show."""
    if source.demuxer not in SEEK_MARGIN_S or not video.has_presentation_times:
        return False
    return _shown_s(grid, segment) - _keyframe_s(grid, video, segment) <= MAX_DECODED_BEFORE_S


def _choose_seek_s(grid: Grid, source: Source, video: VideoTrack, segment: int) -> float | None:
    keyframe_s = _keyframe_s(grid, video, segment)
    if keyframe_s <= min(video.keyframe_times_s, default=keyframe_s):
        return None
    return keyframe_s - SEEK_MARGIN_S[source.demuxer]


def _keyframe_s(grid: Grid, video: VideoTrack, segment: int) -> float:
    """Time of the last keyframe from which the picture that begins `segment` can be decoded."""
    latest_s = _shown_s(grid, segment) + float(1 / (4 * grid.frame_rate))  # clocks of containers are rounded
    place = bisect_right(video.keyframe_times_s, latest_s) - 1
    return video.keyframe_times_s[place] if place >= 0 else video.start_s


def _shown_s(grid: Grid, segment: int) -> float:
    """Time, on the source's clock, of the picture that begins `segment`; behind the last one, that one's."""
    frame = min(grid.first_frame(segment), grid.video_frame_count - 1)
    return grid.origin_s + float(frame / grid.frame_rate)
