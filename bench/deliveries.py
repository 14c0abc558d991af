"""How many objects a second a distributor delivers: four workers, two edges, over loopback.

The edges are processes of their own, which check the hash as gateways do and keep nothing. The peer is bare
gRPC: a call per object with the same bytes to the same edges, four at a time, without queue, retries or
timeouts. Sizes are those of captions, of short segments of a low rung, and of segments too large to go
together. The bar holds for the first two. Takes about 30 s.
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
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop
from weir.gateway.v1 import gateway_pb2 as pb
from weir.gateway.v1 import gateway_pb2_grpc as pb_grpc

# Started as a script, this folder would stand for the root.
sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.peer import played

from chassis import telemetry
from chassis.config import ServiceConfig
from chassis.grpc_client import open_channel
from chassis.grpc_server import serve
from chassis.storage import open_store
from distributor.adapters.freight import FreightStore
from distributor.adapters.gateway_client import GatewayCarrier, Push, pushes_together
from distributor.deliveries import Deliveries
from distributor.domain.delivery import Edge, EdgeKind, Freight, order_for
from distributor.domain.entries import LedgerId
from distributor.domain.profiles import PROFILES

WORKERS_COUNT, EDGES_COUNT = 4, 2
SEGMENTS_COUNT, ROUNDS_COUNT = 50, 3
RATE_BAR = 4_000
PROFILE = PROFILES[2]


@dataclass(frozen=True)
class Size:
    """One size of objects, and how many of them are delivered for a figure."""

    size_bytes: int
    deliveries_count: int
    has_bar: bool


SIZES = (
    Size(4 * 1024, 12_000, has_bar=True),
    Size(64 * 1024, 8_000, has_bar=True),
    Size(1024 * 1024, 400, has_bar=False),
)


async def take(requests: AsyncIterator[pb.PushSegmentRequest], _context: Any) -> pb.PushSegmentResponse:
    """Check a large segment, and keep nothing."""
    pieces = [piece async for piece in requests]
    received_bytes = checked(pieces[0].object, b"".join(piece.data for piece in pieces))
    return pb.PushSegmentResponse(received_bytes=received_bytes)


async def take_together(request: pb.PushSmallSegmentsRequest, _context: Any) -> pb.PushSmallSegmentsResponse:
    """Check small segments, and keep nothing."""
    outcomes = [pb.PushOutcome(received_bytes=checked(one.object, one.data)) for one in request.objects]
    return pb.PushSmallSegmentsResponse(outcomes=outcomes)


def checked(described: pb.PushedObject, data: bytes) -> int:
    """Check that the bytes are those that were announced; answers how many."""
    if len(data) != described.size_bytes or hashlib.sha256(data).digest() != described.sha256:
        raise ValueError("the bytes are others than announced")
    return len(data)


class NoLetters:
    """Nothing may fail here."""

    async def put(self, order: Any, *, attempts_count: int, error: str) -> None:
        raise RuntimeError(f"a delivery to {order.edge.name} failed {attempts_count} times: {error}")

    async def count(self) -> int:
        return 0


async def main() -> int:
    """Print the table; 1 if a bar was missed."""
    print(f"{WORKERS_COUNT} workers, {EDGES_COUNT} edges")
    print(f"{'':10}{'deliveries/s':>14}{'MB/s':>8}{'bar':>8}{'bare calls/s':>15}{'ratio':>8}")
    are_kept = []
    with ExitStack() as stack:
        edges = [stack.enter_context(running_edge(number)) for number in range(EDGES_COUNT)]
        for size in SIZES:
            ours, bare = [], []
            async with running_desk(size) as (desk, store):
                for _ in range(ROUNDS_COUNT):
                    ours.append(await rate_of_desk(desk, edges, size))
                    bare.append(await rate_of_bare_calls(store, edges, size))
            are_kept.append(report(size, statistics.median(ours), statistics.median(bare)))
    return 0 if all(are_kept) else 1


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

    service = pb.DESCRIPTOR.services_by_name["GatewayService"]
    edge = played(service, PushSegment=take, PushSmallSegments=take_together)

    def register(server: Any) -> None:
        server.add_generic_rpc_handlers((edge,))

    async def run() -> None:
        async with serve("127.0.0.1:0", register, services=[service.full_name], grace_s=0) as (_, port):
            port_of.send(port)
            await asyncio.Event().wait()

    telemetry.set_up("edge", ServiceConfig(log_level="warning"))
    uvloop.run(run())


@asynccontextmanager
async def running_desk(size: Size) -> AsyncIterator[tuple[Deliveries, FreightStore]]:
    """Run a desk with its workers over storage in memory."""
    storage = open_store("memory:")
    for msn in range(SEGMENTS_COUNT):
        await storage.put(freight(msn, size).object_key, msn.to_bytes(4) * (size.size_bytes // 4))
    store = FreightStore(storage, limit_bytes=SEGMENTS_COUNT * size.size_bytes)
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


async def rate_of_desk(desk: Deliveries, edges: Sequence[Edge], size: Size) -> float:
    """Deliveries per second by the desk."""
    start = time.perf_counter()
    for number in range(size.deliveries_count):
        one = freight(number % SEGMENTS_COUNT, size)
        await desk.take(order_for(edges[number % EDGES_COUNT], one, PROFILE, is_new=True))
    await desk.drained()
    return size.deliveries_count / (time.perf_counter() - start)


async def rate_of_bare_calls(store: FreightStore, edges: Sequence[Edge], size: Size) -> float:
    """A call for each of the same objects, without a desk."""
    numbers = itertools.count()
    channels = [open_channel(edge.address) for edge in edges]
    stubs: list[Any] = [pb_grpc.GatewayServiceStub(channel) for channel in channels]

    async def work() -> None:
        while (number := next(numbers)) < size.deliveries_count:
            one = freight(number % SEGMENTS_COUNT, size)
            push = Push(one, await store.load(one))
            await stubs[number % EDGES_COUNT].PushSmallSegments(pushes_together([push]))

    start = time.perf_counter()
    await asyncio.gather(*[work() for _ in range(WORKERS_COUNT)])
    rate = size.deliveries_count / (time.perf_counter() - start)
    for channel in channels:
        await channel.close()
    return rate


def freight(msn: int, size: Size) -> Freight:
    """Describe one of the segments."""
    return Freight(
        ledger_id=LedgerId(stream_id="match", incarnation="3f2a"),
        rendition_id="Low",
        msn=msn,
        suffix="m4s",
        object_key=f"streams/match/{msn:08d}-a.m4s",
        size_bytes=size.size_bytes,
    )


def report(size: Size, ours: float, bare: float) -> bool:
    """Print what was measured; whether the bar was kept."""
    is_kept = not size.has_bar or ours >= RATE_BAR
    bar = f"{RATE_BAR:,}" if size.has_bar else "-"
    print(
        f"{f'{size.size_bytes // 1024} KiB':>10}{ours:>14,.0f}{ours * size.size_bytes / 1e6:>8,.0f}"
        f"{bar:>8}{bare:>15,.0f}{ours / bare:>8.2f}{'' if is_kept else '  MISSED'}"
    )
    return is_kept


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
