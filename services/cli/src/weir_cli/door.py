"""What the door is asked at its admin port: whom it sends requests to, and to end gracefully."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import aiohttp

from weir_cli.address import Address
from weir_cli.plan import Process

ADMIT_TIMEOUT_S = 10.0
DRAIN_TIMEOUT_S = 2.0
_INTERVAL_S = 0.1
_HEALTHY = "healthy"


async def wait_admitted(admin: Address, process: Process) -> None:
    """Wait until the door sends requests to a process that is healthy; not for ever, nor if there is no door.

    It looks once a second. Until then another replica that stops would leave nobody.
    """
    addresses = {str(address) for address in (*process.listens, *process.listens_udp)}
    async with _asking(ADMIT_TIMEOUT_S) as session:
        while not is_admitted(await _read(session, f"http://{admin}/clusters"), addresses):  # noqa: ASYNC110 - Envoy has no event
            await asyncio.sleep(_INTERVAL_S)


def is_admitted(clusters: str, addresses: Collection[str]) -> bool:
    """Tell from Envoy's list of clusters whether all that listens at these addresses gets requests."""
    fields = (line.split("::") for line in clusters.splitlines())
    flags = (field for field in fields if len(field) > 3 and field[2] == "health_flags")  # noqa: PLR2004 - name, host, what, value
    return all(field[3] == _HEALTHY for field in flags if field[1] in addresses)


async def drain(admin: Address) -> None:
    """Let the door finish what it has begun, while new requests are told to go elsewhere."""
    async with _asking(DRAIN_TIMEOUT_S) as session:
        for command in ("/healthcheck/fail", "/drain_listeners?graceful&skip_exit"):
            await (await session.post(f"http://{admin}{command}")).read()
        while await _active_requests(session, admin) > 0:  # noqa: ASYNC110 - Envoy has no event
            await asyncio.sleep(_INTERVAL_S)


async def _active_requests(session: aiohttp.ClientSession, admin: Address) -> int:
    stats = await _read(session, f"http://{admin}/stats?filter=http.public.downstream_rq_active$")
    return int(stats.rpartition(":")[2] or 0)


async def _read(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(url) as response:
        return await response.text()


@asynccontextmanager
async def _asking(timeout_s: float) -> AsyncIterator[aiohttp.ClientSession]:
    """Ask for so long at most; a door that is away is no failure."""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with asyncio.timeout(timeout_s), aiohttp.ClientSession() as session:
            yield session
