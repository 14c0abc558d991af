"""The streams in use, within bounds: looked up when first asked for, let go when nobody asks any more.

A stream is in use while somebody waits for what it says next, or asked within the time in which each of its
viewers asks again. Above the usual bounds those go that are not in use; what is in use goes only above the
bound of memory, and those that are waited for go last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from chassis.errors import NotFound, Unavailable, WeirError
from hls_gateway.editions.edition import Edition
from hls_gateway.editions.follower import Follower
from hls_gateway.ports import Press, TimelineFeed

Printed = TypeVar("Printed")
Key = tuple[str, str]  # stream id, and incarnation or "" for the current one

# How long an unknown stream stays unknown without asking again, and how many of them are remembered.
_MISSING_S = 1.0
_MISSING_COUNT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ShelfLimits:
    """How much the shelf holds.

    Args:
        stream_count: Streams held; over it, the one that was not used for longest goes, unless it is in use.
        segment_count: Segments held of all of them together; likewise.
        memory_bytes: What all of them may take, about; over it, those go that are in use, too.
        pending_count: Streams that are being looked up at a time.
        idle_s: How long a stream is held after its last use.
        wait_s: How long a request waits for a stream to be looked up.
    """

    stream_count: int
    segment_count: int
    memory_bytes: int
    pending_count: int
    idle_s: float
    wait_s: float


class Shelf(Generic[Printed]):
    """Holds editions and follows their streams.

    `clock` tells seconds that never go back.
    """

    def __init__(
        self, feed: TimelineFeed, press: Press[Printed], limits: ShelfLimits, clock: Callable[[], float]
    ) -> None:
        self._feed = feed
        self._press = press
        self._limits = limits
        self._clock = clock
        self._followers: dict[Key, Follower[Printed]] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._missing: dict[Key, tuple[float, Follower[Printed]]] = {}  # until when, and why

    def __contains__(self, key: Key) -> bool:
        """Tell whether a stream is held, without using it."""
        return key in self._followers

    def edition_now(self, stream_id: str, incarnation: str) -> Edition[Printed] | None:
        """Give an edition that is complete; "" stands for the current incarnation."""
        follower = self._followers.get((stream_id, ""))
        if incarnation and not (
            follower and follower.edition and follower.edition.incarnation == incarnation
        ):
            follower = self._followers.get((stream_id, incarnation))
        if follower is None:
            return None
        follower.used_time = self._clock()
        return follower.edition

    async def edition(self, stream_id: str, incarnation: str) -> Edition[Printed]:
        """Give an edition, looking its stream up first.

        Raises:
            NotFound: There is no such stream, or it never had this incarnation.
            Unavailable: The distributor did not tell in time, or too many streams are being looked up.
        """
        current = await self._settled((stream_id, ""))
        if incarnation in {"", current.incarnation}:
            return current
        return await self._settled((stream_id, incarnation))

    async def sweep(self) -> None:
        """Let go of idle streams, for ever."""
        while True:
            await asyncio.sleep(min(1.0, self._limits.idle_s / 2))
            self.let_go()

    def let_go(self) -> None:
        """Let go of idle streams, and of what is above the limits."""
        now = self._clock()
        for key, follower in tuple(self._followers.items()):
            if now - follower.used_time > self._limits.idle_s and not follower.is_waited_for:
                self._drop(key)
        self._make_room(now)
        self._missing = {key: missing for key, missing in self._missing.items() if missing[0] > now}

    def send_away(self, error: WeirError) -> None:
        """End all waiting for what streams will say next."""
        for follower in self._followers.values():
            if follower.edition:
                follower.edition.close(error)

    def close(self) -> None:
        """Stop following."""
        for key in tuple(self._followers):
            self._drop(key)

    async def _settled(self, key: Key) -> Edition[Printed]:
        follower = self._followers.get(key) or self._begin(key)
        follower.used_time = self._clock()
        return await follower.settled(self._limits.wait_s)

    def _begin(self, key: Key) -> Follower[Printed]:
        self._require_not_missing(key)
        if self._pending_count() >= self._limits.pending_count:
            raise Unavailable(
                f"{self._limits.pending_count} streams are being looked up already: try again",
                reason="TOO_MANY_LOOKUPS",
                retry_delay_s=1.0,
            )
        follower = Follower(*key, self._press, partial(self._keep, key[0]))
        self._followers[key] = follower
        task = asyncio.create_task(follower.run(self._feed), name=f"follow {key[0]}")
        self._tasks[key] = task
        task.add_done_callback(partial(self._ended, key, follower))
        return follower

    def _require_not_missing(self, key: Key) -> None:
        until, follower = self._missing.get(key, (0.0, None))
        if follower and until > self._clock():
            raise follower.why_not()

    def _pending_count(self) -> int:
        return sum(follower.edition is None for follower in self._followers.values())

    def _keep(self, stream_id: str, edition: Edition[Printed]) -> None:
        """Hold what was replaced or deleted for the viewers who still play it."""
        follower = Follower(stream_id, edition.incarnation, self._press, partial(self._keep, stream_id))
        follower.keep(edition)
        follower.used_time = self._clock()
        self._followers[stream_id, edition.incarnation] = follower

    def _ended(self, key: Key, follower: Follower[Printed], task: asyncio.Task[None]) -> None:
        """Forget a stream that is gone, and remember for a moment that it is."""
        if task.cancelled() or self._followers.get(key) is not follower:
            return
        self._drop(key)
        if isinstance(follower.failure, NotFound):
            while len(self._missing) >= _MISSING_COUNT:
                del self._missing[next(iter(self._missing))]
            self._missing[key] = (self._clock() + _MISSING_S, follower)
            if follower.edition:
                follower.edition.withdraw(follower.failure)
                self._keep(key[0], follower.edition)

    def _make_room(self, now: float) -> None:
        held = [(key, follower) for key, follower in self._followers.items() if follower.edition]
        held.sort(key=lambda one: (one[1].is_waited_for, one[1].used_time), reverse=True)
        limits, segment_count, size_bytes = self._limits, 0, 0
        for index, (key, follower) in enumerate(held):
            segment_count += follower.segment_count
            size_bytes += follower.size_bytes
            is_over = index >= limits.stream_count or segment_count > limits.segment_count
            # The first is in use now, even if it is too large alone.
            if index and (size_bytes > limits.memory_bytes or (is_over and not follower.is_in_use(now))):
                self._drop(key)
                segment_count -= follower.segment_count
                size_bytes -= follower.size_bytes

    def _drop(self, key: Key) -> None:
        del self._followers[key]
        if task := self._tasks.pop(key, None):
            task.cancel()
