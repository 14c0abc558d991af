"""The top rung is dropped when the encoder is what cannot keep up, and only then."""

from __future__ import annotations

import pytest

from transcoder.domain.live_speed import LiveProgress, SpeedMark, measure_speed, should_drop_top_rung


def news(speed: float, waiting: float, count: int = 1, span_s: float = 0.5) -> list[LiveProgress]:
    one = LiveProgress(span_s=span_s, media_s=9.0, speed_ratio=speed, waiting_ratio=waiting)
    return [one] * count


def test_speed_is_measured_between_two_marks() -> None:
    before = SpeedMark(wall_s=10.0, media_s=4.0, waited_s=1.0)
    now = SpeedMark(wall_s=12.0, media_s=5.0, waited_s=1.5)
    assert measure_speed(before, now) == LiveProgress(
        span_s=2.0, media_s=5.0, speed_ratio=0.5, waiting_ratio=0.25
    )


@pytest.mark.parametrize(
    ("progress", "is_dropped"),
    [
        (news(0.8, 0.9, 12), True),
        (news(0.8, 0.9, 11), False),  # too short a time to tell
        (news(0.8, 0.0, 12), False),  # the publisher is slow
        (news(1.2, 1.0, 12), False),  # it is catching up
        (news(0.5, 1.0, 8) + news(1.3, 0.5, 12), False),  # it was slow, but that is over
        (news(1.3, 0.0, 30) + news(0.8, 0.9, 12), True),
        (news(1.0, 0.0, 11) + news(0.5, 1.0, 1), False),  # a moment
        ([], False),
    ],
)
def test_encoder_that_falls_behind_loses_its_top_rung(progress: list[LiveProgress], is_dropped: bool) -> None:
    assert should_drop_top_rung(progress, 4) == is_dropped


def test_last_rung_is_never_dropped() -> None:
    assert not should_drop_top_rung(news(0.2, 1.0, 100), 1)
