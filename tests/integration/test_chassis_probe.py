"""The probe that containers run on themselves."""

from __future__ import annotations

import asyncio
import sys

import grpc

from chassis.grpc_server import serve
from support.ports import free_ports


def register(_server: grpc.aio.Server) -> None:
    """Health alone is asked for."""


async def probe(address: str) -> int:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "chassis.probe", address)
    return await process.wait()


async def test_a_probe_tells_by_its_end_whether_a_service_may_be_given_work() -> None:
    async with serve("127.0.0.1:0", register, services=(), grace_s=0) as (health, port):
        assert await probe(f"127.0.0.1:{port}") == 0
        await health.set_serving(False)
        assert await probe(f"127.0.0.1:{port}") == 1


async def test_a_probe_of_nobody_fails() -> None:
    (port,) = free_ports(1)
    assert await probe(f"127.0.0.1:{port}") == 1
