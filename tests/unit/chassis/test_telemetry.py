"""What is logged now and then."""

from __future__ import annotations

from chassis.telemetry import Seldom


def test_what_happens_often_is_told_once() -> None:
    assert [Seldom(60.0).count() for _ in range(2)] == [1, 1]
    failures = Seldom(60.0)
    assert [failures.count() for _ in range(4)] == [1, 0, 0, 0]


def test_what_was_not_told_is_counted_the_next_time() -> None:
    failures = Seldom(0.05)
    counts = [failures.count()]
    while counts[-1] or len(counts) < 2:
        counts.append(failures.count())
    while not (told := failures.count()):
        counts.append(0)
    assert told == len(counts)
