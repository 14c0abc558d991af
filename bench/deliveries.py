"""How many segments a second a distributor delivers: four workers, two edges, over loopback.

The edges are processes of their own, which check the hash as gateways do and keep nothing. The peer is bare
gRPC: the same calls with the same bytes to the same edges, four at a time, without queue, retries or
timeouts. Takes about 25 s.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import multiprocessing
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from multiprocessing.connection import Connection
from typing import Any

import uvloop
from weir.gateway.v1 import gateway_pb2 as pb
from weir.gateway.v1 import gateway_pb2_grpc as pb_grpc

from chassis import telemetry
from chassis.config import ServiceConfig
from chassis.grpc_client import open_channel
from chassis.grpc_server import serve
from chassis.storage import open_store
from distributor.adapters.freight import FreightStore
from distributor.adapters.gateway_client import GatewayCarrier, small_push
from distributor.deliveries import Deliveries
from distributor.domain.delivery import Edge, EdgeKind, Freight, order_for
from distributor.domain.entries import LedgerId
from distributor.domain.profiles import PROFILES

WORKERS_COUNT, EDGES_COUNT = 4, 2
SEGMENT_BYTES, SEGMENTS_COUNT = 64 * 1024, 50
DELIVERIES_COUNT, ROUNDS_COUNT = 6_000, 3
RATE_BAR = 4_000
PROFILE = PROFILES[2]


class NullEdge(pb_grpc.GatewayServiceServicer):
    """Checks what is pushed, and keeps nothing."""

    async def PushSegment(self, request_iterator: Any, context: Any) -> pb.PushSegmentResponse:
        raise NotImplementedError("the segments are small")

    async def PushSmallSegment(
        self,
        request: pb.PushSmallSegmentRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.PushSmallSegmentResponse:
        if hashlib.sha256(request.data).digest() != request.object.sha256:
            raise ValueError("the bytes are others than announced")
        return pb.PushSmallSegmentResponse(received_bytes=len(request.data))


class NoLetters:
    """Nothing may fail here."""

    async def put(self, order: Any, *, attempts_count: int, error: str) -> None:
        raise RuntimeError(f"a delivery to {order.edge.name} failed {attempts_count} times: {error}")


async def main() -> int:
    """Print the table; 1 if a bar was missed."""
    with ExitStack() as stack:
        edges = [stack.enter_context(running_edge(number)) for number in range(EDGES_COUNT)]
        async with running_desk() as (desk, store):
            ours, bare = [], []
            for _ in range(ROUNDS_COUNT):
                ours.append(await rate_of_desk(desk, edges))
                bare.append(await rate_of_bare_calls(store, edges))
    return report(statistics.median(ours), statistics.median(bare))


@contextmanager
def running_edge(number: int) -> Any:
    """Run an edge as a process of its own."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=run_edge, args=(theirs,), daemon=True)
    process.start()
    try:
        yield Edge(name=f"edge {number}", kind=EdgeKind.GATEWAY, address=f"127.0.0.1:{ours.recv()}")
    finally:
        process.terminate()
        process.join(timeout=10)


def run_edge(port_of: Connection) -> None:
    """Serve until terminated; tells its port."""

    def register(server: Any) -> None:
        pb_grpc.add_GatewayServiceServicer_to_server(NullEdge(), server)

    async def run() -> None:
        async with serve("127.0.0.1:0", register, services=["weir.gateway.v1.GatewayService"], grace_s=0) as (
            _,
            port,
        ):
            port_of.send(port)
            await asyncio.Event().wait()

    telemetry.set_up("edge", ServiceConfig(log_level="warning"))
    uvloop.run(run())


@asynccontextmanager
async def running_desk() -> AsyncIterator[tuple[Deliveries, FreightStore]]:
    """Run a desk with its workers over storage in memory."""
    storage = open_store("memory:")
    for msn in range(SEGMENTS_COUNT):
        await storage.put(freight(msn).object_key, msn.to_bytes(4) * (SEGMENT_BYTES // 4))
    store = FreightStore(storage, limit_bytes=64 * 1024**2)
    carrier = GatewayCarrier(store)
    desk = Deliveries(
        {EdgeKind.GATEWAY: carrier.carry}, NoLetters(), workers_count=WORKERS_COUNT, limit_count=1_000
    )
    workers = [asyncio.create_task(desk.work()) for _ in range(WORKERS_COUNT)]
    try:
        yield desk, store
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        await carrier.close()


async def rate_of_desk(desk: Deliveries, edges: Sequence[Edge]) -> float:
    """Deliveries per second by the desk."""
    start = time.perf_counter()
    for number in range(DELIVERIES_COUNT):
        order = order_for(edges[number % EDGES_COUNT], freight(number % SEGMENTS_COUNT), PROFILE, is_new=True)
        await desk.take(order)
    await desk.drained()
    return DELIVERIES_COUNT / (time.perf_counter() - start)


async def rate_of_bare_calls(store: FreightStore, edges: Sequence[Edge]) -> float:
    """The same calls, without a desk."""
    numbers = itertools.count()
    channels = [open_channel(edge.address) for edge in edges]
    stubs: list[Any] = [pb_grpc.GatewayServiceStub(channel) for channel in channels]

    async def work() -> None:
        while (number := next(numbers)) < DELIVERIES_COUNT:
            one = freight(number % SEGMENTS_COUNT)
            await stubs[number % EDGES_COUNT].PushSmallSegment(small_push(one, await store.load(one)))

    start = time.perf_counter()
    await asyncio.gather(*[work() for _ in range(WORKERS_COUNT)])
    rate = DELIVERIES_COUNT / (time.perf_counter() - start)
    for channel in channels:
        await channel.close()
    return rate


def freight(msn: int) -> Freight:
    """Describe one of the segments."""
    return Freight(
        ledger_id=LedgerId(stream_id="match", incarnation="3f2a"),
        rendition_id="Low",
        msn=msn,
        suffix="m4s",
        object_key=f"streams/match/{msn:08d}-a.m4s",
        size_bytes=SEGMENT_BYTES,
    )


def report(ours: float, bare: float) -> int:
    """Print what was measured."""
    is_kept = ours >= RATE_BAR
    print(f"{WORKERS_COUNT} workers, {EDGES_COUNT} edges, segments of {SEGMENT_BYTES // 1024} KiB")
    print(f"  deliveries/s         {ours:8,.0f}   bar {RATE_BAR:,} {'kept' if is_kept else 'MISSED'}")
    print(f"  bare gRPC calls/s    {bare:8,.0f}   ratio {ours / bare:.2f}")
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
