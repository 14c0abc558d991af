"""Follow what a peer tells for ever: over every break of the connection, from any replica."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

from chassis.errors import Unimplemented, WeirError
from chassis.telemetry import log

_FIRST_RETRY_S, _LAST_RETRY_S = 0.05, 1.0
# How often a peer is asked that is too old for it.
_RARELY_S = 30.0

Told = TypeVar("Told")


async def watch_again(watch: Callable[[], AsyncGenerator[Told]], *, what: str) -> AsyncGenerator[Told]:
    """Watch, and watch again whenever that ends.

    The channel spreads calls over all replicas that its name resolves to: watching again after a break means
    watching another one if the first is gone.
    """
    retry_s = _FIRST_RETRY_S
    while True:
        try:
            async with aclosing(watch()) as events:
                async for event in events:
                    retry_s = _FIRST_RETRY_S
                    yield event
        except Unimplemented:
            await asyncio.sleep(_RARELY_S)
        except WeirError as error:
            if retry_s == _FIRST_RETRY_S:  # once for each time the peer goes away
                log.info("watch broke off", what=what, error=error.message)
        await asyncio.sleep(retry_s)
        retry_s = min(2 * retry_s, _LAST_RETRY_S)
