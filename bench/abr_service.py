"""What adaptation costs: samples by the thousand, one decision, and the answer to a player that asks.

The abr service is a process of its own, with NATS and a distributor beside it, as in production. Its peer is
a gRPC server that takes the same messages, parses them and does nothing: what is above it is ours. Both serve
on one core, and everything else, the clients too, runs on the others, where there are any.

Of samples, the CPU is measured that the kernel counts for the process, so that what else the machine does
costs others, over a whole interval in which each viewer is saved once. Of answers it is the time from a
question to its answer, as a client of its own sees it (`bench/abr_load.py`): it asks at an even pace,
whatever became of the questions before, over one channel, in bytes that are written beforehand, without
garbage collection; rounds alternate. Takes about two minutes.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# `bench/abr.py` would hide the service's package: look from the project's root instead.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import grpc
from bench.ledger import free_port, running, running_distributor, running_nats, wait_for_port
from bench.machine import cpu_s
from google.protobuf.timestamp_pb2 import Timestamp
from weir.abr.v1 import abr_pb2 as pb
from weir.abr.v1 import abr_pb2_grpc as pb_grpc
from weir.timeline.v1 import timeline_pb2 as timeline
from weir.timeline.v1 import timeline_pb2_grpc

from abr.domain.decision import decide
from abr.domain.folding import take
from abr.domain.policies import POLICIES
from abr.domain.sample import Sample
from abr.domain.stream import Stream
from abr.domain.view import Rung
from abr.domain.viewer import Viewer
from chassis.grpc_client import open_channel
from support.abr import columns

RATES_BPS = {"VeryLow": 500_000, "Low": 1_000_000, "Medium": 2_000_000, "High": 4_000_000}
VIEWERS_COUNT = 4_000
BATCH_COUNT, SAMPLES_S = 1_000, 20_000
WARM_S, SAVING_S = 2.0, 10.0
"""Until all viewers are known; and in how much each is saved once (the default WEIR_SNAPSHOT_INTERVAL_S)."""
SEGMENT_S, PART_S = 2.0, 1 / 3
QUESTIONS_S, ROUND_S, ROUNDS = 500, 2.0, 3
CPU_BAR, DECISION_BAR_US, ANSWER_BAR_MS = 0.2, 200, 5.0
MOST_STRETCH_RATIO = 1.5
STREAM = "bench"
LOAD = Path(__file__).with_name("abr_load.py")
CORES = sorted(os.sched_getaffinity(0))
SERVERS_CORE = CORES[:1]
OTHER_CORES = CORES[1:] or CORES


async def main() -> int:
    """Print the table; 1 if a bar was missed."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-bench-")))
        nats_url = stack.enter_context(running_nats(folder))
        _, distributor = stack.enter_context(running_distributor(nats_url))
        with on_cores(SERVERS_CORE):
            ours = stack.enter_context(running_abr(nats_url, distributor))
            theirs = stack.enter_context(running_peer())
        await make_stream(await stack.enter_async_context(open_channel(distributor)))
        servers = [await opened(stack, server) for server in (ours, theirs)]
        with on_cores(OTHER_CORES):
            rows = [
                await samples(servers, "samples by columns", in_columns(measurements), bar=CPU_BAR),
                await questions(servers),
                await samples(servers, "the same with 1,667 decisions/s", in_columns(parts)),
                await samples(servers, "samples one by one", one_by_one(measurements)),
                decisions(),
            ]
        return report(rows)


@dataclass(frozen=True)
class Server:
    """A process that serves AbrService."""

    pid: int
    address: str
    stub: Any = None


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    unit: str
    ours: float
    theirs: float
    bar: float | None


Make = Callable[[int], pb.ReportSamplesRequest]


async def samples(servers: Sequence[Server], name: str, make: Make, *, bar: float | None = None) -> Row:
    """Send 20,000 samples per second; CPU seconds per 20,000 of the process that takes them."""
    shares = []
    for server in servers:
        await send(server.stub, made(make, WARM_S))
        requests = made(make, SAVING_S)
        start = time.perf_counter()
        shares.append(await cpu_share(server, send(server.stub, requests)))
        tell_stretch(name, time.perf_counter() - start)
    ours, theirs = shares
    return Row(f"{name}, {SAMPLES_S:,}/s", "of a core", ours, theirs, bar)


def made(make: Make, duration_s: float) -> Sequence[pb.ReportSamplesRequest]:
    """Make what is sent in so much time."""
    return [make(index) for index in range(int(duration_s * SAMPLES_S / BATCH_COUNT))]


def tell_stretch(name: str, took_s: float) -> None:
    """Say so where the machine was too busy: what goes by the clock, saving, then counts more than once."""
    ratio = took_s / SAVING_S
    if ratio > MOST_STRETCH_RATIO:
        print(f"{name}: took {ratio:.1f} times as long as it should, so that too much is counted")


