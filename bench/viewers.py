"""What 10,000 viewers of one stream cost, of whom gateways report every 2 s.

The distributor is a process of its own, as in production. All viewers join; then five gateways report half of
them every second, while another process keeps asking for statistics, and for a page of viewers. Its peer is
NATS without it: the same messages, published and consumed as fast as goes. Takes about 40 s.
"""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import nats
from google.protobuf.timestamp_pb2 import Timestamp
from nats.aio.client import Client
from nats.js import api as js_api
from weir.distributor.v1 import distributor_pb2 as api
from weir.distributor.v1 import distributor_pb2_grpc as api_grpc
from weir.timeline.v1 import timeline_pb2 as pb
from weir.timeline.v1 import timeline_pb2_grpc

# Started as a script, this folder would stand for the root.
sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.ledger import entry_of_rendition, running_distributor, running_nats
from bench.machine import cpu_s, peak_memory_mib

from chassis.grpc_client import open_channel

STREAM = "match"
VIEWERS_COUNT, AT_ONCE_COUNT = 10_000, 100
GATEWAYS_COUNT, BATCH_COUNT = 5, 1_000
STEADY_S, ASK_EVERY_S = 12, 0.05
BURSTS_COUNT, BURST_MESSAGES_COUNT = 4, 20
CPU_BAR_CORES, MEMORY_BAR_MIB, ANSWER_BAR_MS = 1.0, 300, 50.0


