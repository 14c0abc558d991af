"""Use-case of telling the world: append what is contiguous of a job's output to its stream's ledger.

Any process may do this at any time. The ledger's compare-and-set decides who appends; the other one reads
what was appended and goes on from there. What this process remembers of a ledger only saves reading.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from weakref import WeakValueDictionary

from chassis.errors import Conflict
from transcoder.domain.announce import (
    Announced,
    Piece,
    announced_tracks,
    fold_entries,
    next_segment,
    plan_entries,
)
from transcoder.domain.job import Job
from transcoder.ports import OutputStore, Timeline

RUNS_PER_RECORD = 16  # of up to 4 segments in up to 11 renditions: below the 1,000 entries of a Record
_REMEMBERED_JOBS = 256


class Announcer:
    """Announces the output of jobs."""

    def __init__(self, *, outputs: OutputStore, timeline: Timeline) -> None:
        self._outputs = outputs
        self._timeline = timeline
        self._remembered: OrderedDict[str, Announced] = OrderedDict()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def announce(self, job: Job) -> bool:
        """Append all that is contiguous; tells whether the stream is complete and has ended.

        Raises:
            FailedPrecondition, NotFound: The stream is no longer this job's to append to.
            Unavailable: The distributor does not answer.
        """
        turn = self._turns.setdefault(job.job_id, asyncio.Lock())  # within a process nobody need race
        async with turn:
            return await self._announce(job)

    async def _announce(self, job: Job) -> bool:
        announced = await self._known(job)
        while not announced.has_ended:
            rows = await self._ready_rows(job, next_segment(job, announced))
            entries = plan_entries(job, announced, rows)
            if not entries:
                return False
            try:
                sequence = await self._timeline.append(job, announced.sequence, entries)
                announced = fold_entries(announced, sequence, entries)
            except Conflict:
                announced = await self._timeline.catch_up(job, announced)
            self._remember(job, announced)
        return True

    async def _known(self, job: Job) -> Announced:
        if known := self._remembered.get(_ledger(job)):
            return known
        return await self._timeline.catch_up(job, Announced(sequence=0))

    def _remember(self, job: Job, announced: Announced) -> None:
        self._remembered[_ledger(job)] = announced
        self._remembered.move_to_end(_ledger(job))
        if len(self._remembered) > _REMEMBERED_JOBS:
            self._remembered.popitem(last=False)

    async def _ready_rows(self, job: Job, first_segment: int) -> Sequence[Sequence[Piece]]:
        """Read run by run, from a segment on, what all tracks have."""
        rows: list[list[Piece]] = []
        while len(rows) < RUNS_PER_RECORD and (row := await self._row(job, first_segment)):
            rows.append(row)
            first_segment += row[0].segment_count
        return rows

    async def _row(self, job: Job, first_segment: int) -> list[Piece]:
        """Read the pieces of one run; none if one is missing."""
        row: list[Piece] = []
        for track in announced_tracks(job):
            piece = await self._outputs.get_piece(job.job_id, track, first_segment)
            if piece is None:
                return []
            row.append(piece)
        return row


def _ledger(job: Job) -> str:
    return f"{job.recording_id} {job.incarnation}"
