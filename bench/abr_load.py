"""Beside the abr service in `bench/abr_service.py`: a peer that does nothing, and a client that asks.

abr_load.py serve                                   serve at WEIR_GRPC_ADDRESS until killed
abr_load.py ask ADDRESS STREAM COUNT PER_SECOND     print the 99th percentile of the answers' times, ms
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

# `bench/abr.py` would hide the service's package: look from the project's root instead.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).parents[1]))

import grpc
import uvloop
from bench.peer import played
from weir.abr.v1 import abr_pb2 as pb

from chassis.grpc_server import SERVER_OPTIONS

METHOD = "/weir.abr.v1.AbrService/SelectQuality"
VIEWERS_COUNT = 4_000
WARM_COUNT = 50
"""Questions before those that count: a channel opens, code is loaded."""


async def answer(request: pb.SelectQualityRequest, _context: Any) -> pb.SelectQualityResponse:
    """Let everybody play on."""
    return pb.SelectQualityResponse(bitrate_label=request.current_quality)


async def take(requests: AsyncIterator[pb.ReportSamplesRequest], _context: Any) -> pb.ReportSamplesResponse:
    """Count samples, and do nothing with them."""
    count = 0
    async for request in requests:
        count += len(request.samples) + len(request.columns.sample_time_s)
    return pb.ReportSamplesResponse(accepted_count=count)


async def serve() -> None:
    """Serve until killed."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    service = pb.DESCRIPTOR.services_by_name["AbrService"]
    server.add_generic_rpc_handlers((played(service, SelectQuality=answer, ReportSamples=take),))
    server.add_insecure_port(os.environ["WEIR_GRPC_ADDRESS"])
    await server.start()
    gc.freeze()
    await server.wait_for_termination()


async def ask(address: str, stream_id: str, count: int, per_second: float) -> float:
    """Ask at an even pace, whatever became of the questions before; the 99th percentile, milliseconds."""
    waits_ms: list[float] = []
    asked = [question(stream_id, number) for number in range(count)]
    async with grpc.aio.insecure_channel(address) as channel:
        select: Any = channel.unary_unary(METHOD)  # bytes in, bytes out

        async def one(request: bytes) -> None:
            start = time.perf_counter()
            await select(request)
            waits_ms.append((time.perf_counter() - start) * 1e3)

        for request in asked[:WARM_COUNT]:
            await one(request)
        waits_ms.clear()
        gc.collect()
        gc.disable()
        start = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number, request in enumerate(asked):
                await asyncio.sleep(start + number / per_second - time.perf_counter())
                tasks.create_task(one(request))
    return percentile(waits_ms)


def question(stream_id: str, number: int) -> bytes:
    return pb.SelectQualityRequest(
        recording_id=stream_id,
        viewer_id=f"0b2f6c1e-77aa-4d2c-9a60-{number % VIEWERS_COUNT:012d}",
        bandwidth=3_000,
        buffer_s=12,
        current_quality="Medium",
    ).SerializeToString()


def percentile(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            uvloop.run(serve())
        case ["ask", address, stream_id, count, per_second]:
            print(uvloop.run(ask(address, stream_id, int(count), float(per_second))))
        case _:
            sys.exit(__doc__)
