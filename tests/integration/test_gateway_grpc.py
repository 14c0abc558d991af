"""The gateway's gRPC face: health, and segments that are pushed into its memory."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from weir.gateway.v1 import gateway_pb2, gateway_pb2_grpc

from support.gateway import INCARNATION, Scene, announce, pattern, running_scene, segment, video


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


class TestPush:
    ENTRY = segment(0, size_bytes=300_000)
    DATA = pattern(300_000, seed=7)

    async def test_a_pushed_segment_is_served_from_memory(self, tmp_path: Path) -> None:
        async with running_scene(tmp_path) as scene:
            announce(scene, video(), self.ENTRY)
            answer = await self.push(scene)
            assert (answer.already_held, answer.received_bytes) == (False, 300_000)
            served = await scene.get(f"/hls/talk/variants/High/segment_0.m4s?i={INCARNATION}")
            assert (served.status, served.body) == (200, self.DATA)  # storage never had it
            again = await self.push(scene)
            assert (again.already_held, again.received_bytes) == (True, 0)

    @pytest.mark.parametrize("data", [DATA, DATA[:-1]])
    async def test_a_small_segment_may_come_in_one_message(self, scene: Scene, data: bytes) -> None:
        request = gateway_pb2.PushSmallSegmentRequest(object=self.described(), data=data)
        async with channel_to(scene) as channel:
            call = gateway_pb2_grpc.GatewayServiceStub(channel).PushSmallSegment(request)
            if data == self.DATA:
                assert (await call).received_bytes == 300_000
                return
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await call
            assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    async def test_of_several_small_segments_each_is_taken_or_refused_by_itself(self, scene: Scene) -> None:
        changes: list[dict[str, Any]] = [{}, {"sha256": b"x" * 32}, {"msn": 1}, {"stream_id": "unheard-of"}]
        objects = [
            gateway_pb2.PushSmallSegmentRequest(object=self.described(**change), data=self.DATA)
            for change in changes
        ]
        outcomes = await self.push_together(scene, objects[::-1])
        assert [one.status.code for one in outcomes[:3]] == [
            grpc.StatusCode.NOT_FOUND.value[0],
            grpc.StatusCode.NOT_FOUND.value[0],
            grpc.StatusCode.INVALID_ARGUMENT.value[0],
        ]
        assert (outcomes[3].HasField("status"), outcomes[3].received_bytes) == (False, 300_000)
        (again,) = await self.push_together(scene, objects[:1])
        assert (again.already_held, again.received_bytes) == (True, 0)

    async def test_no_more_than_256_go_together(self, scene: Scene) -> None:
        with pytest.raises(grpc.aio.AioRpcError, match="push at most 256"):
            await self.push_together(scene, [gateway_pb2.PushSmallSegmentRequest()] * 257)

    async def push_together(
        self, scene: Scene, objects: Sequence[gateway_pb2.PushSmallSegmentRequest]
    ) -> Sequence[gateway_pb2.PushOutcome]:
        async with channel_to(scene) as channel:
            stub: Any = gateway_pb2_grpc.GatewayServiceStub(channel)
            request = gateway_pb2.PushSmallSegmentsRequest(objects=objects)
            return list((await stub.PushSmallSegments(request)).outcomes)

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"sha256": b"x" * 32}, grpc.StatusCode.INVALID_ARGUMENT),
            ({"sha256": b""}, grpc.StatusCode.INVALID_ARGUMENT),
            ({"size_bytes": 300_001}, grpc.StatusCode.INVALID_ARGUMENT),
            ({"size_bytes": 0}, grpc.StatusCode.INVALID_ARGUMENT),
            ({"object_key": "streams/talk/other"}, grpc.StatusCode.INVALID_ARGUMENT),
            ({"msn": 1}, grpc.StatusCode.NOT_FOUND),
            ({"stream_id": "unheard-of"}, grpc.StatusCode.NOT_FOUND),
        ],
    )
    async def test_what_is_not_as_announced_is_refused(
        self, scene: Scene, change: dict[str, Any], code: grpc.StatusCode
    ) -> None:
        await self.refused(scene, code, **change)

    @pytest.mark.parametrize("data", [DATA[:-1], DATA + b"x"])
    async def test_what_is_not_whole_is_refused_and_leaves_nothing(self, scene: Scene, data: bytes) -> None:
        await self.refused(scene, grpc.StatusCode.INVALID_ARGUMENT, data=data)
        assert (await self.push(scene)).received_bytes == 300_000

    async def test_what_finds_no_room_is_refused(self, tmp_path: Path) -> None:
        async with running_scene(tmp_path, media_object_bytes=200_000) as scene:
            announce(scene, video(), self.ENTRY)
            await self.refused(scene, grpc.StatusCode.RESOURCE_EXHAUSTED)

    async def test_the_announcement_may_come_a_moment_later(self, scene: Scene) -> None:
        later = segment(1, size_bytes=300_000)
        pushing = asyncio.create_task(self.push(scene, msn=1, object_key=later.segment.object_key))
        await asyncio.sleep(0.05)
        scene.peer.append("talk", later)
        assert (await pushing).received_bytes == 300_000

    async def test_a_push_that_stalls_ends(self, tmp_path: Path) -> None:
        async with running_scene(tmp_path, storage_timeout_s=0.3) as scene, channel_to(scene) as channel:
            announce(scene, video(), self.ENTRY)
            call = gateway_pb2_grpc.GatewayServiceStub(channel).PushSegment()
            await call.write(gateway_pb2.PushSegmentRequest(object=self.described(), data=self.DATA[:10]))
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await call
            assert failure.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    @pytest_asyncio.fixture
    async def scene(self, tmp_path: Path) -> AsyncIterator[Scene]:
        async with running_scene(tmp_path) as running:
            announce(running, video(), self.ENTRY)
            yield running

    async def refused(self, scene: Scene, code: grpc.StatusCode, **change: Any) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await self.push(scene, **change)
        assert failure.value.code() is code

    async def push(
        self, scene: Scene, *, data: bytes = DATA, **change: Any
    ) -> gateway_pb2.PushSegmentResponse:
        def pieces() -> Iterator[gateway_pb2.PushSegmentRequest]:
            yield gateway_pb2.PushSegmentRequest(object=self.described(**change), data=data[:1000])
            yield gateway_pb2.PushSegmentRequest(data=data[1000:])

        async with channel_to(scene) as channel:
            return await gateway_pb2_grpc.GatewayServiceStub(channel).PushSegment(pieces())

    def described(self, **change: Any) -> gateway_pb2.PushedObject:
        return gateway_pb2.PushedObject(
            **{
                "stream_id": "talk",
                "incarnation": INCARNATION,
                "rendition_id": "High",
                "msn": 0,
                "object_key": self.ENTRY.segment.object_key,
                "size_bytes": 300_000,
                "sha256": hashlib.sha256(self.DATA).digest(),
                **change,
            }
        )