async def cpu_share(server: Server, work: Awaitable[None]) -> float:
    """Of a core, what a process would take if the samples came in their time.

    On a machine that is busy with other things they come later.
    """
    before_s = cpu_s(server.pid)
    await work
    return (cpu_s(server.pid) - before_s) / SAVING_S


async def send(stub: Any, requests: Sequence[pb.ReportSamplesRequest]) -> None:
    """Stream batches at an even pace, made beforehand: cores may share what they have."""

    async def batches() -> AsyncIterator[pb.ReportSamplesRequest]:
        start = time.perf_counter()
        for number, request in enumerate(requests):
            yield request
            await asyncio.sleep(start + (number + 1) * BATCH_COUNT / SAMPLES_S - time.perf_counter())

    answer = await stub.ReportSamples(batches())
    if answer.accepted_count != len(requests) * BATCH_COUNT:
        raise RuntimeError(f"samples were dropped: {answer}")


def parts(number: int) -> Sequence[pb.Sample]:
    """What gateways see of low latency: a video part and an audio part, every third of a second."""
    return [
        sample(
            number * BATCH_COUNT // 2 + index // 2,
            variant_id="audio" if index % 2 else "Medium",
            size_bytes=80_000,
            duration_s=PART_S,
        )
        for index in range(BATCH_COUNT)
    ]


def measurements(number: int) -> Sequence[pb.Sample]:
    """Video of unknown duration in each sample: all of them are folded, and no decision is due."""
    return [
        sample(number * BATCH_COUNT + index, variant_id="Medium", size_bytes=80_000)
        for index in range(BATCH_COUNT)
    ]


def one_by_one(measured: Callable[[int], Sequence[pb.Sample]]) -> Make:
    return lambda number: pb.ReportSamplesRequest(reporter="bench", samples=measured(number))


def in_columns(measured: Callable[[int], Sequence[pb.Sample]]) -> Make:
    """As gateways tell them."""
    return lambda number: pb.ReportSamplesRequest(reporter="bench", columns=columns(measured(number)))


def sample(place: int, **fields: Any) -> pb.Sample:
    viewer, now_s = place % VIEWERS_COUNT, time.time()
    return pb.Sample(
        stream_id=STREAM,
        viewer_id=f"0b2f6c1e-77aa-4d2c-9a60-{viewer:012d}",
        sample_time=Timestamp(seconds=int(now_s), nanos=int(now_s % 1 * 1e9)),
        transfer_ms=50 + viewer % 50,
        player_throughput_bps=8e6,
        buffer_s=4 + viewer % 7,
        encoded_bps=2_000_000,
        top_bps=4_000_000,
        **fields,
    )


def decisions() -> Row:
    """Decide for a viewer of whom twelve downloads are known, in this process; microseconds of CPU.

    The peer is the policy that does nothing: what is above it is the default's own.
    """
    viewer = measured_viewer()
    costs = {name: decision_us(viewer, name) for name in POLICIES}
    print("one decision, us:", ", ".join(f"{name} {cost:.0f}" for name, cost in costs.items()))
    return Row("one decision, default policy", "us", costs["default"], costs["fixed"], DECISION_BAR_US)


def decision_us(viewer: Viewer, policy: str, count: int = 500) -> float:
    now_s = time.time()
    costs = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(count):
            viewer.note_decision(decide(POLICIES[policy], viewer.view(now_s)), now_s, obeyed=False)
        costs.append((time.process_time() - start) / count * 1e6)
    return statistics.median(costs)


def measured_viewer() -> Viewer:
    rungs = [
        Rung(rendition_id=name, name=name, rate_bps=rate, width_pixels=0, height_pixels=0, frame_rate=30)
        for name, rate in RATES_BPS.items()
    ]
    stream = Stream(stream_id=STREAM, ladder=tuple(rungs), segment_s=4, buffer_target_s=30, is_live=False)
    now_s = time.time()
    viewer = Viewer("ann", stream, now_s - 100)
    for msn in range(20):
        end_s = now_s - 80 + 4 * msn
        took_s = 0.8 + msn % 3 / 4
        measured = Sample("Medium", msn, end_s, 900_000, took_s, 0, 14 + msn % 5, 4, 0, 1, False, False)
        take(viewer, measured, now_s)
    return viewer


