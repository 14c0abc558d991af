"""A publisher's timestamps, made fit for FLV: they never go back within a track, and never leap."""

from __future__ import annotations

_WRAP = 1 << 32
LEAP_MS = 10_000
"""A step of more than this, forward or back, is no pause but another clock: time goes on where it was."""


class MediaClock:
    """Follows the timestamps of one publication, audio's and video's."""

    def __init__(self) -> None:
        self._raw_ms = 0
        self._time_ms = 0
        self._tracks_ms: dict[int, int] = {}

    def now_ms(self, track: int) -> int:
        """Return the time of a track's last message."""
        return self._tracks_ms.get(track, self._time_ms)

    def take(self, track: int, raw_ms: int) -> int:
        """Take a message's timestamp, modulo 2^32; return its time, milliseconds from about the first."""
        step_ms = (raw_ms - self._raw_ms + _WRAP // 2) % _WRAP - _WRAP // 2
        if abs(step_ms) > LEAP_MS or (step_ms < 0 and not self._tracks_ms):
            self._raw_ms, step_ms = raw_ms, 0
        time_ms = max(self._time_ms + step_ms, self._tracks_ms.get(track, 0))
        if step_ms > 0:
            self._raw_ms, self._time_ms = raw_ms, self._time_ms + step_ms
        self._tracks_ms[track] = time_ms
        return time_ms