async def main() -> int:
    """Print the table; 1 if a bar was missed."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-bench-"))
        url = stack.enter_context(running_nats(Path(folder)))
        process, address = stack.enter_context(running_distributor(url))
        client = await stack.enter_async_context(await nats.connect(url))
        channel = await stack.enter_async_context(open_channel(address))
        bench = Bench(channel, client, process.pid, address)
        await bench.prepare()
        joins_s = await bench.join()
        steady = await bench.steady()
        ours, theirs = await bench.bursts()
        await bench.check_total()
        return report(joins_s, steady, ours, theirs, peak_memory_mib(process.pid))


@dataclass(frozen=True)
class Steady:
    """What was measured while all viewers watched."""

    cores: float
    stats_ms: Sequence[float]
    pages_ms: Sequence[float]
    samples_s: float


class Bench:
    """One distributor, one stream, its viewers and the gateways that serve them."""

    def __init__(self, channel: Any, client: Client, pid: int, address: str) -> None:
        self._timeline: Any = timeline_pb2_grpc.TimelineServiceStub(channel)
        self._streams: Any = api_grpc.StreamServiceStub(channel)
        self._distribution: Any = api_grpc.DistributionServiceStub(channel)
        self._client = client
        self._pid = pid
        self._address = address
        self._sessions: list[str] = []
        self._numbers = [0] * GATEWAYS_COUNT
        self._sent_count = 0

    async def prepare(self) -> None:
        """Make a stream that can be joined, and the peer's JetStream stream like the log of views."""
        stream = pb.Stream(
            stream_id=STREAM, kind=pb.STREAM_KIND_VOD, container=pb.CONTAINER_CMAF, target_duration_s=4
        )
        opened = await self._timeline.Open(pb.OpenRequest(stream=stream, owner="bench"))
        segment = pb.Segment(
            rendition_id="Low",
            duration_s=4,
            object_key="streams/match/0/Low/0-a.m4s",
            size_bytes=500_000,
            init_key="streams/match/0/Low/init-1.mp4",
            init_size_bytes=800,
        )
        entries = [entry_of_rendition("Low"), pb.Entry(segment=segment), pb.Entry(ended=pb.Ended())]
        request = pb.AppendRequest(
            stream_id=STREAM,
            incarnation=opened.stream.incarnation,
            epoch=opened.epoch,
            expected_sequence=opened.sequence,
            entries=entries,
        )
        await self._timeline.Append(request)
        start = api.StartDistributionRequest(recording_id=STREAM, max_viewers=VIEWERS_COUNT)
        await self._distribution.StartDistribution(start)
        await self._client.jetstream().add_stream(js_api.StreamConfig(name="RAW", subjects=["raw"]))

    async def join(self) -> float:
        """Let everybody join, a hundred at a time; joins per second."""
        start = time.perf_counter()
        waiting = iter(range(VIEWERS_COUNT))

        async def join_some() -> None:
            for number in waiting:
                request = api.JoinStreamRequest(stream_id=STREAM, viewer_id=f"viewer-{number:05}")
                self._sessions.append((await self._distribution.JoinStream(request)).session_id)

        await asyncio.gather(*(join_some() for _ in range(AT_ONCE_COUNT)))
        return VIEWERS_COUNT / (time.perf_counter() - start)

    async def steady(self) -> Steady:
        """Let the gateways report, and ask for statistics meanwhile."""
        ours, theirs = multiprocessing.Pipe()
        asker = multiprocessing.get_context("spawn").Process(target=run_asker, args=(self._address, theirs))
        asker.start()
        await asyncio.to_thread(ours.recv)  # it has been answered once
        start, before_s, sent = time.perf_counter(), cpu_s(self._pid), self._sent_count
        await asyncio.gather(*(self._report_steadily(gateway) for gateway in range(GATEWAYS_COUNT)))
        elapsed_s = time.perf_counter() - start
        cores = (cpu_s(self._pid) - before_s) / elapsed_s
        ours.send("stop")
        stats_ms, pages_ms = await asyncio.to_thread(ours.recv)
        await asyncio.to_thread(asker.join)
        return Steady(cores, stats_ms, pages_ms, (self._sent_count - sent) / elapsed_s)

    async def bursts(self) -> tuple[Sequence[float], Sequence[float]]:
        """Report, and publish the same to NATS alone, as fast as goes; samples per second."""
        ours, theirs = [], []
        for number in range(BURSTS_COUNT + 1):
            messages = [self._message(index % GATEWAYS_COUNT) for index in range(BURST_MESSAGES_COUNT)]
            rates = [await self._raw_rate(messages), await self._rate(messages)]
            if number:  # the first round does not count
                theirs.append(rates[0])
                ours.append(rates[1])
        return ours, theirs

    async def check_total(self) -> None:
        """Nothing that was sent is missing, or counted twice."""
        stats = await self._stats()
        assert stats.segments_served == self._sent_count, (stats.segments_served, self._sent_count)
        assert stats.current_viewers == VIEWERS_COUNT, stats.current_viewers

    async def _report_steadily(self, gateway: int) -> None:
        async def messages() -> AsyncIterator[api.ReportDeliveriesRequest]:
            start = time.perf_counter()
            for second in range(STEADY_S):
                due = start + second + gateway / GATEWAYS_COUNT
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                yield self._message(gateway)
            await asyncio.sleep(max(0.0, start + STEADY_S - time.perf_counter()))

        await self._distribution.ReportDeliveries(messages())

    async def _rate(self, messages: Sequence[api.ReportDeliveriesRequest]) -> float:
        start = time.perf_counter()
        await self._distribution.ReportDeliveries(iter(messages))
        while (await self._stats()).segments_served < self._sent_count:  # noqa: ASYNC110 - another process counts
            await asyncio.sleep(0.005)
        return len(messages) * BATCH_COUNT / (time.perf_counter() - start)

    async def _raw_rate(self, messages: Sequence[api.ReportDeliveriesRequest]) -> float:
        js = self._client.jetstream()
        policy = js_api.DeliverPolicy.NEW
        subscription = await js.subscribe("raw", ordered_consumer=True, deliver_policy=policy)
        start = time.perf_counter()
        for message in messages:
            await js.publish("raw", message.SerializeToString())
        for _ in messages:
            api.ReportDeliveriesRequest.FromString((await subscription.next_msg(timeout=10)).data)
        rate = len(messages) * BATCH_COUNT / (time.perf_counter() - start)
        await subscription.unsubscribe()
        return rate

    async def _stats(self) -> api.GetStreamStatsResponse:
        stats: api.GetStreamStatsResponse = await self._streams.GetStreamStats(
            api.GetStreamStatsRequest(stream_id=STREAM)
        )
        return stats

    def _message(self, gateway: int) -> api.ReportDeliveriesRequest:
        """What a gateway sent to half of its viewers within a second: a segment each."""
        number = self._numbers[gateway]
        self._numbers[gateway] += 1
        self._sent_count += BATCH_COUNT
        first = (2 * gateway + number % 2) * BATCH_COUNT
        return api.ReportDeliveriesRequest(
            gateway=f"gateway-{gateway}",
            report_number=number,
            grpc_address=f"10.0.0.{gateway}:50054",
            samples=map(sample, self._sessions[first : first + BATCH_COUNT]),
        )


