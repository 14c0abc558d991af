"""A publisher's timestamps, made fit for FLV: they never go back within a track, and never leap."""

from __future__ import annotations

from dataclasses import dataclass

_WRAP = 1 << 32
LEAP_MS = 10_000
"""A step of more than this, forward or back, is no pause but another clock: time goes on where it was."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """A timestamp of the publisher, and the time that it stood for."""

    raw_ms: int
    time_ms: int

    def reach(self, raw_ms: int) -> int | None:
        """Return the time of another timestamp by the same clock; None if it must be by another one."""
        step_ms = (raw_ms - self.raw_ms + _WRAP // 2) % _WRAP - _WRAP // 2
        return self.time_ms + step_ms if abs(step_ms) <= LEAP_MS else None


class MediaClock:
    """Follows the timestamps of one publication, each track's by itself.

    A track whose clock changes follows the other one if that has changed, too, so that they stay in step.
    """

    def __init__(self) -> None:
        self._marks: dict[int, _Mark] = {}

    @property
    def newest_ms(self) -> int:
        return max((mark.time_ms for mark in self._marks.values()), default=0)

    def now_ms(self, track: int) -> int:
        """Return the time of a track's last message."""
        last = self._marks.get(track)
        return last.time_ms if last else self.newest_ms

    def take(self, track: int, raw_ms: int) -> int:
        """Take a message's timestamp, modulo 2^32; return its time, milliseconds from about the first."""
        last = self._marks.get(track)
        others = [mark for other, mark in self._marks.items() if other != track]
        time_ms = self._place(raw_ms, [last, *others] if last else others)
        if last and time_ms < last.time_ms:
            return last.time_ms
        self._marks[track] = _Mark(raw_ms, max(0, time_ms))
        return max(0, time_ms)

    def _place(self, raw_ms: int, marks: list[_Mark]) -> int:
        """Read a timestamp by the first of several clocks that it may be by."""
        for mark in marks:
            if (time_ms := mark.reach(raw_ms)) is not None:
                return time_ms
        return raw_ms if not marks and raw_ms <= LEAP_MS else self.newest_ms
