"""Remove the objects of parts some time after their whole segment was announced.

What a process that dies has not removed goes with the stream's other objects when they leave the DVR window.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from chassis.errors import WeirError
from chassis.lifecycle import end_tasks
from chassis.telemetry import log
from transcoder.ports import MediaStore

_SWEEP_S = 1.0
# A playlist names the parts of its last three target durations, and may be held for six more.
KEEP_TARGETS_COUNT = 10


class SpentParts:
    """The parts whose segments are there."""

    def __init__(self, media: MediaStore) -> None:
        self._media = media
        self._doomed: deque[tuple[float, Sequence[str]]] = deque()

    def add(self, keys: Sequence[str], *, target_duration_s: float) -> None:
        """Have objects removed once no playlist that names them can be held."""
        due_s = asyncio.get_running_loop().time() + KEEP_TARGETS_COUNT * target_duration_s
        self._doomed.append((due_s, keys))

    @asynccontextmanager
    async def removing(self) -> AsyncIterator[None]:
        """Remove them for as long as the block lasts."""
        sweeping = asyncio.create_task(self._sweep())
        try:
            yield
        finally:
            await end_tasks(sweeping)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            now_s = asyncio.get_running_loop().time()
            due = [keys for due_s, keys in self._doomed if due_s <= now_s]
            self._doomed = deque(one for one in self._doomed if one[0] > now_s)
            await self._remove([key for keys in due for key in keys])

    async def _remove(self, keys: Sequence[str]) -> None:
        try:
            await self._media.delete(keys)
        except WeirError as error:
            log.warning("parts could not be removed", count=len(keys), error=error.message)
