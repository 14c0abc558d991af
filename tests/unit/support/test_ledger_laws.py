"""The judge of histories is judged: each law that a ledger can break is seen."""

from __future__ import annotations

import hashlib

import pytest
from weir.timeline.v1 import timeline_pb2 as pb

from support.ledger_watch import LedgerLaws, Place

LOW = "Low"


def _segment(msn: int, *, key: str = "", gap: bool = False) -> pb.Entry:
    return pb.Entry(
        segment=pb.Segment(rendition_id=LOW, msn=msn, object_key=key or f"key-{msn}", size_bytes=4, gap=gap)
    )


def _part(msn: int, part: int) -> pb.Entry:
    return pb.Entry(part=pb.Part(rendition_id=LOW, msn=msn, part=part))


def _record(*entries: pb.Entry, epoch: int = 1) -> pb.Record:
    return pb.Record(epoch=epoch, entries=entries)


def _laws(*records: tuple[int, pb.Record]) -> LedgerLaws:
    laws = LedgerLaws("here")
    for sequence, record in records:
        laws.take(sequence, record)
    return laws


def test_a_lawful_history_has_no_fault() -> None:
    laws = _laws(
        (3, _record(_part(0, 0), _part(0, 1))),
        (5, _record(_segment(0), _part(1, 0), epoch=2)),
        (9, _record(_segment(1), _segment(2, gap=True), pb.Entry(ended=pb.Ended()), epoch=2)),
    )
    assert laws.faults == []
    assert laws.has_ended
    assert [place.msn for place in laws.segments] == [0, 1, 2]


def test_what_was_merged_for_somebody_who_came_late_belongs_to_those_who_appended_it() -> None:
    opened = pb.Entry(opened=pb.Opened(owner="next"))
    laws = _laws(
        (3, _record(_part(0, 0))),
        (9, _record(_part(0, 1), opened, _segment(0), opened, _segment(1), epoch=3)),
    )
    assert laws.faults == []
    assert [told.epoch for told in laws.segments.values()] == [2, 3]


def test_gaps_are_not_to_be_read() -> None:
    laws = LedgerLaws("here")
    assert laws.take(1, _record(_segment(0), _segment(1, gap=True))) == [Place(LOW, 0)]


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([(5, _record(_segment(0))), (5, _record(_segment(1)))], "sequence 5 came behind 5"),
        ([(1, _record(_segment(0), epoch=2)), (2, _record(_segment(1)))], "epoch 1 appended 2"),
        (
            [(1, _record(_segment(0))), (2, _record(_segment(0), epoch=2))],
            "announced under epoch 1, and under 2",
        ),
        ([(1, _record(_segment(0))), (2, _record(_segment(2)))], "announced where 1 comes next"),
        (
            [(1, _record(_part(0, 0))), (2, _record(_part(0, 1), _segment(0), epoch=2))],
            "parts of the epochs [1, 2]",
        ),
        ([(1, _record(pb.Entry(ended=pb.Ended()))), (2, _record(_segment(0)))], "behind the end"),
    ],
)
def test_what_breaks_a_law_is_named(records: list[tuple[int, pb.Record]], words: str) -> None:
    assert any(words in fault for fault in _laws(*records).faults)


def test_an_object_that_is_not_there_or_of_another_size_is_a_fault() -> None:
    laws = _laws((1, _record(_segment(0), _segment(1))))
    laws.miss(Place(LOW, 0))
    laws.hash(Place(LOW, 1), b"five5")
    assert ["not there" in laws.faults[0], "5 bytes" in laws.faults[1]] == [True, True]


def test_two_watchers_must_have_heard_the_same() -> None:
    here, there = _laws((1, _record(_segment(0)))), _laws((1, _record(_segment(0, key="other"))))
    here.compare(there)
    assert len(here.faults) == 1
    here.faults.clear()
    here.compare(_laws())
    assert len(here.faults) == 1


def test_what_an_object_held_when_it_was_announced_is_kept() -> None:
    laws = _laws((1, _record(_segment(0))))
    laws.hash(Place(LOW, 0), b"four")
    assert laws.segments[Place(LOW, 0)].sha256 == hashlib.sha256(b"four").hexdigest()
    assert laws.faults == []
