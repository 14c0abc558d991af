"""The ladder never exceeds the source, keeps its shape, and wastes no rung."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import InvalidArgument
from support.sources import make_video
from transcoder.domain.ladder import NAMED_RUNGS, Rung, choose_rungs, plan_ladder


def sizes(width: int, height: int) -> list[tuple[str, int, int, int]]:
    ladder = plan_ladder(make_video(width_pixels=width, height_pixels=height))
    return [(rung.name, rung.width_pixels, rung.height_pixels, rung.video_bps // 1000) for rung in ladder]


FULL = [
    ("VeryLow", 640, 360, 500),
    ("Low", 854, 480, 1000),
    ("Medium", 1280, 720, 2000),
    ("High", 1920, 1080, 4000),
]


@pytest.mark.parametrize(
    ("width", "height", "ladder"),
    [
        (1920, 1080, FULL),
        (3840, 2160, FULL),
        (1280, 720, FULL[:3]),
        (854, 480, FULL[:2]),
        (640, 360, FULL[:1]),
        (1000, 562, [*FULL[:2], ("Medium", 1000, 562, 1380)]),  # between two rungs: its own size on top
        (1366, 768, FULL[:3]),  # hardly more than 720p: not worth a rung
        (320, 240, [("VeryLow", 320, 240, 219)]),
        (
            1920,
            800,
            [
                ("VeryLow", 640, 266, 398),
                ("Low", 854, 356, 799),
                ("Medium", 1280, 534, 1598),
                ("High", 1920, 800, 3194),
            ],
        ),
        (
            1440,
            1080,
            [
                ("VeryLow", 480, 360, 403),
                ("Low", 640, 480, 805),
                ("Medium", 960, 720, 1612),
                ("High", 1440, 1080, 3224),
            ],
        ),
        (1080, 1920, [(name, height, width, kbps) for name, width, height, kbps in FULL]),
        (641, 361, FULL[:1]),
        (2, 2, [("VeryLow", 16, 16, 3)]),
    ],
)
def test_ladder_of_a_source(width: int, height: int, ladder: list[tuple[str, int, int, int]]) -> None:
    assert sizes(width, height) == ladder


@given(st.integers(16, 8000), st.integers(16, 8000))
def test_every_rung_fits(width: int, height: int) -> None:
    ladder = plan_ladder(make_video(width_pixels=width, height_pixels=height))
    assert ladder
    for rung in ladder:
        assert rung.width_pixels % 2 == rung.height_pixels % 2 == 0
        assert rung.width_pixels <= width
        assert rung.height_pixels <= height
    assert [rung.pixel_count for rung in ladder] == sorted({rung.pixel_count for rung in ladder})
    assert [rung.video_bps for rung in ladder] == sorted({rung.video_bps for rung in ladder})


@given(st.integers(200, 8000), st.integers(200, 8000))
def test_shape_is_kept_to_a_pixel(width: int, height: int) -> None:
    for rung in plan_ladder(make_video(width_pixels=width, height_pixels=height)):
        if min(rung.width_pixels, rung.height_pixels) > 16:
            scale = rung.width_pixels / width
            assert rung.height_pixels == pytest.approx(height * scale, abs=2 * max(1, height / width))


def test_peak_and_buffer_follow_the_mean() -> None:
    assert (NAMED_RUNGS[3].peak_bps, NAMED_RUNGS[3].buffer_bits) == (6_000_000, 8_000_000)


def test_rungs_are_chosen_by_name_in_ascending_order() -> None:
    assert choose_rungs(["High", "Low", "High"]) == (NAMED_RUNGS[1], NAMED_RUNGS[3])
    assert choose_rungs([]) == NAMED_RUNGS


def test_unknown_profile_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        InvalidArgument, match=r"profiles: 'Ultra' is unknown; .* VeryLow, Low, Medium, High"
    ) as error:
        choose_rungs(["Ultra"])
    assert (error.value.reason, error.value.metadata) == ("UNKNOWN_PROFILE", {"field": "profiles"})


def test_empty_ladder_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="at least 1"):
        plan_ladder(make_video(), ())


def test_ladders_other_than_the_named_one_are_fitted_alike() -> None:
    own = (Rung(name="4K", width_pixels=3840, height_pixels=2160, video_bps=12_000_000),)
    assert [rung.width_pixels for rung in plan_ladder(make_video(), own)] == [1920]
