"""The clock by which a simulated viewer plays: media goes in, time passes, and what is missing is a stall.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Stall(NamedTuple):
    """A time at which nothing was left to play."""

    begin_time: float
    duration_s: float


@dataclass(slots=True)
class PlaybackClock:
    """What a player holds and has played; `now` is monotonic, seconds, and never goes back.

    Args:
        begin_s: Media that must be there before it begins, or goes on after a stall.
    """

    begin_s: float
    startup_s: float | None = None
    """From the first call until it began to play; None: it has not."""
    stalls: list[Stall] = field(default_factory=list)
    """Those that are over."""
    played_s: float = 0.0
    _held_s: float = 0.0
    _is_playing: bool = False
    _since: float | None = None
    """Since when it plays what it holds, or waits for media."""

    def add(self, now: float, media_s: float) -> None:
        """Take in media that has arrived."""
        self.advance(now)
        self._held_s += media_s
        if not self._is_playing and self._held_s >= self.begin_s:
            self._begin(now)

    def advance(self, now: float) -> None:
        """Let time pass."""
        if self._since is None:
            self._since = now
        elif self._is_playing:
            self._play(self._since, now)

    def held_s(self, now: float) -> float:
        """Tell how much media lies before the playhead."""
        self.advance(now)
        return self._held_s

    def is_dry(self, now: float) -> bool:
        """Tell whether it waits for media, be it at the start or in a stall."""
        self.advance(now)
        return not self._is_playing

    def stalls_since(self, since: float, now: float) -> list[Stall]:
        """Tell the stalls that were not over then, with the one that goes on."""
        self.advance(now)
        found = [stall for stall in self.stalls if stall.begin_time + stall.duration_s > since]
        if self._since is not None and self.startup_s is not None and not self._is_playing:
            found.append(Stall(self._since, now - self._since))
        return found

    def _waited_s(self, now: float) -> float:
        return 0.0 if self._since is None else now - self._since

    def _begin(self, now: float) -> None:
        waited_s = self._waited_s(now)
        if self.startup_s is None:
            self.startup_s = waited_s
        else:
            self.stalls.append(Stall(now - waited_s, waited_s))
        self._is_playing, self._since = True, now

    def _play(self, since: float, now: float) -> None:
        """Play what is there; a stall begins at the moment at which the media ended."""
        took_s = min(now - since, self._held_s)
        self._held_s -= took_s
        self.played_s += took_s
        self._is_playing = now - since <= took_s
        self._since = now if self._is_playing else since + took_s
