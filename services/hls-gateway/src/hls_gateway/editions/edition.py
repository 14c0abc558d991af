"""One incarnation of a stream, its playlists as they are sent, and those who wait for the next ones."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from chassis.errors import NotFound, WeirError
from hls_gateway.domain.blocking import Place, is_over
from hls_gateway.domain.cache_rules import refreshed, waited_for
from hls_gateway.domain.live_window import LEAST_TARGETS
from hls_gateway.domain.names import PlaylistName
from hls_gateway.domain.playlist.body import Body
from hls_gateway.domain.playlist.catalogue import render_playlist
from hls_gateway.domain.playlist.cohort import EVERYBODY, Cohort
from hls_gateway.domain.playlist.multivariant import advertised_bps
from hls_gateway.domain.stream import Record, Stream
from hls_gateway.domain.timeline import Timeline, append_record
from hls_gateway.editions.waiting_room import Waiter, WaitingRoom
from hls_gateway.ports import Press

Printed = TypeVar("Printed")
PrintedKey = PlaylistName | tuple[PlaylistName, bool, bool]

# Groups of viewers whose playlists stand ready; over it, they are printed anew.
_COHORT_COUNT = 64


def again(error: WeirError) -> WeirError:
    """Make a failure that can be raised to one more caller."""
    return type(error)(error.message, reason=error.reason, retry_delay_s=error.retry_delay_s)


class Edition(Generic[Printed]):
    """A stream's timeline with all that was made of it.

    A playlist is printed for the first who asks after a record came, and then stands ready for all others;
    most of it was written before. So streams that nobody looks at cost next to nothing per record.
    """

    def __init__(self, stream: Stream, press: Press[Printed], *, keeps_all: bool = False) -> None:
        self.incarnation = stream.incarnation
        self.timeline = Timeline(stream=stream, keeps_all=keeps_all)
        self.is_behind = False
        """Nothing is heard of the stream for now: another gateway may know more."""
        self.room: WaitingRoom[Edition[Printed]] = WaitingRoom(LEAST_TARGETS * stream.target_duration_s)
        self._press = press
        self._printed: dict[PrintedKey, Printed] = {}
        self._printed_cohorts: dict[tuple[PlaylistName, Cohort], Printed] = {}
        self._advertised_bps: dict[str, int | None] = {}
        self._bodies: dict[PlaylistName, Body] = {}
        self._news = asyncio.Event()
        self._closed: WeirError | None = None
        self._withdrawn = False

    def playlist(self, name: PlaylistName, *, skip: bool = False, waited: bool = False) -> Printed:
        """Give a playlist as it is now.

        Args:
            name: Which.
            skip: As a delta update, where that is offered.
            waited: For a URL that says what must be listed, so that caches may keep it for long.

        Raises:
            NotFound: There is nothing to play under that name yet, or not any more.
        """
        key = (name, skip, waited) if skip or waited else name  # most ask for no more than a name
        printed = self._printed.get(key)
        return printed if printed is not None else self._print(key, name, skip=skip, waited=waited)

    def multivariant(self, name: PlaylistName, cohort: Cohort) -> Printed:
        """Give the multivariant playlist for a group of viewers.

        Raises:
            NotFound: There is nothing to play yet, or not any more.
        """
        if cohort == EVERYBODY:
            return self.playlist(name)
        printed = self._printed_cohorts.get((name, cohort))
        if printed is None:
            if len(self._printed_cohorts) >= _COHORT_COUNT:
                self._printed_cohorts.clear()
            printed = self._press_text(name, skip=False, waited=False, cohort=cohort)
            self._printed_cohorts[name, cohort] = printed
        return printed

    def advertised_bps(self, variant_id: str) -> int | None:
        """Tell the BANDWIDTH under which a variant is offered now; None if it is not."""
        if variant_id not in self._advertised_bps:
            if len(self._advertised_bps) >= _COHORT_COUNT:
                self._advertised_bps.clear()
            self._advertised_bps[variant_id] = advertised_bps(self.timeline, variant_id)
        return self._advertised_bps[variant_id]

    def add(self, record: Record) -> None:
        """Fold a record in."""
        self.timeline = append_record(self.timeline, record)
        self._forget_printed()

    def publish(self, record: Record) -> None:
        """Fold a record in, and tell those who wait for what it brings."""
        self.add(record)
        self._tell_news()
        self.room.wake(self.timeline, self)

    async def news(self, within_s: float) -> bool:
        """Wait for the next record, or for the end of this edition; False if neither came in time."""
        try:
            async with asyncio.timeout(within_s):
                return await self._news.wait()
        except TimeoutError:
            return False

    def is_over(self, place: Place) -> bool:
        """Tell whether there is nothing to wait for.

        Raises:
            WeirError: This edition will never grow any more.
        """
        if is_over(self.timeline, place):
            return True
        if self._closed:
            raise again(self._closed)
        return False

    def wait(self, place: Place, waiter: Waiter[Edition[Printed]]) -> None:
        """Have a waiter told when a place `is_over`."""
        self.room.enter(place, waiter)

    def move_in(self, former: Edition[Printed]) -> None:
        """Take over those who wait for a former edition of the same incarnation."""
        self.room = former.room
        self.room.wake(self.timeline, self)

    def close(self, error: WeirError) -> None:
        """Grow no more: send those who wait away."""
        self._closed = error
        self._tell_news()
        self.room.close(error)

    def withdraw(self, error: WeirError) -> None:
        """Show no playlist any more; what the last ones named can still be read (rfc8216bis 6.2.1)."""
        self._withdrawn = True
        self._forget_printed()
        self.close(error)

    def _tell_news(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _forget_printed(self) -> None:
        self._printed.clear()
        self._printed_cohorts.clear()
        self._advertised_bps.clear()

    def _print(self, key: PrintedKey, name: PlaylistName, *, skip: bool, waited: bool) -> Printed:
        printed = self._press_text(name, skip=skip, waited=waited, cohort=EVERYBODY)
        self._printed[key] = printed
        return printed

    def _press_text(self, name: PlaylistName, *, skip: bool, waited: bool, cohort: Cohort) -> Printed:
        if self._withdrawn and self._closed:
            raise again(self._closed)
        text = render_playlist(self.timeline, name, self._bodies, skip=skip, cohort=cohort)
        if text is None:
            raise NotFound(f"there is no playlist {name.file_name} here yet", reason="NO_PLAYLIST")
        target_duration_s = self.timeline.stream.target_duration_s
        cache_control = waited_for(target_duration_s) if waited else refreshed(target_duration_s)
        return self._press(text, cache_control=cache_control)
