"""The shelf above its bounds: who is let go first, and who is kept because somebody watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from hls_gateway.domain.blocking import Place
from hls_gateway.domain.stream import Record
from hls_gateway.editions.edition import Edition
from hls_gateway.editions.shelf import Shelf, ShelfLimits
from hls_gateway.ports import CaughtUp, TimelineEvent
from support.playlists import a_live_stream, a_segment, a_video

SEGMENTS = 10
TARGET_S = a_live_stream().target_duration_s


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Feed:
    """Tells of a live stream of ten segments under every name, then nothing more."""

    async def follow(self, stream_id: str, incarnation: str) -> AsyncGenerator[TimelineEvent]:
        yield a_live_stream()
        yield Record(sequence=1, entries=(a_video(), *(a_segment(msn) for msn in range(SEGMENTS))))
        yield CaughtUp()
        await asyncio.Event().wait()


class Waiter:
    """One who waits for what comes next, and is never told."""

    def arrived(self, subject: Edition[str]) -> None:
        raise AssertionError(subject)

    def failed(self, error: Exception) -> None:
        pass


def plain_press(text: str, *, cache_control: str) -> str:  # noqa: ARG001 - a press is called so
    return text


def a_shelf(clock: Clock, **limits: int) -> Shelf[str]:
    wide = {"stream_count": 100, "segment_count": 10_000, "memory_bytes": 1_000_000_000} | limits
    return Shelf(
        Feed(), plain_press, ShelfLimits(pending_count=100, idle_s=300.0, wait_s=20.0, **wide), clock
    )


async def ask(shelf: Shelf[str], clock: Clock, names: str) -> None:
    """Ask for streams, one after the other; a second passes before each."""
    for name in names:
        clock.now += 1
        await shelf.edition(name, "")


def held(shelf: Shelf[str], names: Sequence[str]) -> str:
    """Tell which streams are held; leaves their last use as it was."""
    return "".join(name for name in names if (name, "") in shelf)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize("limits", [{"stream_count": 2}, {"segment_count": 2 * SEGMENTS}])
async def test_streams_in_use_are_kept_above_the_bounds(clock: Clock, limits: dict[str, int]) -> None:
    shelf = a_shelf(clock, **limits)
    await ask(shelf, clock, "abcd")
    shelf.let_go()
    assert held(shelf, "abcd") == "abcd"
    clock.now += 3 * TARGET_S - 1  # now a and b were not asked for during three target durations
    shelf.let_go()
    assert held(shelf, "abcd") == "cd"
    shelf.close()


async def test_a_stream_that_is_waited_for_is_in_use(clock: Clock) -> None:
    shelf = a_shelf(clock, stream_count=2)
    await ask(shelf, clock, "abcd")
    edition = shelf.edition_now("a", "")
    assert edition
    edition.wait(Place("High", SEGMENTS), Waiter())
    clock.now += 100
    shelf.let_go()
    assert held(shelf, "abcd") == "ad"
    clock.now += 1000
    shelf.let_go()
    assert held(shelf, "abcd") == "a"  # the others were idle
    shelf.close()


async def test_above_the_bound_of_memory_streams_in_use_go_but_those_waited_for_last(clock: Clock) -> None:
    shelf = a_shelf(clock, memory_bytes=2 * (32_768 + SEGMENTS * 1200))
    await ask(shelf, clock, "abcd")
    edition = shelf.edition_now("b", "")
    assert edition
    edition.wait(Place("High", SEGMENTS), Waiter())
    await ask(shelf, clock, "acd")
    shelf.let_go()
    assert held(shelf, "abcd") == "bd"
    shelf.close()
