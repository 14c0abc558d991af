"""Cut a recording into chunks: the pieces of a VOD job that several transcoders encode at the same time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from transcoder.domain.source import Source, VideoTrack
from transcoder.domain.timing import Grid

CHUNK_SEGMENTS = (1, 2, 4)
"""Segments per chunk: few in the first ones, so that play starts early; the last number repeats."""

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


def plan_chunks(grid: Grid, source: Source, sizes: tuple[int, ...] = CHUNK_SEGMENTS) -> tuple[Chunk, ...]:
    """Cut the grid into chunks; `sizes` counts their segments, its last number repeats.

    A source without video has no chunks, since its audio is one task; one that cannot be sought has one.
    """
    if source.video is None:
        return ()
    begins = [first for first, _ in runs(grid.segment_count, sizes)]
    borders = [first for first in begins if first == 0 or _can_begin(grid, source, source.video, first)]
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


def runs(segment_count: int, sizes: tuple[int, ...] = CHUNK_SEGMENTS) -> Iterator[tuple[int, int]]:
    """Yield (first segment, count) of each run that is announced at once; a chunk is one run or more."""
    first, index = 0, 0
    while first < segment_count:
        size = min(sizes[min(index, len(sizes) - 1)], segment_count - first)
        yield first, size
        first, index = first + size, index + 1


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
