"""What ready segments need from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from transcoder.domain.live_settings import Beat, LiveSettings
from transcoder.domain.live_timeline import LiveEntry
from transcoder.domain.plan import Container
from transcoder.domain.ready_feed import Feed
from transcoder.domain.ready_segment import Measured, ReadySegment
from transcoder.domain.ready_tracks import ReadyTimeline
from transcoder.ports import Kept


class FeedId(NamedTuple):
    """Names one life of a stream."""

    stream_id: str
    incarnation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """News of one stored segment."""

    feed_id: FeedId
    segment: ReadySegment


class FeedStore(Protocol):
    """Feeds, as all transcoders share them."""

    async def get(self, feed_id: FeedId) -> Kept[Feed] | None: ...

    async def put(self, feed: Feed, revision: int | None) -> int:
        """Store in the place of what was read under `revision`, None: nothing; Conflict if that changed."""

    async def remove(self, feed_id: FeedId) -> None: ...

    async def list(self) -> Sequence[Feed]: ...


class SegmentStore(Protocol):
    """What is known of each segment; forgotten after a while."""

    async def create(self, feed_id: FeedId, segment: ReadySegment) -> bool:
        """Store the first segment of a number; tells whether it was the first."""

    async def get(self, feed_id: FeedId, variant_id: str, number: int) -> ReadySegment | None: ...

    async def remove(self, feed_id: FeedId, segment: ReadySegment) -> None: ...

    async def list(self, feed_id: FeedId) -> Sequence[ReadySegment]: ...

    def follow(self) -> AsyncIterator[Heard | None]:
        """Hear of all segments: those that are there, then None, then each new one."""


class ReadyLedger(Protocol):
    """The ledgers, kept by the distributor."""

    async def open(self, settings: LiveSettings) -> int:
        """Take a stream over; answers the epoch. FailedPrecondition: it has ended; Conflict: try again."""

    async def catch_up(self, feed_id: FeedId, timeline: ReadyTimeline) -> ReadyTimeline:
        """Fold what was appended since; NotFound if the incarnation is gone."""

    async def append(self, feed: Feed, sequence: int, entries: Sequence[LiveEntry]) -> int:
        """Append one record behind `sequence`; answers its own.

        Conflict: `sequence` is not the newest; FailedPrecondition: STALE_EPOCH or TIMELINE_ENDED.
        """


class SegmentProber(Protocol):
    """Looks into segments."""

    async def __call__(self, data: bytes, container: Container) -> Measured:
        """Measure a segment, with its init segment before it; InvalidArgument if it is none."""


class Admitting(Protocol):
    """What the distributor knows of live streams."""

    async def admit(self, stream_key: str, stream_id: str) -> LiveSettings:
        """Let in who shows a key; PermissionDenied or FailedPrecondition otherwise."""

    async def get(self, stream_id: str) -> LiveSettings:
        """Ask on; FailedPrecondition or NotFound once the stream takes no media."""


class Owning(Protocol):
    """The signs of life of those who own pushed streams."""

    async def ask(self, stream_id: str) -> Beat | None:
        """Ask for the owner's present state; None if nobody answers."""
