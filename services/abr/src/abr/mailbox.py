"""The bounded queue between the bulletin and one of its watchers."""

from __future__ import annotations

import asyncio
from collections import deque

from chassis.errors import Unavailable, WeirError


class Mailbox:
    """Holds batches that a watcher has not taken yet; one that lets it overflow is ended.

    Args:
        limit_count: Batches held at most.
    """

    def __init__(self, *, limit_count: int) -> None:
        self._limit_count = limit_count
        self._batches: deque[bytes] = deque()
        self._filled = asyncio.Event()
        self._failure: WeirError | None = None

    def put(self, batch: bytes) -> None:
        """Add a batch, or end the watcher if there is no room."""
        if len(self._batches) >= self._limit_count:
            text = f"the watcher is too slow, {len(self._batches)} batches wait: watch again"
            self.fail(Unavailable(text, reason="WATCHER_TOO_SLOW"))
        if self._failure is None:
            self._batches.append(batch)
            self._filled.set()

    def fail(self, failure: WeirError) -> None:
        """End the watcher: what it has not taken is dropped, its next take raises."""
        self._failure = self._failure or failure
        self._batches.clear()
        self._filled.set()

    async def take(self) -> bytes:
        """Wait for the next batch.

        Raises:
            WeirError: What `fail` was given, or WATCHER_TOO_SLOW.
        """
        await self._filled.wait()
        if self._failure:
            raise self._failure
        batch = self._batches.popleft()
        if not self._batches:
            self._filled.clear()
        return batch
