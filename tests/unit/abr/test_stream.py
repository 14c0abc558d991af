"""What a ladder offers to a viewport, and what players of a stream aim at holding."""

from __future__ import annotations

from dataclasses import replace

import pytest

from abr.domain.stream import Viewport
from support.adaptation import rung, stream

SIZES = ((426, 240), (854, 480), (1280, 720), (1280, 720), (1920, 1080))
LADDER = tuple(
    replace(rung(f"r{place}", 1_000_000 * (place + 1)), width_pixels=width, height_pixels=height)
    for place, (width, height) in enumerate(SIZES)
)


@pytest.mark.parametrize(
    ("viewport", "place"),
    [
        ((1, 1), 0),
        ((426, 240), 0),
        ((427, 241), 1),
        ((3_000, 240), 0),  # a low strip: pictures are no higher than it
        ((400, 3_000), 0),  # a narrow one
        ((854, 480), 1),
        ((855, 481), 3),  # of two renditions of a size, either may be chosen
        ((1_281, 721), 4),
        ((32_768, 32_768), 4),
    ],
)
def test_the_smallest_size_that_fills_a_viewport_is_the_highest(
    viewport: tuple[int, int], place: int
) -> None:
    assert stream(ladder=LADDER).covering(Viewport(*viewport)) == place


def test_what_has_no_pictures_is_not_limited_by_their_size() -> None:
    ladder = tuple(replace(one, width_pixels=0, height_pixels=0) for one in LADDER)
    assert stream(ladder=ladder).covering(Viewport(640, 360)) == 4
