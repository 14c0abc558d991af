"""The gateway's gRPC face: health, reflection's list, and what is not built yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from weir.gateway.v1 import gateway_pb2, gateway_pb2_grpc

from support.gateway import Scene, running_scene


def channel_to(scene: Scene) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"127.0.0.1:{scene.grpc_port}")


async def test_health_is_served(tmp_path: Path) -> None:
    async with (
        running_scene(tmp_path) as scene,
        channel_to(scene) as channel,
    ):
        health: Any = health_pb2_grpc.HealthStub(channel)
        for service in ("", "weir.gateway.v1.GatewayService"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_pushed_segments_are_not_taken_yet(tmp_path: Path) -> None:
    def nothing() -> Iterator[gateway_pb2.PushSegmentRequest]:
        yield gateway_pb2.PushSegmentRequest()

    async with (
        running_scene(tmp_path) as scene,
        channel_to(scene) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await gateway_pb2_grpc.GatewayServiceStub(channel).PushSegment(nothing())
        assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED
