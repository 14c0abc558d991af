"""Work that shows that it lives: while it goes on, a beat goes on beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def while_beating(work: Coroutine[Any, Any, Result], beat: Coroutine[Any, Any, None]) -> Result:
    """Await `work` with `beat` at its side; a beat that raises cancels the work, and its error is raised.

    Both have ended when this returns, however it does.
    """
    working, beating = asyncio.create_task(work), asyncio.create_task(beat)
    try:
        await asyncio.wait((working, beating), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await _end(working)
            beating.result()
        return await working
    finally:
        await _end(working, beating)


async def _end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their end, also if the wait itself is cancelled meanwhile."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
