"""The slots in which this process works: each takes one task at a time from its lanes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chassis.lifecycle import end_tasks
from chassis.telemetry import TASK, Seldom, log, trace_context, tracer
from transcoder.ports import Delivery, JobQueue, Lane
from transcoder.service_beat import CLEAN_UP_S

Handler = Callable[[Delivery], Awaitable[None]]

# How long a slot waits in its first lane before it looks into the others, and how long a stop waits for idle
# slots.
IDLE_WAIT_S = 0.5
_FAILED_RETRY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """Some slots that do the same."""

    count: int
    lanes: tuple[Lane, ...]
    """In order of preference."""
    handle: Handler


class Pool:
    """Runs slots."""

    def __init__(self, queue: JobQueue, slots: Sequence[Slots]) -> None:
        self._queue = queue
        self._slots = slots
        self._stopping = False
        self._failures = Seldom()
        self._busy: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work for as long as the block lasts; then give back what is not done."""
        loops = [asyncio.create_task(self._fill(slots)) for slots in self._slots if slots.count]
        try:
            yield
        finally:
            self._stopping = True
            await end_tasks(*self._busy, patience_s=CLEAN_UP_S)
            await asyncio.gather(*loops)

    async def _fill(self, slots: Slots) -> None:
        """Give each slot that is free the next task; one asks for all of them."""
        free = asyncio.Semaphore(slots.count)
        while True:
            await free.acquire()
            delivery = None if self._stopping else await self._take(slots.lanes)
            if self._stopping:
                if delivery:
                    await delivery.retry()
                return
            if delivery:
                self._begin(slots.handle, delivery).add_done_callback(lambda _work: free.release())
            else:
                free.release()

    async def _take(self, lanes: Sequence[Lane]) -> Delivery | None:
        try:
            for lane in lanes if len(lanes) > 1 else ():
                if delivery := await self._queue.take(lane, wait_s=0):
                    return delivery
            return await self._queue.take(lanes[0], wait_s=IDLE_WAIT_S)
        except Exception as error:  # noqa: BLE001 - NATS may be away for long, and will be back
            self._failures.warn("no tasks can be taken", error=repr(error))
            await asyncio.sleep(IDLE_WAIT_S)
            return None

    def _begin(self, handle: Handler, delivery: Delivery) -> asyncio.Task[None]:
        """Handle one delivery in a task of its own, which a stop can cancel without losing the delivery."""
        work = asyncio.create_task(self._answer(handle, delivery))
        self._busy.add(work)
        work.add_done_callback(self._busy.discard)
        return work

    async def _answer(self, handle: Handler, delivery: Delivery) -> None:
        try:
            with tracer.start_as_current_span("task", context=trace_context(delivery.headers)) as span:
                span.set_attribute(TASK, delivery.task.name)
                await handle(delivery)
        except asyncio.CancelledError:
            await delivery.retry()
            raise
        except Exception:  # noqa: BLE001 - a worker loop goes on whatever one task brings
            log.exception("task failed unexpectedly", **{TASK: delivery.task.name})
            await delivery.retry(_FAILED_RETRY_S)
