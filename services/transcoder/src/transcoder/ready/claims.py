"""Keep streams that are fed with ready segments apart from those that are pushed: a life of one is either."""

from __future__ import annotations

from collections.abc import Callable

from chassis.errors import Conflict, FailedPrecondition
from transcoder.domain.live_settings import LiveSettings
from transcoder.domain.ready_feed import Feed
from transcoder.domain.ready_tracks import ReadyTimeline
from transcoder.live.ports import LiveSettingsSource, OpenedLive
from transcoder.ready.ports import FeedId, FeedStore, Owning, ReadyLedger

_TRIES = 20


class Claims:
    """The feeds, and who may become one."""

    def __init__(self, feeds: FeedStore, ledger: ReadyLedger, owning: Owning) -> None:
        self._feeds = feeds
        self._ledger = ledger
        self._owning = owning

    async def claim(self, settings: LiveSettings) -> Feed:
        """Find a stream's feed; the first who asks makes it.

        Raises:
            FailedPrecondition: LOW_LATENCY; or PUSHED, the stream is pushed or was.
        """
        feed_id = FeedId(settings.stream_id, settings.incarnation)
        if found := await self._feeds.get(feed_id):
            return found.value
        _require_no_parts(settings)
        await self._require_unpushed(feed_id)
        feed = Feed(
            stream_id=settings.stream_id,
            incarnation=settings.incarnation,
            target_duration_s=settings.target_duration_s,
        )
        try:
            await self._feeds.put(feed, None)
        except Conflict:
            return await self.claim(settings)
        return feed

    async def change(self, feed_id: FeedId, change: Callable[[Feed], Feed]) -> Feed | None:
        """Change a feed as all transcoders will see it; None if there is none.

        Raises:
            Conflict: Others changed it each time; and what `change` raises.
        """
        for _ in range(_TRIES):
            found = await self._feeds.get(feed_id)
            if found is None:
                return None
            changed = change(found.value)
            try:
                if changed != found.value:
                    await self._feeds.put(changed, found.revision)
            except Conflict:
                continue
            return changed
        raise Conflict(f"the feed of {feed_id.stream_id!r} changes too fast: try again", reason="FEED_BUSY")

    async def _require_unpushed(self, feed_id: FeedId) -> None:
        owner = await self._owning.ask(feed_id.stream_id)
        timeline = await self._ledger.catch_up(feed_id, ReadyTimeline())
        if timeline.tracks or (owner and owner.is_feeding):
            raise FailedPrecondition(
                f"stream {feed_id.stream_id!r} is pushed: create another for ready segments",
                reason="PUSHED",
            )


class PushedOnly:
    """See `live.ports.LiveSettingsSource`: lets no publisher into a stream of ready segments."""

    def __init__(self, settings: LiveSettingsSource, feeds: FeedStore) -> None:
        self._settings = settings
        self._feeds = feeds

    async def admit(self, stream_key: str, stream_id: str) -> LiveSettings:
        """Let a publisher in; FailedPrecondition READY_SEGMENTS besides."""
        settings = await self._settings.admit(stream_key, stream_id)
        if await self._feeds.get(FeedId(settings.stream_id, settings.incarnation)):
            raise FailedPrecondition(
                f"stream {settings.stream_id!r} is fed with ready segments: it cannot be pushed as well, "
                "create another stream to push to",
                reason="READY_SEGMENTS",
            )
        return settings

    async def get(self, stream_id: str) -> LiveSettings:
        return await self._settings.get(stream_id)

    async def report(self, stream_id: str, opened: OpenedLive, error: str) -> None:
        await self._settings.report(stream_id, opened, error)


def _require_no_parts(settings: LiveSettings) -> None:
    if settings.part_target_s:
        raise FailedPrecondition(
            f"stream {settings.stream_id!r} is of low latency: its players would ask for parts, which ready "
            "segments have none of; create it with low_latency false",
            reason="LOW_LATENCY",
        )
