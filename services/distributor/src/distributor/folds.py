"""What is known of ledgers, so that an append need not read them: a bounded cache of their folds.

A fold is right for the sequence that it names, whatever other replicas append meanwhile; the compare-and-set
of an append tells when that sequence is history. News of what others append keep it up to date; what is not
here is folded again from JetStream.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field

from distributor.domain.entries import LedgerId, StoredRecord
from distributor.domain.ledger import Ledger, fold
from distributor.domain.stream import Stream, StreamKind
from distributor.ports import LedgerReader

NEWS_S = 0.25
"""How long news of what was stored may take: to read it instead costs four questions to NATS."""
NEWS_COUNT = 64
"""Records that wait to be folded; a ledger that nobody asks for meanwhile is not held any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """A ledger as of one sequence; 0 before its first record."""

    sequence: int
    ledger: Ledger


@dataclass(slots=True)
class _Held:
    """A fold, and records behind it that nobody has asked for yet."""

    fold: Fold
    news: list[StoredRecord] = field(default_factory=list)

    @property
    def sequence(self) -> int:
        return self.news[-1].sequence if self.news else self.fold.sequence


class Folds:
    """The folds of the ledgers used last.

    Args:
        reader: Where records are read from.
        limit_count: Ledgers held at most.
    """

    def __init__(self, reader: LedgerReader, *, limit_count: int) -> None:
        self._reader = reader
        self._limit_count = limit_count
        self._folds: OrderedDict[LedgerId, _Held] = OrderedDict()
        self._refreshing: dict[LedgerId, asyncio.Lock] = {}
        self._heard = asyncio.Event()
        """Replaced each time that it is set."""

    def __len__(self) -> int:
        return len(self._folds)

    def known(self, ledger_id: LedgerId) -> Fold | None:
        """What is held of a ledger; it may be history."""
        if (held := self._folds.get(ledger_id)) is None:
            return None
        self._folds.move_to_end(ledger_id)
        if held.news:
            ledger = fold(held.fold.ledger, map(self._reader.decode, held.news))
            held.fold, held.news = Fold(sequence=held.sequence, ledger=ledger), []
        return held.fold

    def keep(self, ledger_id: LedgerId, known: Fold) -> None:
        """Hold a fold, unless a newer one is held."""
        held = self._folds.get(ledger_id)
        if held is None or held.sequence <= known.sequence:
            self._folds[ledger_id] = _Held(known)
        self._folds.move_to_end(ledger_id)
        if len(self._folds) > self._limit_count:
            self._folds.popitem(last=False)

    def hear(self, ledger_id: LedgerId, record: StoredRecord, *, previous_sequence: int) -> None:
        """Take a record that was stored just now, if what is held is the ledger as of its predecessor."""
        held = self._folds.get(ledger_id)
        if held is None or held.sequence != previous_sequence:
            return
        if len(held.news) == NEWS_COUNT:
            self.forget(ledger_id)
            return
        held.news.append(record)
        self._heard.set()
        self._heard = asyncio.Event()

    async def caught_up(self, ledger_id: LedgerId, sequence: int) -> Fold | None:
        """What is held of a ledger, after a moment for news that are on their way up to `sequence`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(NEWS_S):
                while (held := self.known(ledger_id)) and held.sequence < sequence:
                    await self._heard.wait()
        return self.known(ledger_id)

    def forget(self, ledger_id: LedgerId) -> None:
        """Hold nothing of a ledger that is gone."""
        self._folds.pop(ledger_id, None)

    async def refresh(self, stream: Stream) -> Fold:
        """Fold what was appended since, and answer with the present.

        Raises:
            NotFound: The ledger was purged meanwhile.
        """
        lock = self._refreshing.setdefault(stream.ledger_id, asyncio.Lock())
        try:
            async with lock:  # many who miss the same fold read it once
                return await self._refresh(stream)
        finally:
            if not lock.locked():
                self._refreshing.pop(stream.ledger_id, None)

    async def _refresh(self, stream: Stream) -> Fold:
        ledger_id = stream.ledger_id
        newest = await self._reader.last_sequence(ledger_id)
        known = self.known(ledger_id) or empty_fold(stream)
        batches = self._reader.read(ledger_id, after_sequence=known.sequence, up_to=newest)
        async for batch in batches:
            ledger = fold(known.ledger, map(self._reader.decode, batch))
            known = Fold(sequence=batch[-1].sequence, ledger=ledger)
        self.keep(ledger_id, known)
        return known


def empty_fold(stream: Stream) -> Fold:
    """What is known of a ledger before its first record."""
    description = stream.description
    ledger = Ledger(
        container=description.container,
        target_duration_s=description.target_duration_s,
        part_target_s=description.part_target_s,
        is_live=description.kind is not StreamKind.VOD,
    )
    return Fold(sequence=0, ledger=ledger)
