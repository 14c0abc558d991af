"""Who watches a stream, in numbers that are kept as sessions change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from distributor.domain.session import Session

_US = 1_000_000


class Presence:
    """The sessions that are open, summed up; in whole microseconds, so that any order makes the same sum."""

    def __init__(self) -> None:
        self.count = 0
        self._latencies_us = 0
        self._latencies_count = 0
        self._playing: Counter[str] = Counter()

    @property
    def latency_s(self) -> float:
        """Mean of those who say; 0 if nobody does."""
        return self._latencies_us / self._latencies_count / _US if self._latencies_count else 0.0

    @property
    def playing(self) -> Mapping[str, int]:
        """Who plays what, by variant; those of whom it is not known are left out."""
        return {variant_id: count for variant_id, count in self._playing.items() if variant_id and count}

    def copy(self) -> Presence:
        """Make another one that changes by itself."""
        other = Presence()
        other.count = self.count
        other._latencies_us, other._latencies_count = self._latencies_us, self._latencies_count
        other._playing = self._playing.copy()
        return other

    def add(self, session: Session) -> None:
        """Count a session in."""
        self._change(session, 1)

    def replace(self, old: Session | None, new: Session | None) -> None:
        """Count one session instead of another; None: nobody."""
        if old and new and (old.variant_id, old.latency_s) == (new.variant_id, new.latency_s):
            return
        if old:
            self._change(old, -1)
        if new:
            self._change(new, 1)

    def _change(self, session: Session, count: int) -> None:
        self.count += count
        self._playing[session.variant_id] += count
        if session.latency_s is not None:
            self._latencies_us += count * round(session.latency_s * _US)
            self._latencies_count += count
