"""Feeds and their segments in NATS key-value buckets, as JSON.

What is known of a segment expires: by then it stands on the ledger, and nobody sends it again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from pydantic import TypeAdapter

from chassis import layout
from chassis.errors import AlreadyExists, Conflict, NotFound
from chassis.messaging import KeyValue
from transcoder.domain.ready_feed import Feed
from transcoder.domain.ready_segment import ReadySegment
from transcoder.ports import Kept
from transcoder.ready.ports import FeedId, Heard

# Longer than any missing number is waited for, and than anybody retries.
SEGMENT_TTL_S = 900.0

_FEED = TypeAdapter(Feed)
_SEGMENT = TypeAdapter(ReadySegment)


class KvFeedStore:
    """See `ready.ports.FeedStore`."""

    def __init__(self, feeds: KeyValue) -> None:
        self._feeds = feeds

    async def get(self, feed_id: FeedId) -> Kept[Feed] | None:
        try:
            value = await self._feeds.get(layout.feed_key(*feed_id))
        except NotFound:
            return None
        return Kept(_FEED.validate_json(value.data), value.revision)

    async def put(self, feed: Feed, revision: int | None) -> int:
        key, data = layout.feed_key(feed.stream_id, feed.incarnation), _FEED.dump_json(feed)
        if revision is not None:
            return await self._feeds.update(key, data, revision=revision)
        try:
            return await self._feeds.create(key, data)
        except AlreadyExists as error:
            raise Conflict(f"{key!r} is there already") from error

    async def remove(self, feed_id: FeedId) -> None:
        await self._feeds.delete(layout.feed_key(*feed_id))

    async def list(self) -> Sequence[Feed]:
        return [_FEED.validate_json(value.data) for value in await self._feeds.list()]


class KvSegmentStore:
    """See `ready.ports.SegmentStore`."""

    def __init__(self, segments: KeyValue) -> None:
        self._segments = segments

    async def create(self, feed_id: FeedId, segment: ReadySegment) -> bool:
        key = layout.ready_key(*feed_id, segment.variant_id, segment.number)
        try:
            await self._segments.create(key, _SEGMENT.dump_json(segment))
        except AlreadyExists:
            return False
        return True

    async def get(self, feed_id: FeedId, variant_id: str, number: int) -> ReadySegment | None:
        try:
            value = await self._segments.get(layout.ready_key(*feed_id, variant_id, number))
        except NotFound:
            return None
        return _SEGMENT.validate_json(value.data)

    async def remove(self, feed_id: FeedId, segment: ReadySegment) -> None:
        await self._segments.delete(layout.ready_key(*feed_id, segment.variant_id, segment.number))

    async def list(self, feed_id: FeedId) -> Sequence[ReadySegment]:
        values = await self._segments.list(f"{layout.feed_key(*feed_id)}.")
        return [_SEGMENT.validate_json(value.data) for value in values]

    async def follow(self) -> AsyncIterator[Heard | None]:
        async for value in self._segments.watch(">"):
            if value is None:
                yield None
            elif value.data:
                stream, incarnation, *_ = value.key.split(".")
                feed_id = FeedId(layout.untoken(stream), incarnation)
                yield Heard(feed_id=feed_id, segment=_SEGMENT.validate_json(value.data))
