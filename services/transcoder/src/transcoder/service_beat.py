"""Work that shows that it lives: while it goes on, a beat goes on beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

# Time that cancelled work has to clean up after itself, to end its ffmpeg, before it is cancelled again.
CLEAN_UP_S = 5.0
_BEAT_ENDS_S = 0.5


async def while_beating(work: Coroutine[Any, Any, Result], beat: Coroutine[Any, Any, None]) -> Result:
    """Await `work` with `beat` at its side; a beat that raises cancels the work, and its error is raised.

    Both have ended when this returns, however it does.
    """
    working, beating = asyncio.create_task(work), asyncio.create_task(beat)
    try:
        await asyncio.wait((working, beating), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await end_task(working, patience_s=CLEAN_UP_S)
            beating.result()
        return await working
    finally:
        await end_task(working, patience_s=CLEAN_UP_S)
        await end_task(beating, patience_s=_BEAT_ENDS_S)


async def end_task(task: asyncio.Task[Any], *, patience_s: float) -> None:
    """Cancel a task until it has ended, each time with patience.

    Once may not be enough: until Python 3.12 a cancellation that meets the result of a `wait_for` is lost,
    and the NATS client waits so for every answer.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=patience_s)
    if not task.cancelled():
        task.exception()  # looked at, so that nobody complains that it was not
