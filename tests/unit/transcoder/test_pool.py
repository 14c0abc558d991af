"""Slots take tasks from their lanes: never more than there are slots, and none is lost by a stop."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from transcoder.ports import Delivery, Lane, QueueCounts, Task
from transcoder.service_pool import Pool, Slots


@dataclass
class Given:
    """See `ports.Delivery`."""

    task: Task
    answers: list[str]
    age_s: float = 0.0
    deliveries_count: int = 1
    headers: dict[str, str] = field(default_factory=dict)

    async def extend(self) -> None:
        raise AssertionError("nobody asked for it")

    async def ack(self) -> None:
        self.answers.append(f"ack {self.task.name}")

    async def retry(self, delay_s: float = 0.0) -> None:
        del delay_s
        self.answers.append(f"retry {self.task.name}")


class Lanes:
    """See `ports.JobQueue`, as far as a pool asks it."""

    def __init__(self) -> None:
        self.answers: list[str] = []
        self.asking = Counter[Lane]()
        self.most_asking = Counter[Lane]()
        self._tasks = {lane: deque[Task]() for lane in Lane}

    def add(self, lane: Lane, *names: str) -> None:
        self._tasks[lane] += [Task(lane=lane, recording_id="film", job_id="j", name=name) for name in names]

    async def take(self, lane: Lane, *, wait_s: float) -> Given | None:
        self.asking[lane] += 1
        self.most_asking |= self.asking
        await asyncio.sleep(min(wait_s, 0.001))
        self.asking[lane] -= 1
        return Given(self._tasks[lane].popleft(), self.answers) if self._tasks[lane] else None

    async def publish(self, task: Task, *, again: bool = False) -> None:
        raise NotImplementedError

    async def purge(self, recording_id: str, job_id: str, *, keep: Lane | None = None) -> None:
        raise NotImplementedError

    async def count(self) -> QueueCounts:
        raise NotImplementedError


class Hands:
    """A handler whose tasks end when they are told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}

    async def handle(self, delivery: Delivery) -> None:
        self.begun.append(delivery.task.name)
        end = self._ends[delivery.task.name] = asyncio.Event()
        await end.wait()
        await delivery.ack()

    def end(self, name: str) -> None:
        self._ends[name].set()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the pool tells nobody
            await asyncio.sleep(0.001)


async def test_as_many_tasks_at_a_time_as_there_are_slots_and_one_asks_for_all() -> None:
    queue, hands = Lanes(), Hands()
    queue.add(Lane.DRIVE, "a", "b", "c")
    async with Pool(queue, [Slots(count=2, lanes=(Lane.DRIVE,), handle=hands.handle)]).running():
        await until(lambda: len(hands.begun) == 2)
        await asyncio.sleep(0.01)  # whoever would take too many had the time to
        assert hands.begun == ["a", "b"]
        assert not queue.asking[Lane.DRIVE]
        hands.end("b")
        await until(lambda: len(hands.begun) == 3)
        hands.end("c")
        await until(lambda: queue.answers == ["ack b", "ack c"])
    assert queue.answers == ["ack b", "ack c", "retry a"]
    assert queue.most_asking[Lane.DRIVE] == 1


async def test_the_first_lane_goes_first() -> None:
    queue, hands = Lanes(), Hands()
    queue.add(Lane.REST, "rest")
    queue.add(Lane.FIRST, "first")
    async with Pool(queue, [Slots(count=1, lanes=(Lane.FIRST, Lane.REST), handle=hands.handle)]).running():
        await until(lambda: hands.begun == ["first"])
        hands.end("first")
        await until(lambda: hands.begun == ["first", "rest"])
        hands.end("rest")
        await until(lambda: len(queue.answers) == 2)


async def test_a_handler_that_fails_unforeseen_gives_its_task_back_and_the_slot_goes_on() -> None:
    queue, begun = Lanes(), list[str]()
    queue.add(Lane.FETCH, "a", "b")

    async def fail(delivery: Delivery) -> None:
        begun.append(delivery.task.name)
        raise ZeroDivisionError

    async with Pool(queue, [Slots(count=1, lanes=(Lane.FETCH,), handle=fail)]).running():
        await until(lambda: begun == ["a", "b"])
    assert queue.answers == ["retry a", "retry b"]
