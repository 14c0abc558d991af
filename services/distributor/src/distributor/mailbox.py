"""The bounded queue between a feed and one of its watchers."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from chassis.errors import Unavailable, WeirError

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Holds what a watcher has not taken yet; a watcher that lets it overflow is ended, memory is not spent.

    Args:
        limit_count: Items held at most.
        limit_bytes: Bytes held at most, as `put` was told.
    """

    def __init__(self, *, limit_count: int, limit_bytes: int) -> None:
        self._limit_count = limit_count
        self._limit_bytes = limit_bytes
        self._items: deque[tuple[Item, int]] = deque()
        self._held_bytes = 0
        self._filled = asyncio.Event()
        self._failure: WeirError | None = None

    def put(self, item: Item, size_bytes: int) -> None:
        """Add an item, or end the watcher if it does not fit."""
        if self._failure:
            return
        fits = self._held_bytes + size_bytes <= self._limit_bytes or not self._items
        if len(self._items) >= self._limit_count or not fits:
            held = f"{len(self._items)} records and {self._held_bytes} bytes wait"
            self.fail(
                Unavailable(
                    f"the watcher is too slow, {held}: watch again after the last sequence received",
                    reason="WATCHER_TOO_SLOW",
                )
            )
            return
        self._items.append((item, size_bytes))
        self._held_bytes += size_bytes
        self._filled.set()

    def fail(self, failure: WeirError) -> None:
        """End the watcher: what it has not taken is dropped, its next take raises."""
        self._failure = failure
        self._items.clear()
        self._held_bytes = 0
        self._filled.set()

    async def take(self) -> Item:
        """Wait for the next item.

        Raises:
            WeirError: What `fail` was given, or WATCHER_TOO_SLOW.
        """
        _heed_cancellation()
        await self._filled.wait()
        if self._failure:
            raise self._failure
        item, size_bytes = self._items.popleft()
        self._held_bytes -= size_bytes
        if not self._items:
            self._filled.clear()
        return item


def _heed_cancellation() -> None:
    """End here if the watcher left, and its cancellation met an answer of NATS: Python 3.11 lost it then."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
