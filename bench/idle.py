"""What live streams cost that nobody publishes to: 1,000 that were created, and wait for media.

The suite is real. CPU and memory of its processes are measured over the same time before the streams are
there and once they are, and printed beside each other: the same processes without them are the peer. It is
long enough that everything that is done regularly is done once, but for the sweep every ten minutes. What the
kernel counts for a process is much the same on a busy machine. Takes a minute and a half.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from weir.distributor.v1 import distributor_pb2 as pb
from weir.distributor.v1 import distributor_pb2_grpc as pb_grpc

from chassis.grpc_client import open_channel

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from bench.machine import cpu_s, memory_mib

from support.stack import Stack, running_stack

STREAMS_COUNT, CREATORS_COUNT, PAGE_COUNT = 1_000, 20, 500
MEASURED_S = 32.0
"""More than WEIR_CLEANUP_INTERVAL_S, the longest of what is done regularly, but for the sweep."""
PROCESSES = ("distributor", "hls-gateway", "transcoder", "nats")
CPU_BAR_CORES, MEMORY_BAR_MIB = 0.01, 16.0
"""What each process may use more, of all the streams together."""


class Used(NamedTuple):
    """What a process uses."""

    cores: float
    """CPU seconds per second."""
    memory_mib: float


def main() -> int:
    """Print the table; 1 if a bar was missed."""
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        running_stack(Path(folder) / "suite") as stack,
    ):
        asyncio.run(create(stack, ["first"]))  # what is made once for any stream is no cost of these
        before = measure(stack)
        start = time.perf_counter()
        counted = asyncio.run(create(stack, [f"idle-{number}" for number in range(STREAMS_COUNT)]))
        print(f"{counted} streams wait for media, created in {time.perf_counter() - start:.1f} s")
        return report(before, measure(stack), counted)


async def create(stack: Stack, stream_ids: list[str]) -> int:
    """Create streams, several at once; tells how many there are then that wait for media."""
    async with open_channel(stack.grpc_address("distributor")) as channel:
        streams: Any = pb_grpc.StreamServiceStub(channel)
        waiting = iter(stream_ids)

        async def create_next() -> None:
            for stream_id in waiting:
                await streams.CreateStream(pb.CreateStreamRequest(stream_id=stream_id))

        await asyncio.gather(*(create_next() for _ in range(CREATORS_COUNT)))
        return await count_waiting(streams)


async def count_waiting(streams: Any) -> int:
    """Count the streams that were created and have no media, page by page."""
    statuses: Counter[str] = Counter()
    token = ""
    while True:
        page = await streams.ListStreams(pb.ListStreamsRequest(page_size=PAGE_COUNT, page_token=token))
        statuses.update(stream.status for stream in page.streams)
        if not (token := page.next_page_token):
            return statuses["created"]


def measure(stack: Stack) -> Mapping[str, Used]:
    """Look what each process uses while nobody asks anything."""
    pids = {name: stack.pid(name) for name in PROCESSES}
    start, cpu_before_s = time.perf_counter(), {name: cpu_s(pid) for name, pid in pids.items()}
    time.sleep(MEASURED_S)
    lasted_s = time.perf_counter() - start
    return {
        name: Used((cpu_s(pid) - cpu_before_s[name]) / lasted_s, memory_mib(pid))
        for name, pid in pids.items()
    }


def report(before: Mapping[str, Used], after: Mapping[str, Used], counted: int) -> int:
    """Print what was used with the streams beside what was used without."""
    print(f"{'':14}{'cores, without and with':>30}{'ratio':>8}{'MiB, without and with':>30}{'ratio':>8}")
    kept = [show(name, before[name], after[name]) for name in PROCESSES]
    are_all_there = counted == STREAMS_COUNT + 1
    print(f"bars: {CPU_BAR_CORES:g} cores and {MEMORY_BAR_MIB:g} MiB more, each process")
    return int(not (all(kept) and are_all_there))


def show(name: str, before: Used, after: Used) -> bool:
    """Print one process's figures; tell whether the bars were kept."""
    kept = (
        after.cores - before.cores <= CPU_BAR_CORES and after.memory_mib - before.memory_mib <= MEMORY_BAR_MIB
    )
    cores, memory = (f"{old:.4f} {new:.4f}" for old, new in zip(before, after, strict=True))
    ratios = [f"{new / max(old, 1e-4):.2f}" for old, new in zip(before, after, strict=True)]
    print(f"{name:14}{cores:>30}{ratios[0]:>8}{memory:>30}{ratios[1]:>8}   {'kept' if kept else 'MISSED'}")
    return kept


if __name__ == "__main__":
    sys.exit(main())
