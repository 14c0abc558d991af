"""Chunks cover the recording once, and each knows where its decoding starts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.sources import make_audio, make_source, make_video
from transcoder.domain.chunks import RUN_SEGMENTS, Chunk, plan_chunks, plan_runs
from transcoder.domain.source import Source
from transcoder.domain.timing import plan_grid

SLOTS = 4
"""Two transcoders of two tasks at a time."""


def chunks_of(source: Source, *, tapers: bool = True) -> tuple[Chunk, ...]:
    grid = plan_grid(source)
    return plan_chunks(grid, source, plan_runs(grid.segment_count, tapers=tapers))


def film(duration_s: float) -> Source:
    """A source that can be cut everywhere: a keyframe every two seconds."""
    keyframes = tuple(2.0 * number for number in range(int(duration_s / 2)))
    return make_source(make_video(duration_s=duration_s, keyframe_times_s=keyframes), None)


def test_first_and_last_chunks_are_short() -> None:
    chunks = chunks_of(film(92.0))
    assert [chunk.segment_count for chunk in chunks] == [1, 2, 4, 4, 4, 3, 2, 1, 1, 1, 1]
    assert [chunk.frame_count for chunk in chunks[:3]] == [60, 180, 480]
    assert [chunk.is_last for chunk in chunks] == [False] * 10 + [True]


def test_a_plan_of_earlier_keeps_its_long_last_chunks() -> None:
    chunks = chunks_of(film(56.0), tapers=False)
    assert [chunk.segment_count for chunk in chunks] == [1, 2, 4, 4, 4]


@given(st.integers(1, 3_000))
def test_runs_cover_all_segments_and_never_grow_again(segment_count: int) -> None:
    runs = plan_runs(segment_count, tapers=True)
    sizes = [size for _, size in runs]
    assert [*(first for first, _ in runs), segment_count] == [0, *(first + size for first, size in runs)]
    assert sizes[0] == 1
    assert set(sizes) <= set(range(1, max(RUN_SEGMENTS) + 1))
    assert all(longer >= shorter for longer, shorter in pairwise(sizes[2:]))


@pytest.mark.parametrize("tapers", [True, False])
@pytest.mark.parametrize("duration_s", [60.0, 76.0, 90.0, 118.0, 300.0])
def test_those_who_share_a_tapered_job_end_within_a_segment(duration_s: float, tapers: bool) -> None:
    """Each takes the next chunk when it has done one, and a chunk takes as long as its media."""
    done_s = [0.0] * SLOTS
    for chunk in chunks_of(film(duration_s), tapers=tapers):
        done_s.sort()
        done_s[0] += chunk.frame_count / 30
    assert (max(done_s) - min(done_s) <= 4.0) == tapers


@given(st.floats(0.1, 200))
def test_chunks_cover_every_segment_and_frame_once(duration_s: float) -> None:
    source = film(duration_s)
    grid = plan_grid(source)
    segment = frame = 0
    for index, chunk in enumerate(chunks_of(source)):
        assert (chunk.index, chunk.first_segment, chunk.first_frame) == (index, segment, frame)
        segment, frame = segment + chunk.segment_count, frame + chunk.frame_count
    assert (segment, frame) == (grid.segment_count, grid.frame_count)


@given(st.floats(1, 500), st.lists(st.floats(0.1, 500), max_size=8))
def test_chunks_end_only_where_runs_do(duration_s: float, keyframes: list[float]) -> None:
    source = make_source(make_video(duration_s=duration_s, keyframe_times_s=(0.0, *sorted(keyframes))), None)
    grid = plan_grid(source)
    begins = {first for first, _ in plan_runs(grid.segment_count, tapers=True)}
    assert {chunk.first_segment for chunk in chunks_of(source)} <= begins


def test_decoding_starts_at_the_keyframe_before() -> None:
    video = make_video(duration_s=16.0, keyframe_times_s=(0.0, 1.5, 2.0, 7.9, 8.1))
    source = make_source(video, None)
    assert [chunk.seek_s for chunk in chunks_of(source)] == [None, 2.0, 7.9, 8.1]


def test_keyframe_that_a_rounded_clock_puts_behind_the_border_still_serves() -> None:
    source = make_source(make_video(keyframe_times_s=(0.0, 2.001)))
    assert chunks_of(source)[1].seek_s == 2.001


def test_first_keyframe_means_the_beginning() -> None:
    source = make_source(make_video(keyframe_times_s=(0.0, 29.9)))
    assert {chunk.seek_s for chunk in chunks_of(source)} == {None}


def test_chunks_grow_where_keyframes_are_rare() -> None:
    source = make_source(make_video(duration_s=120.0, keyframe_times_s=(0.0, 50.0)))
    chunks = chunks_of(source)
    assert [chunk.segment_count for chunk in chunks] == [1, 2, 12, 16]
    assert [chunk.seek_s for chunk in chunks] == [None, None, None, 50.0]


def test_containers_without_an_index_are_sought_with_a_margin() -> None:
    source = make_source(make_video(duration_s=16.0), None, demuxer="mpegts")
    assert [chunk.seek_s for chunk in chunks_of(source)] == [None, 1.0, 7.0, 11.0]


def test_chunk_behind_the_picture_starts_at_its_last_keyframe() -> None:
    video = make_video(duration_s=8.0, keyframe_times_s=(0.0, 2.0, 4.0, 6.0))
    source = make_source(video, make_audio(duration_s=16.0))
    assert [chunk.seek_s for chunk in chunks_of(source)] == [None, 2.0, 6.0, 6.0]


@pytest.mark.parametrize(
    "source", [make_source(demuxer="ogg"), make_source(make_video(has_presentation_times=False))]
)
def test_source_that_cannot_be_sought_is_one_chunk(source: Source) -> None:
    (chunk,) = chunks_of(source)
    assert (chunk.frame_count, chunk.seek_s, chunk.is_last) == (900, None, True)


def test_sound_alone_has_no_chunks() -> None:
    assert chunks_of(make_source(None)) == ()
