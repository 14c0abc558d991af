"""Follow one stream's timeline for as long as it is in use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Generic, TypeVar

from chassis.errors import DataLoss, NotFound, Unavailable, WeirError
from chassis.telemetry import STREAM, log
from hls_gateway.domain.live_window import LEAST_TARGETS
from hls_gateway.domain.stream import Record, Stream
from hls_gateway.editions.edition import Edition, again
from hls_gateway.ports import BrokeOff, CaughtUp, Press, TimelineEvent, TimelineFeed

Printed = TypeVar("Printed")

_RETRY_S = 0.5
# What a segment takes, and a stream beside its segments: its playlists, its connection to the distributor.
_SEGMENT_BYTES, _STREAM_BYTES = 1200, 32_768


class _ReadWhole(Exception):
    """Raised when a recorded stream has ended: what was let go while it was live is needed now."""


class Follower(Generic[Printed]):
    """Keeps the newest edition of a stream; with an incarnation, of that one alone."""

    def __init__(
        self,
        stream_id: str,
        incarnation: str,
        press: Press[Printed],
        on_replaced: Callable[[Edition[Printed]], None],
    ) -> None:
        self.stream_id = stream_id
        self.incarnation = incarnation
        self.edition: Edition[Printed] | None = None
        self.failure: WeirError | None = None
        self.used_time = 0.0
        self._press = press
        self._on_replaced = on_replaced
        self._incoming: Edition[Printed] | None = None
        self._keeps_all = False
        self._settled = asyncio.Event()

    @property
    def segment_count(self) -> int:
        return self.edition.timeline.segment_count if self.edition else 0

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory."""
        return _STREAM_BYTES + _SEGMENT_BYTES * self.segment_count

    @property
    def is_waited_for(self) -> bool:
        """Tell whether somebody waits for what comes next."""
        return bool(self.edition and self.edition.room.waiter_count)

    def is_in_use(self, now: float) -> bool:
        """Tell whether somebody watches: within three target durations each viewer asks again."""
        if not self.edition or self.is_waited_for:
            return True
        return now - self.used_time <= LEAST_TARGETS * self.edition.timeline.stream.target_duration_s

    async def settled(self, wait_s: float) -> Edition[Printed]:
        """Wait until the edition is complete.

        Raises:
            NotFound: There is no such stream.
            Unavailable: That is not known after `wait_s`.
        """
        try:
            async with asyncio.timeout(wait_s):
                await self._settled.wait()
        except TimeoutError:
            raise Unavailable(
                f"stream {self.stream_id!r} was not found within {wait_s:g} s: try again",
                reason="TIMELINE_AWAY",
                retry_delay_s=1.0,
            ) from None
        if self.edition is None:
            raise self.why_not()
        return self.edition

    async def run(self, feed: TimelineFeed) -> None:
        """Follow until the stream is gone; what was printed before stays."""
        try:
            await self._follow(feed)
        except WeirError as error:
            self.failure = error
        except Exception:  # noqa: BLE001 - a worker's edge
            log.exception("following a stream failed", **{STREAM: self.stream_id})
            self.failure = Unavailable(f"stream {self.stream_id!r} cannot be followed", retry_delay_s=1.0)
        finally:
            self._settled.set()
            if self.edition:
                self.edition.close(self.why_not())

    def keep(self, edition: Edition[Printed]) -> None:
        """Hold an edition without following it any more."""
        self.edition = edition
        self._settled.set()

    def why_not(self) -> WeirError:
        """Tell, to one more caller, why there is no edition."""
        failure = self.failure or Unavailable("the stream was let go: try again", retry_delay_s=1.0)
        return again(failure)

    async def _follow(self, feed: TimelineFeed) -> None:
        while True:
            try:
                async with aclosing(feed.follow(self.stream_id, self.incarnation)) as events:
                    async for event in events:
                        self._take(event)
            except DataLoss as error:
                log.warning("timeline broken, read anew", error=error.message, **{STREAM: self.stream_id})
                self._incoming = None
                await asyncio.sleep(_RETRY_S)
            except _ReadWhole:
                self._incoming, self._keeps_all = None, True

    def _take(self, event: TimelineEvent) -> None:
        match event:
            case Stream():
                if self._incoming is None or self._incoming.incarnation != event.incarnation:
                    is_known = self.edition and self.edition.incarnation == event.incarnation
                    self._keeps_all = self._keeps_all and bool(is_known or not self.edition)
                    self._incoming = Edition(event, self._press, keeps_all=self._keeps_all)
            case Record():
                self._take_record(event)
            case CaughtUp():
                self._complete()
                self._note_behind(False)
            case BrokeOff():
                self._note_behind(True)

    def _note_behind(self, is_behind: bool) -> None:
        if self.edition:
            self.edition.is_behind = is_behind

    def _take_record(self, record: Record) -> None:
        if self._incoming is None:
            raise DataLoss("a record came before the stream's description", reason="TIMELINE_BROKEN")
        if self._incoming is self.edition:
            self._incoming.publish(record)
            self._require_whole(self._incoming)
        else:
            self._incoming.add(record)

    def _complete(self) -> None:
        if self._incoming is None or self._incoming is self.edition:
            return
        self._require_whole(self._incoming)
        replaced, self.edition = self.edition, self._incoming
        self._settled.set()
        if replaced is None:
            return
        if replaced.incarnation == self._incoming.incarnation:
            self._incoming.move_in(replaced)
        else:
            replaced.close(NotFound(f"stream {self.stream_id!r} was made anew", reason="REPLACED"))
            self._on_replaced(replaced)

    def _require_whole(self, edition: Edition[Printed]) -> None:
        """Read a recorded stream anew once it has ended, this time keeping all of it.

        Until that is done its last window, with its end, is what viewers see; those who wait have been told.
        """
        if edition.timeline.lacks_recorded:
            raise _ReadWhole
