"""The end of a ledger tells who goes on with it the same as the whole ledger does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from distributor.domain.entries import Container, Ended, Entry, MediaKind, Part, Record, Rendition, Segment
from distributor.domain.ledger import Ledger, fold
from distributor.domain.tail import entries_before, tail_start

EMPTY = Ledger(container=Container.TS, target_duration_s=2, part_target_s=0.5)


def rendition(rendition_id: str) -> Rendition:
    return Rendition(rendition_id=rendition_id, media_kind=MediaKind.VIDEO)


def segment(rendition_id: str, msn: int) -> Segment:
    return Segment(
        rendition_id=rendition_id, msn=msn, start_s=2.0 * msn, duration_s=2.0, discontinuity_sequence=1
    )


def part(rendition_id: str, msn: int) -> Part:
    return Part(rendition_id=rendition_id, msn=msn, part=0, start_s=2.0 * msn, duration_s=0.5)


def records(*entries: Entry) -> tuple[Record, ...]:
    return tuple(
        Record(sequence=number, epoch=1, entries=(entry,)) for number, entry in enumerate(entries, start=1)
    )


ALL = records(
    rendition("Low"),
    rendition("Top"),
    *(segment(name, msn) for msn in range(4) for name in ("Low", "Top")),
    Ended(rendition_id="Top"),
    *(segment("Low", msn) for msn in range(4, 50)),
    rendition("late"),
    segment("late", 50),
    segment("Low", 50),
    part("Low", 51),
)


@pytest.mark.parametrize("count", [1, 3, 20])
def test_the_end_tells_where_each_rendition_is(count: int) -> None:
    whole = fold(EMPTY, ALL)
    start = tail_start(whole, ALL, count)
    assert start is not None
    newest = ALL[start:]
    assert sum(isinstance(record.entries[0], Segment) for record in newest) <= count + 1
    before = Record(sequence=0, epoch=1, entries=entries_before(whole, newest))
    again = fold(EMPTY, (before, *newest))
    assert again.timelines.keys() == whole.timelines.keys()
    for rendition_id, known in whole.timelines.items():
        told = again.timelines[rendition_id]  # but for what was measured of what is not told
        assert replace(told, media_s=0, played_s=0) == replace(known, media_s=0, played_s=0)


def test_what_does_not_reach_back_far_enough_is_told() -> None:
    whole = fold(EMPTY, ALL)
    assert tail_start(whole, ALL[-4:], 1) == 1
    assert tail_start(whole, ALL[-4:], 2) is None
    assert tail_start(whole, ALL[-2:], 1) is None
