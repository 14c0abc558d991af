"""The storyboard of a source: its pictures' size and distance, and the sprites of a chunk."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.jobs import a_plan
from support.samples import make_jpeg, splits
from transcoder.domain.jpeg import stack_pictures
from transcoder.domain.ladder import Rung
from transcoder.domain.packager import PackagingError
from transcoder.domain.thumbnail_packager import ThumbnailPackager
from transcoder.domain.thumbnails import BLOCK_PIXELS, TILE_PIXELS, choose_step, plan_thumbnails

PLAN = a_plan(seconds=9.0)  # segments of 2, 2, 4 and 1 s, a picture every two


def rung(width: int, height: int) -> Rung:
    return Rung(name="Low", width_pixels=width, height_pixels=height, video_bps=1_000_000)


def packager(chunk: int = 1) -> ThumbnailPackager:
    assert PLAN.thumbnails is not None
    return ThumbnailPackager(PLAN, PLAN.thumbnails, PLAN.chunks[chunk])


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [(640, 360, (200, 112)), (360, 640, (108, 192)), (640, 480, (170, 128)), (160, 90, (170, 96))],
)
def test_pictures_keep_the_shape_and_have_few_pixels(width: int, height: int, size: tuple[int, int]) -> None:
    planned = plan_thumbnails(rung(width, height), 60)
    assert (planned.width_pixels, planned.height_pixels) == size


@given(st.integers(16, 4096), st.integers(16, 4096))
def test_pictures_can_be_stacked_whatever_their_shape(width: int, height: int) -> None:
    planned = plan_thumbnails(rung(width, height), 60)
    assert planned.height_pixels % BLOCK_PIXELS == planned.width_pixels % 2 == 0
    assert planned.width_pixels * planned.height_pixels < 4 * TILE_PIXELS or width > 100 * height


@pytest.mark.parametrize(
    ("segment_frames", "rate", "step"),
    [(180, 30, 60), (60, 30, 60), (120, 30, 60), (150, 30, 50), (125, 25, 25), (7, 7, 7), (1, 30, 1)],
)
def test_each_segment_begins_with_a_picture(segment_frames: int, rate: int, step: int) -> None:
    assert choose_step(segment_frames, Fraction(rate)) == step
    assert segment_frames % step == 0


@given(st.data())
def test_sprites_hold_the_pictures_of_their_segments_however_they_arrive(data: st.DataObject) -> None:
    pictures = [make_jpeg(number) for number in range(3)]
    packing = packager()
    made = [one for piece in data.draw(splits(b"".join(pictures))) for one in packing.feed(piece)]
    packing.finish()
    assert [(one.msn, one.start_s, one.duration_s) for one in made] == [(1, 2, 2), (2, 4, 4)]
    assert [one.data for one in made] == [pictures[0], stack_pictures(pictures[1:])]
    assert made[0].rendition.tile_s == 2


@pytest.mark.parametrize("count", [0, 2, 4])
def test_pictures_that_are_too_few_or_too_many_are_noticed_at_the_end(count: int) -> None:
    packing = packager()
    packing.feed(b"".join(map(make_jpeg, range(count))))
    with pytest.raises(PackagingError, match="thumbnails: "):
        packing.finish()


def test_sound_alone_has_no_thumbnails() -> None:
    assert a_plan(video=False).thumbnails is None
