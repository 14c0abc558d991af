"""The orders that wait for a worker: the most urgent goes first, and with it what may go to the same edge."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import Generic, Protocol, TypeVar

from distributor.domain.delivery import Order, may_go_together, urgency


class Placed(Protocol):
    """What waits."""

    @property
    def order(self) -> Order:
        """By which it is ranked."""


Job = TypeVar("Job", bound=Placed)
Rank = tuple[int, int]


class WaitingLine(Generic[Job]):
    """Jobs by edge and urgency; whoever gives them in sees to it that they are not too many."""

    def __init__(self) -> None:
        self._by_edge: dict[str, list[tuple[Rank, Job]]] = {}
        self._numbers = itertools.count()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return sum(map(len, self._by_edge.values()))

    def put(self, job: Job) -> None:
        """Let a job wait."""
        rank = urgency(job.order, next(self._numbers))  # no two are alike, so that jobs are never compared
        heapq.heappush(self._by_edge.setdefault(job.order.edge.name, []), (rank, job))
        self._filled.set()

    async def take(self) -> list[Job]:
        """Wait for the most urgent job; what may go with it to the same edge comes along."""
        while not self._by_edge:
            self._filled.clear()
            await self._filled.wait()
        edge_name = min(self._by_edge, key=lambda name: self._by_edge[name][0][0])
        line = self._by_edge[edge_name]
        jobs = _first_of(line)
        if not line:
            del self._by_edge[edge_name]
        return jobs


def _first_of(line: list[tuple[Rank, Job]]) -> list[Job]:
    jobs = [heapq.heappop(line)[1]]
    while line and may_go_together([job.order for job in jobs], line[0][1].order):
        jobs.append(heapq.heappop(line)[1])
    return jobs