async def questions(servers: Sequence[Server]) -> Row:
    """Ask 500 times per second, whether answers come or not; the 99th percentile, milliseconds."""
    waits: dict[int, list[float]] = {server.pid: [] for server in servers}
    for number in range(ROUNDS + 1):
        for server in servers:
            wait_ms = await asked(server)
            if number:  # in the first round the viewers become known
                waits[server.pid].append(wait_ms)
    print(
        "SelectQuality, ms by round:",
        ", ".join(f"{ours:.2f}/{theirs:.2f}" for ours, theirs in zip(*waits.values(), strict=True)),
    )
    ours, theirs = (statistics.median(waits[server.pid]) for server in servers)
    return Row(f"SelectQuality at {QUESTIONS_S}/s, 99th percentile", "ms", ours, theirs, ANSWER_BAR_MS)


async def asked(server: Server) -> float:
    """Let a client of its own ask for one round."""
    count = int(QUESTIONS_S * ROUND_S)
    argv = [sys.executable, str(LOAD), "ask", server.address, STREAM, str(count), str(QUESTIONS_S)]
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    told, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the client that asks ended with {process.returncode}")
    return float(told)


def report(rows: Sequence[Row]) -> int:
    """Print what was measured beside what it should be."""
    print(f"{'':50}{'abr':>10}{'peer':>10}{'ratio':>8}{'bar':>8}")
    for row in rows:
        ratio, bar = row.ours / row.theirs, "" if row.bar is None else f"{row.bar:g}"
        print(f"{row.name:50}{row.ours:>10.3f}{row.theirs:>10.3f}{ratio:>8.1f}{bar:>8}  {row.unit}")
    missed = [row.name for row in rows if row.bar is not None and row.ours > row.bar]
    print(f"MISSED: {'; '.join(missed)}" if missed else "all bars reached")
    return int(bool(missed))


async def make_stream(channel: grpc.aio.Channel) -> None:
    """Announce a segment of each rendition, so that there is a ladder."""
    stub = timeline_pb2_grpc.TimelineServiceStub(channel)
    description = timeline.Stream(
        stream_id=STREAM,
        kind=timeline.STREAM_KIND_LIVE,
        container=timeline.CONTAINER_CMAF,
        target_duration_s=int(SEGMENT_S),
        part_target_s=PART_S,
    )
    opened = await stub.Open(timeline.OpenRequest(stream=description, owner="bench"))
    entries = [entry for name, rate_bps in RATES_BPS.items() for entry in announced(name, rate_bps)]
    await stub.Append(
        timeline.AppendRequest(
            stream_id=STREAM,
            incarnation=opened.stream.incarnation,
            epoch=opened.epoch,
            expected_sequence=opened.sequence,
            entries=entries,
        )
    )


def announced(name: str, rate_bps: int) -> Sequence[timeline.Entry]:
    rendition = timeline.Rendition(
        rendition_id=name,
        name=name,
        media_kind=timeline.MEDIA_KIND_VIDEO,
        codecs="avc1.64001f",
        width_pixels=1280,
        height_pixels=720,
        frame_rate_numerator=30,
        frame_rate_denominator=1,
        target_bps=rate_bps,
        peak_bps=rate_bps,
    )
    segment = timeline.Segment(
        rendition_id=name,
        duration_s=SEGMENT_S,
        program_date_time=Timestamp(seconds=int(time.time())),
        object_key=f"streams/{STREAM}/0badcafe/{name}/00000000-0badcafe.m4s",
        size_bytes=int(rate_bps * SEGMENT_S / 8),
        init_key=f"streams/{STREAM}/0badcafe/{name}/init-0badcafe.mp4",
        init_size_bytes=800,
    )
    return timeline.Entry(rendition=rendition), timeline.Entry(segment=segment)


async def opened(stack: AsyncExitStack, server: Server) -> Server:
    channel = await stack.enter_async_context(open_channel(server.address))
    return Server(pid=server.pid, address=server.address, stub=pb_grpc.AbrServiceStub(channel))


@contextmanager
def running_abr(nats_url: str, distributor: str) -> Iterator[Server]:
    """Run an abr process."""
    settings = {"WEIR_NATS_URL": nats_url, "WEIR_DISTRIBUTOR_ADDRESS": distributor}
    with running_server([sys.executable, "-m", "abr"], settings) as server:
        yield server


@contextmanager
def running_peer() -> Iterator[Server]:
    """Run the server that does nothing."""
    with running_server([sys.executable, str(LOAD), "serve"], {}) as server:
        yield server


@contextmanager
def running_server(argv: list[str], settings: dict[str, str]) -> Iterator[Server]:
    address = f"127.0.0.1:{free_port()}"
    own = {"WEIR_GRPC_ADDRESS": address, "WEIR_LOG_LEVEL": "warning", **settings}
    with running(argv, Path(os.devnull), own) as process:
        wait_for_port(int(address.rsplit(":", 1)[1]))
        yield Server(pid=process.pid, address=address)


@contextmanager
def on_cores(cores: Iterable[int]) -> Iterator[None]:
    """Let this process, and those that begin within the block, run on these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
