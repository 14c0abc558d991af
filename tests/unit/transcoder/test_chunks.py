"""Chunks cover the recording once, and each knows where its decoding starts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.sources import make_audio, make_source, make_video
from transcoder.domain.chunks import Chunk, plan_chunks, runs
from transcoder.domain.source import Source
from transcoder.domain.timing import plan_grid


def chunks_of(source: Source) -> tuple[Chunk, ...]:
    return plan_chunks(plan_grid(source), source)


def test_first_chunks_are_short() -> None:
    chunks = chunks_of(make_source(make_video(duration_s=56.0)))
    assert [chunk.segment_count for chunk in chunks] == [1, 2, 4, 4, 4]
    assert [chunk.frame_count for chunk in chunks] == [60, 180, 480, 480, 480]
    assert [chunk.is_last for chunk in chunks] == [False] * 4 + [True]


@given(st.floats(0.1, 500))
def test_chunks_cover_every_segment_and_frame_once(duration_s: float) -> None:
    source = make_source(make_video(duration_s=duration_s), None)
    grid = plan_grid(source)
    segment = frame = 0
    for index, chunk in enumerate(plan_chunks(grid, source)):
        assert (chunk.index, chunk.first_segment, chunk.first_frame) == (index, segment, frame)
        segment, frame = segment + chunk.segment_count, frame + chunk.frame_count
    assert (segment, frame) == (grid.segment_count, grid.frame_count)


@given(st.floats(1, 500), st.lists(st.floats(0.1, 500), max_size=8))
def test_chunks_end_only_where_runs_do(duration_s: float, keyframes: list[float]) -> None:
    source = make_source(make_video(duration_s=duration_s, keyframe_times_s=(0.0, *sorted(keyframes))), None)
    grid = plan_grid(source)
    begins = {first for first, _ in runs(grid.segment_count)}
    assert {chunk.first_segment for chunk in plan_chunks(grid, source)} <= begins


def test_decoding_starts_at_the_keyframe_before() -> None:
    source = make_source(make_video(keyframe_times_s=(0.0, 1.5, 2.0, 7.9, 8.1)))
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
    assert [chunk.seek_s for chunk in chunks_of(make_source(demuxer="mpegts"))] == [None, 1.0, 7.0, 23.0]


def test_chunk_behind_the_picture_starts_at_its_last_keyframe() -> None:
    source = make_source(make_video(duration_s=8.0, keyframe_times_s=(0.0, 2.0, 4.0, 6.0)), make_audio())
    assert [chunk.seek_s for chunk in chunks_of(source)] == [None, 2.0, 6.0, 6.0]


@pytest.mark.parametrize(
    "source", [make_source(demuxer="ogg"), make_source(make_video(has_presentation_times=False))]
)
def test_source_that_cannot_be_sought_is_one_chunk(source: Source) -> None:
    (chunk,) = chunks_of(source)
    assert (chunk.frame_count, chunk.seek_s, chunk.is_last) == (900, None, True)


def test_sound_alone_has_no_chunks() -> None:
    assert chunks_of(make_source(None)) == ()
