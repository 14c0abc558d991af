"""Who waits, and what ends it."""

from __future__ import annotations

import asyncio

import pytest

from chassis.errors import NotFound, Unavailable, WeirError
from hls_gateway.domain.blocking import Place
from hls_gateway.editions.waiting_room import WaitingRoom
from support.playlists import a_live_stream, a_part, a_segment, a_video, timeline_of

NEXT, WHOLE = Place("High", 1, 0), Place("High", 1)
BEFORE = timeline_of(a_video(), a_segment(0), stream=a_live_stream())
AFTER = timeline_of(a_video(), a_segment(0), a_part(1, 0), stream=a_live_stream())


class Visitor:
    """A waiter that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str | WeirError] = []
        self.was_told = asyncio.Event()

    def arrived(self, subject: str) -> None:
        self.told.append(subject)
        self.was_told.set()

    def failed(self, error: WeirError) -> None:
        self.told.append(error)
        self.was_told.set()


@pytest.fixture
def room() -> WaitingRoom[str]:
    return WaitingRoom(60.0)


async def test_those_whose_wait_is_over_are_told_once(room: WaitingRoom[str]) -> None:
    first, second, other = Visitor(), Visitor(), Visitor()
    for visitor in (first, second):
        room.enter(NEXT, visitor)
    room.enter(WHOLE, other)
    room.wake(BEFORE, "before")
    assert room.waiter_count == 3
    room.wake(AFTER, "after")
    room.wake(AFTER, "again")
    assert (first.told, second.told, other.told, room.waiter_count) == (["after"], ["after"], [], 1)
    room.close(NotFound("gone"))


async def test_who_leaves_is_not_told(room: WaitingRoom[str]) -> None:
    stays, leaves = Visitor(), Visitor()
    room.enter(NEXT, stays)
    room.enter(NEXT, leaves)
    room.leave(NEXT, leaves)
    room.leave(NEXT, leaves)
    room.leave(WHOLE, leaves)
    room.wake(AFTER, "after")
    assert (stays.told, leaves.told) == (["after"], [])


async def test_an_empty_room_holds_nothing(room: WaitingRoom[str]) -> None:
    """Neither a place nor its timer, however many came and went."""
    for number in range(100):
        visitor = Visitor()
        room.enter(Place("High", number), visitor)
        room.leave(Place("High", number), visitor)
    assert (room.waiter_count, room._groups) == (0, {})


async def test_a_stall_sends_everybody_away_when_the_first_has_waited_long_enough() -> None:
    room: WaitingRoom[str] = WaitingRoom(0.05)
    visitors = Visitor(), Visitor()
    for visitor in visitors:
        room.enter(NEXT, visitor)
    async with asyncio.timeout(20):
        await visitors[0].was_told.wait()
    for visitor in visitors:
        (error,) = visitor.told
        assert isinstance(error, Unavailable)
        assert error.reason == "STREAM_STALLED"
    assert room.waiter_count == 0


async def test_closing_tells_everybody_why(room: WaitingRoom[str]) -> None:
    visitors = [Visitor() for _ in range(3)]
    for number, visitor in enumerate(visitors):
        room.enter(Place("High", number), visitor)
    error = NotFound("gone")
    room.close(error)
    assert [visitor.told for visitor in visitors] == [[error]] * 3
