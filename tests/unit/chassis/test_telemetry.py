"""What is logged now and then."""

from __future__ import annotations

from structlog.testing import capture_logs

from chassis.telemetry import Seldom


def told_times(*times: float) -> list[int]:
    """How often something is said to have happened, by line, when it happens at these times; seconds."""
    now = iter(times)
    failures = Seldom(10.0, clock=lambda: next(now))
    with capture_logs() as lines:
        for _ in times:
            failures.warn("failed")
    return [line["times"] for line in lines]


def test_what_happens_often_is_told_once() -> None:
    assert told_times(0, 1, 2, 9.9) == [1]


def test_what_was_not_told_is_counted_the_next_time() -> None:
    assert told_times(0, 1, 2, 10) == [1, 3]


def test_what_is_long_over_is_not_told_with_what_is_new() -> None:
    assert told_times(0, 1, 2, 100) == [1, 1]
