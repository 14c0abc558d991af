"""Long work in short slices: whoever asks for something meanwhile need not wait for the end of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

from distributor.domain.views import SLICE_COUNT

Item = TypeVar("Item")


async def sliced(items: Iterable[Item]) -> AsyncIterator[Item]:
    """Go through items; others have their turn behind each slice of them."""
    for number, item in enumerate(items, 1):
        yield item
        if number % SLICE_COUNT == 0:
            await asyncio.sleep(0)
