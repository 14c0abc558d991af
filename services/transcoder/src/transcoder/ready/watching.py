"""Look after feeds in the background: begin them, make gaps of what is missing, do what the dead left.

All transcoders do so for all feeds; what one has done the others find on the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from chassis.errors import FailedPrecondition, NotFound
from chassis.lifecycle import end_tasks
from chassis.telemetry import STREAM, log
from transcoder.ready.announcing import Ports, ReadyAnnouncer, Standing
from transcoder.ready.ports import FeedId

TICK_S = 0.25
# A segment whose taker has not announced it after so long has lost its taker.
ORPHAN_S = 1.0
SWEEP_S = 600.0
_AGAIN_S = 2.0


class ReadyWatch:
    """Looks after feeds."""

    def __init__(self, ports: Ports, announcer: ReadyAnnouncer, *, sweep_s: float = SWEEP_S) -> None:
        self._ports = ports
        self._announcer = announcer
        self._sweep_s = sweep_s
        self._due: dict[FeedId, datetime] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look after feeds for as long as the block lasts."""
        tasks = [
            asyncio.create_task(work, name="ready segments")
            for work in (self._follow(), self._look(), self._sweep())
        ]
        try:
            yield
        finally:
            await end_tasks(*tasks)

    async def _follow(self) -> None:
        while True:
            try:
                async for heard in self._ports.segments.follow():
                    if heard:
                        self._ports.index.note(heard.feed_id, heard.segment)
                        self._look_at(heard.feed_id, self._ports.clock() + timedelta(seconds=ORPHAN_S))
            except Exception as error:  # noqa: BLE001 - whatever it was, what comes later is to be heard
                log.warning("ready segments cannot be followed", error=repr(error))
                await asyncio.sleep(_AGAIN_S)

    def _look_at(self, feed_id: FeedId, time: datetime) -> None:
        self._due[feed_id] = min(time, self._due.get(feed_id, time))

    async def _look(self) -> None:
        while True:
            for feed_id in list(self._are_due()):
                await self._look_after(feed_id)
            await asyncio.sleep(TICK_S)

    def _are_due(self) -> Iterator[FeedId]:
        now = self._ports.clock()
        return (feed_id for feed_id, time in self._due.items() if time <= now)

    async def _look_after(self, feed_id: FeedId) -> None:
        del self._due[feed_id]
        try:
            standing = await self._announcer.announce(feed_id)
        except (FailedPrecondition, NotFound):  # it was stopped, or is gone
            self._ports.index.forget(feed_id)
        except Exception as error:  # noqa: BLE001 - one feed, not the loop that looks after all
            log.warning("ready segments wait", error=repr(error), **{STREAM: feed_id.stream_id})
            self._look_at(feed_id, self._ports.clock() + timedelta(seconds=_AGAIN_S))
        else:
            self._note(feed_id, standing)

    def _note(self, feed_id: FeedId, standing: Standing | None) -> None:
        if standing is None:
            self._ports.index.forget(feed_id)
            return
        if standing.look_time:
            self._look_at(feed_id, standing.look_time)
        if standing.feed.first_number is not None:
            self._ports.index.forget_below(feed_id, standing.feed.first_number + standing.timeline.least_msn)

    async def _sweep(self) -> None:
        """Forget feeds of streams that take no media any more."""
        while True:
            await asyncio.sleep(self._sweep_s)
            try:
                for feed in await self._ports.feeds.list():
                    await self._forget_if_over(FeedId(feed.stream_id, feed.incarnation))
            except Exception as error:  # noqa: BLE001 - it comes again
                log.warning("feeds not swept", error=repr(error))

    async def _forget_if_over(self, feed_id: FeedId) -> None:
        try:
            settings = await self._ports.settings.get(feed_id.stream_id)
        except (FailedPrecondition, NotFound):
            is_over = True
        else:
            is_over = settings.incarnation != feed_id.incarnation
        if is_over:
            await self._ports.feeds.remove(feed_id)
            self._ports.index.forget(feed_id)
