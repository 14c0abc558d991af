"""The figures of all viewers of a stream, whichever replica heard of them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping

from abr.domain.stats import Figures, Tally, figures_of
from abr.ports import Replicas
from abr.service_viewers import Viewers

TURN_COUNT = 128
"""Viewers that are counted before others get a turn."""
KEY_BYTES = 8


class Census:
    """Counts viewers, here and everywhere.

    Args:
        viewers: Who is known here.
        replicas: Who else counts.
    """

    def __init__(self, viewers: Viewers, replicas: Replicas) -> None:
        self._viewers = viewers
        self._replicas = replicas

    async def here(self, stream_id: str) -> Mapping[bytes, Figures]:
        """Measure who was heard of here lately; by keys that stand for their names."""
        figures = {}
        for count, viewer in enumerate(self._viewers.heard_of(stream_id), start=1):
            if viewer.is_measured:
                figures[viewer_key(viewer.viewer_id)] = figures_of(viewer)
            if count % TURN_COUNT == 0:
                await asyncio.sleep(0)
        return figures

    async def everywhere(self, stream_id: str) -> Tally:
        """Add up all viewers; of one whom several replicas know, what was heard last counts."""
        others, here = await asyncio.gather(self._replicas.figures(stream_id), self.here(stream_id))
        newest = dict(here)
        for figures in others:
            for key, one in figures.items():
                if key not in newest or newest[key].heard_s < one.heard_s:
                    newest[key] = one
        return await add_up(newest)


async def add_up(figures: Mapping[bytes, Figures]) -> Tally:
    """Add viewers up, in turns."""
    tally = Tally()
    for count, one in enumerate(figures.values(), start=1):
        tally.add(one)
        if count % TURN_COUNT == 0:
            await asyncio.sleep(0)
    return tally


def viewer_key(viewer_id: str) -> bytes:
    """Stand for a viewer's name among replicas."""
    return hashlib.blake2b(viewer_id.encode(), digest_size=KEY_BYTES).digest()
