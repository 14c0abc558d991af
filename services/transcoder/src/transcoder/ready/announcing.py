"""Announce ready segments: append what goes on without a hole, and gaps that are due.

Any process may do this at any time: the ledger's compare-and-set lets one of two append, under the epoch that
all share. What this process remembers of a ledger, or has heard of segments, only saves reading.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import datetime
from weakref import WeakValueDictionary

from chassis.errors import Conflict, FailedPrecondition, Unavailable
from chassis.telemetry import STREAM, log
from transcoder.domain.ready_feed import Feed, begin
from transcoder.domain.ready_segment import ReadySegment
from transcoder.domain.ready_timeline import ENTRIES_PER_RECORD, next_look, plan_entries
from transcoder.domain.ready_tracks import ReadyTimeline, fold
from transcoder.ports import Clock
from transcoder.ready.claims import Claims
from transcoder.ready.heard import Index
from transcoder.ready.ports import Admitting, FeedId, FeedStore, ReadyLedger, SegmentStore

_TRIES = 20
_REMEMBERED_FEEDS = 256

Stored = dict[str, dict[int, ReadySegment]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What announcing works with."""

    feeds: FeedStore
    segments: SegmentStore
    ledger: ReadyLedger
    settings: Admitting
    clock: Clock
    index: Index = field(default_factory=Index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a feed has come."""

    feed: Feed
    timeline: ReadyTimeline
    look_time: datetime | None
    """When something becomes due; None: nothing waits."""


class ReadyAnnouncer:
    """Announces feeds."""

    def __init__(self, ports: Ports, claims: Claims) -> None:
        self._ports = ports
        self._claims = claims
        self._remembered: OrderedDict[FeedId, ReadyTimeline] = OrderedDict()
        self._turns: WeakValueDictionary[FeedId, asyncio.Lock] = WeakValueDictionary()

    async def announce(self, feed_id: FeedId) -> Standing | None:
        """Append all that may be; None if there is no such feed.

        Raises:
            FailedPrecondition: TIMELINE_ENDED; the stream was stopped.
            NotFound: The stream is gone.
            Unavailable: The distributor or NATS does not answer, or others append all the time.
        """
        turn = self._turns.setdefault(feed_id, asyncio.Lock())  # within a process nobody need race
        async with turn:
            return await self._announce(feed_id)

    async def read(self, feed_id: FeedId) -> ReadyTimeline:
        """Read what stands on the ledger."""
        timeline = await self._ports.ledger.catch_up(feed_id, self._known(feed_id))
        self._remember(feed_id, timeline)
        return timeline

    async def _announce(self, feed_id: FeedId) -> Standing | None:
        timeline = await self.read(feed_id)
        for _ in range(_TRIES):
            feed = await self._begun(feed_id)
            if feed is None:
                return None
            stored = await self._gather(feed, timeline)
            now = self._ports.clock()
            entries = plan_entries(feed, timeline, stored, now)
            if not entries:
                look_time = next_look(feed, timeline, stored)
                return Standing(feed=feed, timeline=timeline, look_time=look_time)
            feed = feed if feed.epoch else await self._open(feed)
            try:
                sequence = await self._ports.ledger.append(feed, timeline.sequence, entries)
            except Conflict:
                timeline = await self.read(feed_id)
            except FailedPrecondition as error:
                await self._go_on_after(error, feed)
                timeline = await self.read(feed_id)
            else:
                timeline = fold(timeline, entries, sequence)
                self._remember(feed_id, timeline)
        raise Unavailable("others append to the stream all the time: try again", reason="FEED_BUSY")

    async def _begun(self, feed_id: FeedId) -> Feed | None:
        """Read a feed; begin it if it is time."""
        found = await self._ports.feeds.get(feed_id)
        if found is None:
            return None
        feed, now = found.value, self._ports.clock()
        if feed.first_number is not None or feed.begin_time is None or now < feed.begin_time:
            return feed
        numbers = [segment.number for segment in await self._ports.segments.list(feed_id)]
        return await self._claims.change(feed_id, lambda present: begin(present, numbers, now))

    async def _open(self, feed: Feed) -> Feed:
        """Open the ledger at the next epoch, and let everybody append under it."""
        settings = await self._ports.settings.get(feed.stream_id)
        epoch = await self._ports.ledger.open(settings)
        log.info("ready stream opened", **{STREAM: feed.stream_id}, epoch=epoch)
        opened = await self._claims.change(
            FeedId(feed.stream_id, feed.incarnation),
            lambda present: replace(present, epoch=max(present.epoch, epoch)),
        )
        return opened or feed

    async def _go_on_after(self, refusal: FailedPrecondition, feed: Feed) -> None:
        """Get back a stream that somebody else has opened, perhaps a publisher at the same moment."""
        if refusal.reason != "STALE_EPOCH":
            raise refusal
        present = await self._ports.feeds.get(FeedId(feed.stream_id, feed.incarnation))
        if present and present.value.epoch <= feed.epoch:
            await self._open(present.value)

    async def _gather(self, feed: Feed, timeline: ReadyTimeline) -> Stored:
        """Read what matters now: what was heard of, and of each variant what comes next and what came last.

        What was heard of may lack what was just stored; what comes next is asked for, so that whoever stores
        a segment finds it, and all that waited for it.
        """
        feed_id = FeedId(feed.stream_id, feed.incarnation)
        if feed.first_number is None:
            return {}
        stored = self._ports.index.stored(feed_id)
        for variant in feed.variants:
            track = timeline.track(variant.variant_id)
            own = stored.setdefault(variant.variant_id, {})
            if track.media_msn is not None:
                await self._fetch(feed_id, own, variant.variant_id, feed.first_number + track.media_msn)
            number = feed.first_number + track.next_msn
            for place in range(number, number + ENTRIES_PER_RECORD):
                if not await self._fetch(feed_id, own, variant.variant_id, place):
                    break
        return stored

    async def _fetch(
        self, feed_id: FeedId, own: dict[int, ReadySegment], variant_id: str, number: int
    ) -> bool:
        if number not in own and (found := await self._ports.segments.get(feed_id, variant_id, number)):
            own[number] = found
        return number in own

    def _known(self, feed_id: FeedId) -> ReadyTimeline:
        return self._remembered.get(feed_id) or ReadyTimeline()

    def _remember(self, feed_id: FeedId, timeline: ReadyTimeline) -> None:
        self._remembered[feed_id] = timeline
        self._remembered.move_to_end(feed_id)
        if len(self._remembered) > _REMEMBERED_FEEDS:
            self._remembered.popitem(last=False)
