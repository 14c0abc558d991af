"""Values that many callers ask for at the same time: loaded once, and good for a moment."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Remembers values by key for `keep_s` seconds, at most `limit_count` of them."""

    def __init__(
        self, load: Callable[[str], Coroutine[Any, Any, Value]], *, keep_s: float, limit_count: int
    ) -> None:
        self._load = load
        self._keep_s = keep_s
        self._limit_count = limit_count
        self._known: OrderedDict[str, tuple[float, asyncio.Task[Value]]] = OrderedDict()

    async def get(self, key: str) -> Value:
        """Answer what was loaded a moment ago, or load it; callers of the same moment share one load."""
        loaded_s, loading = self._known.get(key, (0.0, None))
        if loading is None or time.monotonic() - loaded_s > self._keep_s:
            loading = asyncio.create_task(self._load(key))
            self._known[key] = (time.monotonic(), loading)
            self._known.move_to_end(key)
            if len(self._known) > self._limit_count:
                self._known.popitem(last=False)
        return await asyncio.shield(loading)  # whoever stops waiting leaves the others theirs
