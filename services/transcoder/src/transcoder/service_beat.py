"""Work that shows that it lives: while it goes on, a beat goes on beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from chassis.lifecycle import end_tasks

Result = TypeVar("Result")

# Time that cancelled work has to clean up after itself, to end its ffmpeg, before it is cancelled again.
CLEAN_UP_S = 5.0


async def while_beating(work: Coroutine[Any, Any, Result], beat: Coroutine[Any, Any, None]) -> Result:
    """Await `work` with `beat` at its side; a beat that raises cancels the work, and its error is raised.

    Both have ended when this returns, however it does.
    """
    working, beating = asyncio.create_task(work), asyncio.create_task(beat)
    try:
        await asyncio.wait((working, beating), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await end_tasks(working, patience_s=CLEAN_UP_S)
            beating.result()
        return await working
    finally:
        try:
            await end_tasks(working, patience_s=CLEAN_UP_S)
        finally:
            await end_tasks(beating)
