"""Hold on to what the world has no room for now: repeat it until a peer is back, but not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from chassis.errors import DeadlineExceeded, ResourceExhausted, Unavailable
from chassis.telemetry import Seldom

Result = TypeVar("Result")

_AWAY = (Unavailable, DeadlineExceeded, ResourceExhausted)
_HELD = Seldom()
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.5


async def hold(operation: Callable[[], Awaitable[Result]], hold_s: float) -> Result:
    """Repeat an operation that may safely happen twice while a peer is away.

    Args:
        operation: What to do.
        hold_s: For how long; the last failure is raised then.
    """
    loop = asyncio.get_running_loop()
    deadline, pause_s = loop.time() + hold_s, _FIRST_PAUSE_S
    while True:
        try:
            return await operation()
        except _AWAY as error:
            if loop.time() + pause_s > deadline:
                raise
            _HELD.warn("live media are held", reason=error.reason, error=error.message)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
