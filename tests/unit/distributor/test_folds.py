"""Folds that are held: news bring them up to date, in their order and none twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from weir.timeline.v1 import timeline_pb2 as pb

from distributor.codec import read_record
from distributor.domain.entries import Container, LedgerId, Record, StoredRecord
from distributor.domain.ledger import Ledger
from distributor.folds import NEWS_COUNT, Fold, Folds

LEDGER = LedgerId(stream_id="film", incarnation="1")
OTHER = LedgerId(stream_id="other", incarnation="1")
EMPTY = Ledger(container=Container.TS, target_duration_s=6, part_target_s=1.0)


class Unread:
    """A reader that nobody needs to ask."""

    async def last_sequence(self, ledger_id: LedgerId) -> int:
        raise AssertionError(f"{ledger_id} was asked for")

    async def read(
        self, ledger_id: LedgerId, *, after_sequence: int, up_to: int, count: int = 0
    ) -> AsyncIterator[Sequence[StoredRecord]]:
        raise AssertionError(f"{ledger_id} was read behind {after_sequence} to {up_to} by {count}")
        yield ()

    def decode(self, record: StoredRecord) -> Record:
        return read_record(record)

    async def holds(self, ledger_id: LedgerId, sequence: int) -> bool:
        raise AssertionError(f"{ledger_id} was asked for {sequence}")

    async def list_ledgers(self) -> Sequence[LedgerId]:
        raise AssertionError("ledgers were listed")


@pytest.fixture
def folds() -> Folds:
    folds = Folds(Unread(), limit_count=10)
    folds.keep(LEDGER, Fold(sequence=7, ledger=EMPTY))
    return folds


def opened(sequence: int, epoch: int) -> StoredRecord:
    """The record by which an owner begins."""
    record = pb.Record(epoch=epoch, entries=[pb.Entry(opened=pb.Opened(owner="test"))])
    return StoredRecord(sequence=sequence, wire=record.SerializeToString())


def epoch_of(folds: Folds, ledger_id: LedgerId = LEDGER) -> tuple[int, int] | None:
    held = folds.known(ledger_id)
    return (held.sequence, held.ledger.epoch) if held else None


def test_news_in_their_order_are_folded(folds: Folds) -> None:
    folds.hear(LEDGER, opened(9, 1), previous_sequence=7)
    folds.hear(LEDGER, opened(12, 2), previous_sequence=9)
    assert epoch_of(folds) == (12, 2)


@pytest.mark.parametrize(("sequence", "previous"), [(12, 9), (7, 5), (5, 0)])
def test_news_behind_a_gap_or_heard_before_change_nothing(folds: Folds, sequence: int, previous: int) -> None:
    folds.hear(LEDGER, opened(sequence, 5), previous_sequence=previous)
    assert epoch_of(folds) == (7, 0)


def test_news_of_what_is_not_held_are_passed_over(folds: Folds) -> None:
    folds.hear(OTHER, opened(1, 1), previous_sequence=0)
    assert epoch_of(folds, OTHER) is None


def test_own_appends_are_folded_once(folds: Folds, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their news come before the answer does."""
    folds.hear(LEDGER, opened(9, 1), previous_sequence=7)
    folds.keep(LEDGER, Fold(sequence=9, ledger=replace(EMPTY, epoch=1)))
    monkeypatch.setattr(Unread, "decode", None)
    folds.hear(LEDGER, opened(12, 2), previous_sequence=9)
    folds.keep(LEDGER, Fold(sequence=12, ledger=replace(EMPTY, epoch=2)))
    assert epoch_of(folds) == (12, 2)


def test_what_nobody_asks_for_is_held_no_longer(folds: Folds) -> None:
    for sequence in range(8, 8 + NEWS_COUNT):
        folds.hear(LEDGER, opened(sequence, sequence), previous_sequence=sequence - 1)
    assert len(folds) == 1
    folds.hear(LEDGER, opened(8 + NEWS_COUNT, 1), previous_sequence=7 + NEWS_COUNT)
    assert len(folds) == 0


async def test_news_that_are_on_their_way_are_waited_for(folds: Folds) -> None:
    waiting = [asyncio.create_task(folds.caught_up(LEDGER, sequence)) for sequence in (9, 12)]
    await asyncio.sleep(0)
    folds.hear(LEDGER, opened(9, 1), previous_sequence=7)
    folds.hear(LEDGER, opened(12, 2), previous_sequence=9)
    assert [held and held.sequence for held in await asyncio.gather(*waiting)] == [12, 12]


async def test_news_that_do_not_come_are_not_waited_for_long(folds: Folds) -> None:
    async with asyncio.timeout(20):
        held = await folds.caught_up(LEDGER, 9)
    assert held
    assert held.sequence == 7
    assert await folds.caught_up(OTHER, 9) is None
