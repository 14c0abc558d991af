"""Cut a recording into chunks: the pieces of a VOD job that several transcoders encode at the same time."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

from transcoder.domain.source import Source, VideoTrack
from transcoder.domain.timing import Grid

CHUNK_SEGMENTS = (1, 2, 4)
"""Segments per chunk: the first ones are short, so that play starts early; the last number repeats."""

SEEK_MARGIN_S = {"mov": 0.0, "matroska": 0.0, "flv": 0.0, "mpegts": 1.0}
"""Containers in which ffmpeg finds a keyframe by time, and how far before its time to aim.

MPEG-TS has no index: libav searches the decoding time, which lies before the keyframe's own by the reordering
delay. A container that is not here is decoded from its start, as one chunk.
"""

MAX_DECODED_BEFORE_S = 20.0
"""A chunk begins only where its first picture is this near to a keyframe: what lies between is decoded, too."""


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
    borders = [0]
    while borders[-1] < grid.segment_count:
        size = sizes[min(len(borders), len(sizes)) - 1]
        borders.append(_choose_border(grid, source, source.video, borders[-1] + size))
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
        for index, (first, end) in enumerate(pairwise(borders))
    )


def _choose_border(grid: Grid, source: Source, video: VideoTrack, earliest: int) -> int:
    """Find the first segment, from the earliest on, that a chunk can well begin with; else the end."""
    if source.demuxer not in SEEK_MARGIN_S or not video.has_presentation_times:
        return grid.segment_count
    for segment in range(earliest, grid.segment_count):
        if _shown_s(grid, segment) - _keyframe_s(grid, video, segment) <= MAX_DECODED_BEFORE_S:
            return segment
    return grid.segment_count


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
