"""Edges as a distributor meets them: a gateway that takes pushes, and a CDN, with failures on demand."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from weir.gateway.v1 import gateway_pb2 as pb
from weir.gateway.v1 import gateway_pb2_grpc as pb_grpc

from chassis.errors import NotFound, Unavailable, Unimplemented, WeirError
from chassis.grpc_errors import to_status
from chassis.grpc_server import serve
from distributor.domain.delivery import Edge, EdgeKind

SERVICE = "weir.gateway.v1.GatewayService"


class GatewayEdge(pb_grpc.GatewayServiceServicer):
    """Keeps what is pushed, when size and hash are right."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.order: list[str] = []
        self.calls: list[int] = []
        """How many objects came together, call by call."""
        self.takes_together = True
        self.failures: list[Exception] = []
        """Raised one by one, before anything is taken."""
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.asked = asyncio.Event()
        """Set when somebody pushes."""
        self.calls_count = 0
        """Pushes that wait for their answer now."""
        self.most_calls_count = 0
        self.address = ""

    async def PushSegment(self, request_iterator: AsyncIterator[Any], context: Any) -> pb.PushSegmentResponse:
        pieces = [piece async for piece in request_iterator]
        return await self._take(pieces[0].object, b"".join(piece.data for piece in pieces))

    async def PushSmallSegment(
        self, request: pb.PushSmallSegmentRequest, context: Any
    ) -> pb.PushSmallSegmentResponse:
        taken = await self._take(request.object, request.data)
        return pb.PushSmallSegmentResponse(
            already_held=taken.already_held, received_bytes=taken.received_bytes
        )

    async def PushSmallSegments(
        self, request: pb.PushSmallSegmentsRequest, context: Any
    ) -> pb.PushSmallSegmentsResponse:
        if not self.takes_together:
            raise Unimplemented("Method not found!")
        self.calls.append(len(request.objects))
        outcomes = [await self._outcome(one) for one in request.objects]
        return pb.PushSmallSegmentsResponse(outcomes=outcomes)

    async def _outcome(self, request: pb.PushSmallSegmentRequest) -> pb.PushOutcome:
        try:
            taken = await self._take(request.object, request.data)
        except WeirError as error:
            return pb.PushOutcome(status=to_status(error))
        return pb.PushOutcome(already_held=taken.already_held, received_bytes=taken.received_bytes)

    async def _take(self, described: pb.PushedObject, data: bytes) -> pb.PushSegmentResponse:
        self.calls_count += 1
        self.most_calls_count = max(self.most_calls_count, self.calls_count)
        self.asked.set()
        try:
            await self.may_go_on.wait()
            return self._keep(described, data)
        finally:
            self.calls_count -= 1

    def _keep(self, described: pb.PushedObject, data: bytes) -> pb.PushSegmentResponse:
        if self.failures:
            raise self.failures.pop(0)
        assert len(data) == described.size_bytes
        assert hashlib.sha256(data).digest() == described.sha256
        already_held = described.object_key in self.held
        self.held[described.object_key] = data
        self.order.append(described.object_key)
        return pb.PushSegmentResponse(already_held=already_held, received_bytes=len(data))

    @property
    def edge(self) -> Edge:
        return Edge(name=f"gateway {self.address}", kind=EdgeKind.GATEWAY, address=self.address)


def behind() -> Exception:
    """What a gateway says that has not heard of the stream yet."""
    return NotFound("no such stream", reason="NO_STREAM")


def away() -> Exception:
    return Unavailable("the gateway stops")


@asynccontextmanager
async def running_gateway_edge() -> AsyncIterator[GatewayEdge]:
    servicer = GatewayEdge()

    def register(server: Any) -> None:
        pb_grpc.add_GatewayServiceServicer_to_server(servicer, server)

    async with serve("127.0.0.1:0", register, services=[SERVICE], grace_s=0) as (_, port):
        servicer.address = f"127.0.0.1:{port}"
        yield servicer


class Cdn:
    """Keeps what is put, fetches what it is asked for from `origin`, and notes every request."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.sent_bytes: dict[str, int] = {}
        """Of what was put, as it came; `kept` is decompressed."""
        self.origin: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, str]] = []
        """Method, path with query, signature."""
        self.statuses: list[int] = []
        """Answered one by one, before anything is done."""
        self.url = ""

    async def answer(self, request: web.BaseRequest) -> web.Response:
        path = request.path_qs
        self.requests.append((request.method, path, request.headers.get("x-weir-signature", "")))
        if self.statuses:
            return web.Response(status=self.statuses.pop(0))
        if request.method == "PUT":
            self.sent_bytes[path] = request.content_length or 0
            self.kept[path] = await request.content.read()
            return web.Response(status=201)
        if request.method == "PURGE":
            self.kept = {name: data for name, data in self.kept.items() if not name.startswith(path)}
            return web.Response()
        if path == "/healthz":
            return web.Response()
        if path not in self.kept and path in self.origin:
            self.kept[path] = self.origin[path]
        return web.Response(body=self.kept[path]) if path in self.kept else web.Response(status=404)


@asynccontextmanager
async def running_cdn() -> AsyncIterator[Cdn]:
    cdn = Cdn()
    server = web.Server(cdn.answer)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    cdn.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield cdn
    finally:
        await runner.cleanup()
