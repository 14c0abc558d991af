"""The delivery desk: orders come in bounded, workers carry them to the edges, the most urgent first."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Mapping

from chassis.errors import ResourceExhausted, Unavailable, WeirError
from chassis.telemetry import STREAM, log
from distributor.domain.delivery import (
    FAILURES_BEFORE_REST,
    REST_S,
    Delivery,
    EdgeKind,
    Order,
    backoff_s,
    urgency,
)
from distributor.ports import Carry, DeadLetters, DeliveryFigures


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
        workers_count: Orders that are carried at a time.
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
        self._waiting: asyncio.PriorityQueue[tuple[tuple[int, int], Job]] = asyncio.PriorityQueue()
        self._room = asyncio.Semaphore(limit_count)
        self._numbers = itertools.count()
        self._open_count = 0
        self._failures_count = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._failed: dict[str, int] = {}
        self._resting: dict[str, float] = {}

    def figures(self) -> DeliveryFigures:
        """What the desk does now."""
        return DeliveryFigures(
            workers_count=self._workers_count,
            queued_count=self._waiting.qsize(),
            failures_count=self._failures_count,
        )

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
            _, job = await self._waiting.get()
            await self._try(job)

    async def drained(self) -> None:
        """Wait until nothing is left to carry."""
        await self._idle.wait()

    def _taken(self, order: Order) -> asyncio.Future[Delivery]:
        self._open_count += 1
        self._idle.clear()
        job = Job(order, _now_s())
        self._put(job)
        return job.done

    def _put(self, job: Job) -> None:
        self._waiting.put_nowait((urgency(job.order, next(self._numbers)), job))

    async def _try(self, job: Job) -> None:
        job.attempts_count += 1
        try:
            self._require_awake(job.order.edge.name)
            size_bytes = await self._carried(job.order)
        except WeirError as error:
            await self._failed_once(job, error)
        except Exception as error:  # noqa: BLE001 - a worker outlives whatever one order does to it
            log.exception("delivery failed unexpectedly", edge=job.order.edge.name)
            await self._failed_once(job, Unavailable(repr(error)))
        else:
            self._failed.pop(job.order.edge.name, None)
            self._finish(job, size_bytes=size_bytes)

    async def _carried(self, order: Order) -> int:
        carry = self._carriers[order.edge.kind]
        try:
            async with asyncio.timeout(order.timeout_s):
                return await carry(order)
        except TimeoutError:
            self._note_failure(order.edge.name)
            raise Unavailable(f"{order.edge.name} did not take it within {order.timeout_s:g} s") from None
        except Unavailable:
            self._note_failure(order.edge.name)
            raise

    async def _failed_once(self, job: Job, error: WeirError) -> None:
        if isinstance(error, Unavailable) and job.attempts_count <= job.order.retries_count:
            delay_s = backoff_s(job.attempts_count, random.random())  # noqa: S311 - jitter needs no secrecy
            asyncio.get_running_loop().call_later(delay_s, self._put, job)
            return
        self._failures_count += 1
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

    def _require_awake(self, edge_name: str) -> None:
        if _now_s() < self._resting.get(edge_name, 0.0):
            raise Unavailable(f"{edge_name} failed {FAILURES_BEFORE_REST} times on end, and is left alone")

    def _note_failure(self, edge_name: str) -> None:
        failed_count = self._failed.pop(edge_name, 0) + 1
        if failed_count >= FAILURES_BEFORE_REST:
            self._resting[edge_name] = _now_s() + REST_S
        else:
            self._failed[edge_name] = failed_count


def _now_s() -> float:
    return time.monotonic()  # the loop's own clock stands still while it works
