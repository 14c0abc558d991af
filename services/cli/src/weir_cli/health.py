"""Is a process healthy? Asked as Envoy and Kubernetes ask: gRPC health, and readiness over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from http import HTTPStatus

import aiohttp
import grpc
from grpc_health.v1 import health_pb2

from weir_cli.address import Address
from weir_cli.plan import Process

HealthCheck = grpc.aio.UnaryUnaryMultiCallable[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]

_TIMEOUT_S = 2.0
_INTERVAL_S = 0.05
_REFUSALS = (aiohttp.ClientError, TimeoutError, OSError)


async def wait_healthy(processes: Iterable[Process]) -> None:
    """Wait until every one of `processes` is healthy; the caller sets the deadline."""
    await asyncio.gather(*(_wait(process) for process in processes))


async def is_healthy(process: Process) -> bool:
    """Ask a process once."""
    if process.grpc_health and not await _serves_grpc(process.grpc_health):
        return False
    return process.http_health is None or await _answers(process.http_health)


async def _wait(process: Process) -> None:
    while not await is_healthy(process):  # noqa: ASYNC110 - another process sets no event of ours
        await asyncio.sleep(_INTERVAL_S)


async def _serves_grpc(address: Address) -> bool:
    async with grpc.aio.insecure_channel(str(address), options=_FRESH) as channel:
        check: HealthCheck = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = await check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return False
    return answer.status == health_pb2.HealthCheckResponse.SERVING


# A channel of the process's global pool would remember a refused connection, and wait before the next try.
_FRESH = (("grpc.use_local_subchannel_pool", 1),)


async def _answers(url: str) -> bool:
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            return response.status == HTTPStatus.OK
    except _REFUSALS:
        return False
