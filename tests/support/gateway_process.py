"""A gateway as a process of its own, and what the kernel tells about it."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

_START_S = 20.0


@asynccontextmanager
async def gateway_process(
    distributor_port: int, folder: Path, port: int, **settings: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `python -m hls_gateway` until the block ends; begins once it is ready."""
    environment = {
        "WEIR_HTTP_ADDRESS": f"127.0.0.1:{port}",
        "WEIR_GRPC_ADDRESS": "127.0.0.1:0",
        "WEIR_DISTRIBUTOR_ADDRESS": f"127.0.0.1:{distributor_port}",
        "WEIR_STORAGE_URL": folder.as_uri(),
        "WEIR_LOG_LEVEL": "warning",
        "WEIR_CONNECTION_COUNT": "12000",
        "WEIR_SHUTDOWN_GRACE_S": "1",
        **settings,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hls_gateway", env={**os.environ, **environment}
    )
    try:
        await _until_ready(f"http://127.0.0.1:{port}/readyz", process)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _until_ready(url: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(_START_S), aiohttp.ClientSession() as session:
        while process.returncode is None:
            try:
                async with session.get(url) as answer:
                    if answer.ok:
                        return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)
    raise RuntimeError(f"the gateway ended at its start: {process.returncode}")


def resident_bytes(pid: int) -> int:
    """Tell how much memory a process has now."""
    (kibibytes,) = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(kibibytes) * 1024


async def until_read(port: int, count: int) -> None:
    """Wait until a server has read all that `count` connections have sent it."""
    async with asyncio.timeout(60):
        while sum(not unread for unread in _unread_bytes(port)) < count:  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.05)


def _unread_bytes(port: int) -> Iterator[int]:
    """Tell, for each connection to a server on this machine, what waits in its socket."""
    established = f":{port:04X} .{{13,14}} 01 [0-9A-F]+:([0-9A-F]+) "
    return (int(unread, 16) for unread in re.findall(established, Path("/proc/net/tcp").read_text()))