def run_asker(address: str, pipe: Connection) -> None:
    """Ask until told to stop; a process of its own, so that nothing else delays the clock."""
    pipe.send(asyncio.run(ask_until_told(address, pipe)))


async def ask_until_told(address: str, pipe: Connection) -> tuple[Sequence[float], Sequence[float]]:
    """Ask for statistics and for a page of viewers in turn; how long each answer took, ms."""
    stats_ms: list[float] = []
    pages_ms: list[float] = []
    async with open_channel(address) as channel:
        streams: Any = api_grpc.StreamServiceStub(channel)
        distribution: Any = api_grpc.DistributionServiceStub(channel)
        await streams.GetStreamStats(api.GetStreamStatsRequest(stream_id=STREAM))
        pipe.send("asking")
        while not pipe.poll():
            asked = streams.GetStreamStats(api.GetStreamStatsRequest(stream_id=STREAM))
            stats_ms.append(await timed_ms(asked))
            await asyncio.sleep(ASK_EVERY_S)
            asked = distribution.GetDistribution(api.GetDistributionRequest(stream_id=STREAM))
            pages_ms.append(await timed_ms(asked))
            await asyncio.sleep(ASK_EVERY_S)
    return stats_ms, pages_ms


async def timed_ms(answer: Awaitable[object]) -> float:
    """How long an answer takes."""
    start = time.perf_counter()
    await answer
    return (time.perf_counter() - start) * 1e3


def percentile(values: Sequence[float], ratio: float) -> float:
    """The value below which so much of them lies."""
    return sorted(values)[math.ceil(len(values) * ratio) - 1]


def sample(session_id: str) -> api.DeliverySample:
    served = api.VariantDelivery(
        variant_id="Low", segments_count=1, size_bytes=500_000, requests_count=2, failed_requests_count=0
    )
    return api.DeliverySample(
        stream_id=STREAM,
        session_id=session_id,
        variant_id="Low",
        segments_count=1,
        size_bytes=500_000,
        cache_hits_count=2,
        buffer_s=8.5,
        latency_s=2.5,
        last_time=Timestamp(seconds=int(time.time())),
        variants=[served],
    )


def report(
    joins_s: float, steady: Steady, ours: Sequence[float], theirs: Sequence[float], memory_mib: float
) -> int:
    """Print what was measured beside what it should be."""
    slowest_ms = [percentile(steady.stats_ms, 0.99), percentile(steady.pages_ms, 0.99)]
    ours_s, theirs_s = statistics.median(ours), statistics.median(theirs)
    print(f"{'':44}{'measured':>10}{'bar':>8}")
    print(
        f"{f'CPU at {steady.samples_s:,.0f} samples/s':44}{steady.cores:>10.2f}{CPU_BAR_CORES:>8.1f}  cores"
    )
    print(f"{'statistics answered, 99th percentile':44}{slowest_ms[0]:>10.1f}{ANSWER_BAR_MS:>8.0f}  ms")
    print(f"{'statistics answered, median':44}{statistics.median(steady.stats_ms):>10.1f}{'':>8}  ms")
    print(f"{'a page of viewers, 99th percentile':44}{slowest_ms[1]:>10.1f}{ANSWER_BAR_MS:>8.0f}  ms")
    print(f"{'a page of viewers, median':44}{statistics.median(steady.pages_ms):>10.1f}{'':>8}  ms")
    print(f"{'memory of the distributor, peak':44}{memory_mib:>10.0f}{MEMORY_BAR_MIB:>8}  MiB")
    print(f"{f'joins, {AT_ONCE_COUNT} at once':44}{joins_s:>10,.0f}{'':>8}  joins/s")
    print(f"{'reports until counted, as fast as goes':44}{ours_s:>10,.0f}{'':>8}  samples/s")
    print(f"{'the same through NATS alone':44}{theirs_s:>10,.0f}{'':>8}  ratio {ours_s / theirs_s:.2f}")
    bars = (steady.cores, CPU_BAR_CORES), (max(slowest_ms), ANSWER_BAR_MS), (memory_mib, MEMORY_BAR_MIB)
    missed = any(measured > bar for measured, bar in bars)
    print("MISSED a bar" if missed else "all bars reached")
    return int(missed)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
