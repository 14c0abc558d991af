"""Ending what runs beside the calls of a service."""

from __future__ import annotations

import asyncio

from chassis.lifecycle import end_tasks


async def test_tasks_that_lose_a_cancellation_are_cancelled_again() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(60)

    tasks = [asyncio.create_task(stubborn()) for _ in range(3)]
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await end_tasks(*tasks)
    assert all(task.cancelled() for task in tasks)


async def test_failures_and_results_do_not_stop_the_ending_of_others() -> None:
    async def fail() -> None:
        raise ValueError("a failure")

    failed, done = asyncio.create_task(fail()), asyncio.create_task(asyncio.sleep(0))
    waiting = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0.01)
    await end_tasks(failed, done, waiting)
    assert waiting.cancelled()
    assert isinstance(failed.exception(), ValueError)


async def test_nothing_to_end_is_fine() -> None:
    await end_tasks()


async def test_who_is_cancelled_while_ending_tasks_leaves_none_behind() -> None:
    held = asyncio.Event()

    async def stubborn() -> None:
        while not held.is_set():
            try:
                await held.wait()
            except asyncio.CancelledError:
                ending.cancel()
                held.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    ending = asyncio.create_task(end_tasks(task))
    async with asyncio.timeout(20):
        await asyncio.wait([ending])
    assert ending.cancelled()
    assert task.cancelled()
