"""The delivery desk: orders come in bounded, workers carry them to the edges, the most urgent first.

A worker takes what waits for one edge together, as far as that may be (`may_go_together`); what becomes of an
order, and how often it is tried, is its own.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from chassis.errors import ResourceExhausted, Unavailable, WeirError
from chassis.telemetry import STREAM, log
from distributor.domain.delivery import (
    FAILURES_BEFORE_REST,
    REST_S,
    Delivery,
    EdgeKind,
    Order,
    backoff_s,
)
from distributor.ports import Carried, Carry, DeadLetters, DeliveryFigures
from distributor.waiting_line import WaitingLine


class Job:
    """An order on its way, for which somebody may wait."""

    def __init__(self, order: Order, start_s: float) -> None:
        self.order = order
        self.start_s = start_s
        self.attempts_count = 0
        self.done: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()


class Deliveries:
    """Carries orders; holds no more than so many at a time.

    Args:
        carriers: Who carries to which kind of edge.
        dead_letters: Where orders are noted that were given up.
        workers_count: How many carry at a time.
        limit_count: Orders that are held at most: waiting, being carried, and waiting to be tried again.
    """

    def __init__(
        self,
        carriers: Mapping[EdgeKind, Carry],
        dead_letters: DeadLetters,
        *,
        workers_count: int,
        limit_count: int,
    ) -> None:
        self._carriers = carriers
        self._dead_letters = dead_letters
        self._workers_count = workers_count
        self._limit_count = limit_count
        self._waiting: WaitingLine[Job] = WaitingLine()
        self._room = asyncio.Semaphore(limit_count)
        self._open_count = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._failed: dict[str, int] = {}
        self._resting: dict[str, float] = {}

    def figures(self) -> DeliveryFigures:
        """What the desk does now."""
        return DeliveryFigures(workers_count=self._workers_count, queued_count=len(self._waiting))

    async def take(self, order: Order) -> asyncio.Future[Delivery]:
        """Take an order as soon as there is room: whoever gives faster than edges take is slowed down."""
        await self._room.acquire()
        return self._taken(order)

    async def take_at_once(self, order: Order) -> asyncio.Future[Delivery]:
        """Take an order of somebody who waits.

        Raises:
            ResourceExhausted: QUEUE_FULL.
        """
        if self._room.locked():
            raise ResourceExhausted(
                f"{self._limit_count} deliveries wait already", reason="QUEUE_FULL", retry_delay_s=1.0
            )
        return await self.take(order)

    async def work(self) -> None:
        """Carry orders, for as long as the process lives; as many of these run as there are workers."""
        while True:
            await self._try(await self._waiting.take())

    async def drained(self) -> None:
        """Wait until nothing is left to carry."""
        await self._idle.wait()

    def _taken(self, order: Order) -> asyncio.Future[Delivery]:
        self._open_count += 1
        self._idle.clear()
        job = Job(order, _now_s())
        self._waiting.put(job)
        return job.done

    async def _try(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            job.attempts_count += 1
        outcomes = await self._outcomes([job.order for job in jobs])
        failed = []
        for job, outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, WeirError):
                failed.append(self._failed_once(job, outcome))
            else:
                self._finish(job, size_bytes=outcome)
        await asyncio.gather(*failed)

    async def _outcomes(self, orders: Sequence[Order]) -> Sequence[Carried]:
        edge_name = orders[0].edge.name
        if _now_s() < self._resting.get(edge_name, 0.0):
            error = Unavailable(f"{edge_name} failed {FAILURES_BEFORE_REST} times on end, and is left alone")
            return [error] * len(orders)
        outcomes = await self._carried(orders)
        if not all(isinstance(outcome, WeirError) for outcome in outcomes):
            self._failed.pop(edge_name, None)
        elif all(isinstance(outcome, Unavailable) for outcome in outcomes):
            self._note_failure(edge_name)
        return outcomes

    async def _carried(self, orders: Sequence[Order]) -> Sequence[Carried]:
        """Carry orders for one edge; what fails for all of them fails for each."""
        edge, timeout_s = orders[0].edge, orders[0].timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await self._carriers[edge.kind](orders)
        except TimeoutError:
            error: WeirError = Unavailable(f"{edge.name} did not take it within {timeout_s:g} s")
        except WeirError as failure:
            error = failure
        except Exception as failure:  # noqa: BLE001 - a worker outlives whatever one order does to it
            log.exception("delivery failed unexpectedly", edge=edge.name)
            error = Unavailable(repr(failure))
        return [error] * len(orders)

    async def _failed_once(self, job: Job, error: WeirError) -> None:
        if isinstance(error, Unavailable) and job.attempts_count <= job.order.retries_count:
            delay_s = backoff_s(job.attempts_count, random.random())  # noqa: S311 - jitter needs no secrecy
            asyncio.get_running_loop().call_later(delay_s, self._waiting.put, job)
            return
        await self._bury(job, error)
        self._finish(job, error=error.message)

    async def _bury(self, job: Job, error: WeirError) -> None:
        edge, freight = job.order.edge, job.order.freight
        log.warning(
            "delivery given up",
            edge=edge.name,
            path=freight.path,
            attempts=job.attempts_count,
            error=error.message,
            **{STREAM: freight.ledger_id.stream_id},
        )
        try:
            await self._dead_letters.put(job.order, attempts_count=job.attempts_count, error=error.message)
        except WeirError as failure:
            log.warning("dead letter not kept", error=failure.message)

    def _finish(self, job: Job, *, size_bytes: int = 0, error: str = "") -> None:
        delivery = Delivery(
            order=job.order,
            attempts_count=job.attempts_count,
            size_bytes=size_bytes,
            duration_s=_now_s() - job.start_s,
            error=error,
        )
        if not job.done.done():  # whoever waited may have gone
            job.done.set_result(delivery)
        self._room.release()
        self._open_count -= 1
        if self._open_count == 0:
            self._idle.set()

    def _note_failure(self, edge_name: str) -> None:
        failed_count = self._failed.pop(edge_name, 0) + 1
        if failed_count >= FAILURES_BEFORE_REST:
            self._resting[edge_name] = _now_s() + REST_S
        else:
            self._failed[edge_name] = failed_count


def singly(carry: Callable[[Order], Awaitable[int]]) -> Carry:
    """Make a Carry of what carries one order at a time."""

    async def carry_each(orders: Sequence[Order]) -> Sequence[Carried]:
        return [await carry(order) for order in orders]

    return carry_each


def _now_s() -> float:
    return time.monotonic()  # the loop's own clock stands still while it works
