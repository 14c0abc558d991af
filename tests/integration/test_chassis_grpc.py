"""A real server and a real client: failures arrive as the kinds that were raised."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from weir.timeline.v1 import timeline_pb2, timeline_pb2_grpc

from chassis import errors
from chassis.grpc_client import open_channel, peer_errors
from chassis.grpc_server import ALIVE, serve

NAME = "weir.timeline.v1.TimelineService"


class Scripted(timeline_pb2_grpc.TimelineServiceServicer):
    def __init__(self) -> None:
        self.watch_closed = asyncio.Event()
        self.peers: list[str] = []

    async def Open(self, request: Any, context: Any) -> timeline_pb2.OpenResponse:
        if request.owner == "typed":
            raise errors.FailedPrecondition("epoch is 1: 2 owns the stream", reason="STALE_EPOCH", epoch="2")
        if request.owner == "unexpected":
            raise ZeroDivisionError("a secret")
        self.peers.append(context.peer())
        return timeline_pb2.OpenResponse(epoch=1)

    async def Append(self, request: Any, context: Any) -> timeline_pb2.AppendResponse:
        raise errors.ResourceExhausted("the queue holds 1000 tasks: full", retry_delay_s=2)

    async def GetSnapshot(self, request: Any, context: Any) -> timeline_pb2.GetSnapshotResponse:
        raise errors.Unimplemented("snapshots are not built yet")

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[timeline_pb2.WatchResponse]:
        try:
            while True:
                yield timeline_pb2.WatchResponse(caught_up=timeline_pb2.CaughtUp())
                if request.stream_id != "endless":
                    break
                await asyncio.sleep(0.01)
        finally:
            self.watch_closed.set()
        raise errors.NotFound("stream was deleted", reason="NO_STREAM")


def registered(servicer: Scripted) -> Callable[[grpc.aio.Server], None]:
    def register(server: grpc.aio.Server) -> None:
        timeline_pb2_grpc.add_TimelineServiceServicer_to_server(servicer, server)

    return register


@asynccontextmanager
async def client(servicer: Scripted | None = None) -> AsyncIterator[tuple[Any, Any, Any]]:
    async with (
        serve("127.0.0.1:0", registered(servicer or Scripted()), services=[NAME], grace_s=1) as (
            health,
            port,
        ),
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield timeline_pb2_grpc.TimelineServiceStub(channel), health_pb2_grpc.HealthStub(channel), health


async def test_a_kind_crosses_the_wire_with_reason_and_metadata() -> None:
    async with client() as (stub, _, _):
        with pytest.raises(errors.FailedPrecondition) as raised:
            async with peer_errors():
                await stub.Open(timeline_pb2.OpenRequest(owner="typed"))
    assert raised.value.reason == "STALE_EPOCH"
    assert raised.value.metadata == {"epoch": "2"}
    assert raised.value.message == "epoch is 1: 2 owns the stream"


async def test_a_channel_shares_neither_connection_nor_back_off_with_another() -> None:
    servicer = Scripted()
    async with (
        serve("127.0.0.1:0", registered(servicer), services=[NAME], grace_s=1) as (_, port),
        open_channel(f"127.0.0.1:{port}") as one,
        open_channel(f"127.0.0.1:{port}") as other,
    ):
        for stub in map(timeline_pb2_grpc.TimelineServiceStub, (one, other)):
            await stub.Open(timeline_pb2.OpenRequest())
    assert len(set(servicer.peers)) == 2


async def test_what_nobody_expected_is_internal_and_tells_no_secret() -> None:
    async with client() as (stub, _, _):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.Open(timeline_pb2.OpenRequest(owner="unexpected"))
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in (raised.value.details() or "")


async def test_kinds_without_metadata_cross_too() -> None:
    async with client() as (stub, _, _):
        with pytest.raises(errors.ResourceExhausted, match="full"):
            async with peer_errors():
                await stub.Append(timeline_pb2.AppendRequest())
        with pytest.raises(errors.Unimplemented, match="not built"):
            async with peer_errors():
                await stub.GetSnapshot(timeline_pb2.GetSnapshotRequest())


async def test_a_stream_fails_typed_after_its_first_message() -> None:
    received = []
    async with client() as (stub, _, _):
        with pytest.raises(errors.NotFound, match="deleted"):
            async with peer_errors():
                async for response in stub.Watch(timeline_pb2.WatchRequest()):
                    received.append(response)  # noqa: PERF401 - it fails in the middle
    assert len(received) == 1


async def test_a_stream_whose_client_leaves_is_closed_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    servicer = Scripted()
    async with client(servicer) as (stub, _, _):
        call = stub.Watch(timeline_pb2.WatchRequest(stream_id="endless"))
        await call.read()
        call.cancel()
        async with asyncio.timeout(10):
            await servicer.watch_closed.wait()
    assert "Traceback" not in "".join(capsys.readouterr())


async def test_health_follows_set_serving() -> None:
    async with client() as (_, stub, health):
        request = health_pb2.HealthCheckRequest(service=NAME)
        assert (await stub.Check(request)).status == health_pb2.HealthCheckResponse.SERVING
        await health.set_serving(False)
        assert (await stub.Check(request)).status == health_pb2.HealthCheckResponse.NOT_SERVING
        alive = health_pb2.HealthCheckRequest(service=ALIVE)
        assert (await stub.Check(alive)).status == health_pb2.HealthCheckResponse.SERVING


async def test_a_taken_port_is_an_error() -> None:
    async with serve("127.0.0.1:0", lambda _server: None, services=[], grace_s=0) as (_, port):
        with pytest.raises(RuntimeError):
            async with serve(f"127.0.0.1:{port}", lambda _server: None, services=[], grace_s=0):
                pass
