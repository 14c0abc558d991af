"""A ring is a list of the newest twelve, whatever happens to it."""

from __future__ import annotations

from itertools import count, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abr.domain.history import KEPT_COUNT, History, Row

PLACES = (2, 0, 1)
"""Of each rung of a ladder, its place in the next one."""
STEPS = st.one_of(st.integers(1, 3 * KEPT_COUNT), st.sampled_from(("move", "restore")))
"""So many downloads, another ladder, or another process."""
ROW_BYTES = 41


def row(number: int) -> Row:
    return (1.8e9 + number, 1e5 + number, 0.25, 2.0, 0.125, 0.5, number % len(PLACES))


@given(st.lists(STEPS))
def test_it_holds_the_newest(steps: list[int | str]) -> None:
    history, expected, numbers = History(), list[Row](), count()
    for step in steps:
        if isinstance(step, int):
            rows = [row(number) for number in islice(numbers, step)]
            for newest in rows:
                history.append(*newest)
            expected = [*expected, *rows][-KEPT_COUNT:]
        elif step == "move":
            history.move(PLACES)
            expected = [(*values, PLACES[place]) for *values, place in expected]  # type: ignore[misc]
        else:
            kept, history = history.packed, History()
            history.restore(kept)
        assert list(history.rows()) == expected
        assert len(history) == len(expected)


def test_what_was_kept_does_not_change_with_what_comes() -> None:
    history = History()
    for number in range(KEPT_COUNT + 1):
        history.append(*row(number))
    kept = history.packed
    history.append(*row(KEPT_COUNT + 1))
    assert history.packed == kept[ROW_BYTES:] + history.packed[-ROW_BYTES:]


@pytest.mark.parametrize("kept", [b"x", bytes(ROW_BYTES + 1), bytes((KEPT_COUNT + 1) * ROW_BYTES)])
def test_what_are_no_rows_is_refused(kept: bytes) -> None:
    history = History()
    history.append(*row(1))
    with pytest.raises(ValueError, match=f"{len(kept)} bytes are no history"):
        history.restore(kept)
    assert list(history.rows()) == [row(1)]
