"""A connection to NATS that outlives its servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import nats.errors
from nats.aio.client import Client

from chassis.config import ServiceConfig
from chassis.errors import Unavailable
from chassis.lifecycle import end_tasks
from chassis.telemetry import Seldom, log
from chassis.tls import Certificates

_ERRORS = Seldom()


@asynccontextmanager
async def connect(
    config: ServiceConfig, *, name: str, tls: Certificates | None = None
) -> AsyncIterator[Client]:
    """Connect to NATS, and keep connecting for as long as the block lasts.

    Raises:
        Unavailable: No server answered within `nats_connect_timeout_s`.
    """
    client = Client()
    try:
        await _connect(client, config, name, tls)
        yield client
    finally:
        await client.close()


async def _connect(client: Client, config: ServiceConfig, name: str, tls: Certificates | None) -> None:
    connecting = client.connect(
        config.nats_url.split(","),
        name=name,
        allow_reconnect=True,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.1,  # type: ignore[arg-type] # annotated int, used as a float
        ping_interval=2,  # 120 by default: a frozen server would go unnoticed for minutes
        error_cb=_log_error,
        disconnected_cb=partial(_log_disconnected, client),
        reconnected_cb=_log_reconnected,
        tls=tls.client_context() if tls else None,
        tls_handshake_first=tls is not None,  # else whoever stands between could talk us out of it
    )
    try:
        await _within(config.nats_connect_timeout_s, connecting)
    except (TimeoutError, OSError, nats.errors.Error) as error:
        hosts = ", ".join(url.rpartition("@")[2] for url in config.nats_url.split(","))
        raise Unavailable(f"no NATS server answered at {hosts}", reason="NATS_AWAY") from error


async def _within(limit_s: float, work: Coroutine[Any, Any, None]) -> None:
    """Wait for work that may forget a cancellation, and has ended when this returns or raises.

    A client that is refused in the very moment in which it is cancelled tries again, as if nothing had been
    said: `asyncio.timeout`, which says it once, would then wait for ever.

    Raises:
        TimeoutError: It took longer than `limit_s`.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task], timeout=limit_s)
        if not task.done():
            raise TimeoutError
        task.result()
    finally:
        await end_tasks(task)


async def _log_error(error: Exception) -> None:
    _ERRORS.warn("nats error", error=repr(error))  # each attempt to connect is one, ten a second


async def _log_disconnected(client: Client) -> None:
    if not client.is_closed:  # else we are going ourselves
        log.warning("nats disconnected")


async def _log_reconnected() -> None:
    log.info("nats reconnected")
