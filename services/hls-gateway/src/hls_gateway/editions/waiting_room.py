"""Requests that wait for what a stream will say next: grouped by what they wait for, woken by publishing.

A waiter costs an entry in a dict: no task, no timer of its own. A stream that stalls answers all who wait for
the same thing when the first of them has waited long enough.
"""

from __future__ import annotations

import asyncio
from typing import Generic, Protocol, TypeVar

from chassis.errors import Unavailable, WeirError
from hls_gateway.domain.blocking import Place, is_over
from hls_gateway.domain.timeline import Timeline

# The reason that is given to those whom nothing came for.
STREAM_STALLED = "STREAM_STALLED"

Subject_contra = TypeVar("Subject_contra", contravariant=True)
Subject = TypeVar("Subject")


class Waiter(Protocol[Subject_contra]):
    """One who waits; told once, unless it leaves before."""

    def arrived(self, subject: Subject_contra) -> None:
        """Hear that what was waited for is there, or will never be."""

    def failed(self, error: WeirError) -> None:
        """Hear that waiting was in vain."""


class _Group(Generic[Subject]):
    """All who wait for the same."""

    __slots__ = ("timer", "waiters")

    def __init__(self, timer: asyncio.TimerHandle) -> None:
        self.timer = timer
        self.waiters: dict[Waiter[Subject], None] = {}


class WaitingRoom(Generic[Subject]):
    """Those who wait for one incarnation of a stream.

    Args:
        wait_s: How long anybody waits at most.
    """

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._groups: dict[Place, _Group[Subject]] = {}

    @property
    def waiter_count(self) -> int:
        """How many wait now."""
        return sum(len(group.waiters) for group in self._groups.values())

    def enter(self, place: Place, waiter: Waiter[Subject]) -> None:
        """Wait for something."""
        group = self._groups.get(place)
        if group is None:
            timer = asyncio.get_running_loop().call_later(self._wait_s, self._stalled, place)
            group = self._groups[place] = _Group(timer)
        group.waiters[waiter] = None

    def leave(self, place: Place, waiter: Waiter[Subject]) -> None:
        """Wait no more."""
        group = self._groups.get(place)
        if group and group.waiters.pop(waiter, ...) is None and not group.waiters:
            self._dissolve(place)

    def wake(self, timeline: Timeline, subject: Subject) -> None:
        """Tell those whose waiting is over."""
        for place in [place for place in self._groups if is_over(timeline, place)]:
            for waiter in self._dissolve(place):
                waiter.arrived(subject)

    def close(self, error: WeirError) -> None:
        """Send everybody away."""
        for place in tuple(self._groups):
            self._fail(place, error)

    def _stalled(self, place: Place) -> None:
        message = f"nothing came for {self._wait_s:g} s, three target durations: try again"
        self._fail(place, Unavailable(message, reason=STREAM_STALLED, retry_delay_s=1.0))

    def _fail(self, place: Place, error: WeirError) -> None:
        for waiter in self._dissolve(place):
            waiter.failed(error)

    def _dissolve(self, place: Place) -> dict[Waiter[Subject], None]:
        group = self._groups.pop(place)
        group.timer.cancel()
        return group.waiters
