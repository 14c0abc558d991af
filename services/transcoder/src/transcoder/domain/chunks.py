"""Cut a recording into chunks: the pieces of a VOD job that several transcoders encode at the same time."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from transcoder.domain.source import Source, VideoTrack
from transcoder.domain.timing import Grid

CHUNK_SEGMENTS = (1, 2, 4)
"""Segments per chunk: the first ones are short, so that play starts early; the last number repeats."""

SEEK_MARGIN_S = {"mov": 0.0, "matroska": 0.0, "flv": 0.0, "mpegts": 1.0}
"""Containers in which ffmpeg finds a keyframe by time, and how far before its time to aim.

MPEG-TS has no index: libav searches the decoding time, which lies before the keyframe's own by the reordering
delay. A container that is not here is decoded from its start, as one chunk.
"""


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
    if source.demuxer not in SEEK_MARGIN_S or not source.video.has_presentation_times:
        sizes = (grid.segment_count,)
    chunks: list[Chunk] = []
    first = 0
    while first < grid.segment_count:
        size = sizes[min(len(chunks), len(sizes) - 1)]
        chunks.append(_plan_chunk(grid, source, len(chunks), first, min(size, grid.segment_count - first)))
        first += size
    return tuple(chunks)


def _plan_chunk(grid: Grid, source: Source, index: int, first_segment: int, segment_count: int) -> Chunk:
    first_frame = grid.first_frame(first_segment)
    return Chunk(
        index=index,
        first_segment=first_segment,
        segment_count=segment_count,
        first_frame=first_frame,
        frame_count=grid.first_frame(first_segment + segment_count) - first_frame,
        seek_s=_choose_seek_s(grid, source, first_frame) if index else None,
        is_last=first_segment + segment_count == grid.segment_count,
    )


def _choose_seek_s(grid: Grid, source: Source, first_frame: int) -> float | None:
    """Find the last keyframe from which the picture in force at `first_frame` can be decoded."""
    video = source.video
    if video is None:
        return None
    shown = min(first_frame, grid.video_frame_count - 1)  # past the video's end its last picture is held
    shown_s = grid.origin_s + float(shown / grid.frame_rate)
    keyframe_s = _keyframe_at(video, shown_s + float(1 / (4 * grid.frame_rate)))
    return None if keyframe_s is None else keyframe_s - SEEK_MARGIN_S[source.demuxer]


def _keyframe_at(video: VideoTrack, time_s: float) -> float | None:
    """Time of the last keyframe at or before `time_s`; None when that is the source's beginning."""
    place = bisect_right(video.keyframe_times_s, time_s) - 1
    return video.keyframe_times_s[place] if place > 0 else None
