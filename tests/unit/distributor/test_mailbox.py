"""The queue of one watcher: bounded by count and bytes, ended rather than grown."""

from __future__ import annotations

import asyncio

import pytest

from chassis.errors import NotFound, Unavailable
from distributor.mailbox import Mailbox


def mailbox(*, count: int = 3, size: int = 100) -> Mailbox[str]:
    return Mailbox(limit_count=count, limit_bytes=size)


async def test_items_come_in_order() -> None:
    box = mailbox()
    for item in ("a", "b", "c"):
        box.put(item, 1)
    assert [await box.take() for _ in range(3)] == ["a", "b", "c"]


async def test_taking_waits_for_the_next() -> None:
    box = mailbox()
    taking = asyncio.create_task(box.take())
    await asyncio.sleep(0)
    box.put("late", 1)
    assert await taking == "late"


@pytest.mark.parametrize(
    ("sizes", "fits"), [([1, 1, 1], True), ([1] * 4, False), ([60, 40], True), ([60, 41], False)]
)
async def test_what_does_not_fit_ends_the_watcher(sizes: list[int], fits: bool) -> None:
    box = mailbox()
    for size in sizes:
        box.put("x", size)
    if fits:
        assert await box.take() == "x"
        return
    with pytest.raises(Unavailable, match="watch again after the last sequence received") as ended:
        await box.take()
    assert ended.value.reason == "WATCHER_TOO_SLOW"


async def test_one_item_above_the_bytes_passes_if_alone() -> None:
    box = mailbox()
    box.put("large", 1000)
    assert await box.take() == "large"
    box.put("next", 1)
    assert await box.take() == "next"


async def test_room_comes_back_with_each_take() -> None:
    box = mailbox(count=2, size=10)
    for _ in range(50):
        box.put("x", 10)
        await box.take()


async def test_a_failure_drops_what_waits_and_stays() -> None:
    box = mailbox()
    box.put("a", 1)
    box.fail(NotFound("gone"))
    box.put("b", 1)
    for _ in range(2):
        with pytest.raises(NotFound):
            await box.take()


async def test_a_cancellation_that_was_lost_on_the_way_ends_the_wait() -> None:
    box = mailbox()
    leaving = asyncio.Event()

    async def watch() -> str:
        try:
            await leaving.wait()
        except asyncio.CancelledError:
            box.put("an answer came at the same moment", 1)
        return await box.take()

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
