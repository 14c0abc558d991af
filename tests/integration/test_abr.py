"""The abr service is there and healthy, and pretends nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from weir.abr.v1 import abr_pb2 as pb
from weir.abr.v1 import abr_pb2_grpc as pb_grpc

from abr.bootstrap import SERVICES, serve_abr
from abr.config import AbrConfig
from chassis.errors import Unimplemented
from chassis.grpc_client import open_channel, peer_errors


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    config = AbrConfig(grpc_address="127.0.0.1:0", shutdown_grace_s=1.0)
    async with serve_abr(config) as port, open_channel(f"127.0.0.1:{port}") as channel:
        yield channel


async def test_every_call_says_that_it_is_not_built_yet(channel: grpc.aio.Channel) -> None:
    stub: Any = pb_grpc.AbrServiceStub(channel)
    calls = [
        stub.SelectQuality(pb.SelectQualityRequest(recording_id="film")),
        stub.ReportMetrics(pb.ReportMetricsRequest(recording_id="film")),
        stub.GetStats(pb.GetStatsRequest(recording_id="film")),
        stub.ReportSamples(iter([pb.ReportSamplesRequest()])),
    ]
    for call in calls:
        with pytest.raises(Unimplemented, match="yet") as answer:
            async with peer_errors():
                await call
        assert answer.value.reason == "NOT_BUILT_YET"


async def test_it_is_healthy(channel: grpc.aio.Channel) -> None:
    health: Any = health_pb2_grpc.HealthStub(channel)
    for service in ("", *SERVICES):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_it_says_that_it_stops_before_it_does() -> None:
    stop = asyncio.Event()
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def run() -> None:
        config = AbrConfig(grpc_address="127.0.0.1:0", shutdown_grace_s=0.0, drain_s=1.0)
        async with serve_abr(config) as port:
            started.set_result(port)
            await stop.wait()

    running = asyncio.create_task(run())
    async with open_channel(f"127.0.0.1:{await started}") as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        await health.Check(health_pb2.HealthCheckRequest())
        start = time.monotonic()
        stop.set()
        await asyncio.sleep(0.3)
        answer = await health.Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
        await running
        assert time.monotonic() - start >= 1.0
