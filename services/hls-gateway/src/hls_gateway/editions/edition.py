"""One incarnation of a stream with its playlists, printed the moment a record arrives."""

from __future__ import annotations

from typing import Generic, TypeVar

from chassis.errors import NotFound
from hls_gateway.domain.cache_rules import refreshed
from hls_gateway.domain.playlist.body import Body
from hls_gateway.domain.playlist.catalogue import render_playlists
from hls_gateway.domain.stream import Record, Stream
from hls_gateway.domain.timeline import Timeline, append_record, touched_renditions
from hls_gateway.ports import Press

Printed = TypeVar("Printed")


class Edition(Generic[Printed]):
    """A stream's timeline, and its playlists as they are sent: never rendered for a request."""

    def __init__(self, stream: Stream, press: Press[Printed]) -> None:
        self.incarnation = stream.incarnation
        self.timeline = Timeline(stream=stream)
        self._press = press
        self._playlists: dict[str, Printed] = {}
        self._bodies: dict[str, Body] = {}
        self._cache_control = refreshed(stream.target_duration_s)

    def playlist(self, path: str) -> Printed:
        """Give the playlist that is served under a path.

        Raises:
            NotFound: There is nothing to play under it yet.
        """
        try:
            return self._playlists[path]
        except KeyError:
            raise NotFound(f"there is no playlist {path} yet", reason="NO_PLAYLIST") from None

    def add(self, record: Record) -> None:
        """Fold a record in without printing, because more are to follow at once."""
        self.timeline = append_record(self.timeline, record)

    def publish(self, record: Record) -> None:
        """Fold a record in and print the playlists that it changes."""
        self.add(record)
        self.print_playlists(touched_renditions(record))

    def print_playlists(self, touched: frozenset[str] | None = None) -> None:
        """Print the playlists of the named renditions, by default of all."""
        for path, text in render_playlists(self.timeline, touched, self._bodies):
            self._playlists[path] = self._press(text, cache_control=self._cache_control)
