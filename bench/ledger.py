"""What the ledger costs over raw JetStream: appends, news to 100 watchers, replay of 500 records.

The distributor is a process of its own, as in production. Its peer is NATS without it: the same bytes, stored
by the same compare-and-set in the same server, told to the same number of listeners. Rounds alternate, so
that whatever else the machine does falls on both; what counts is the median. Takes about 40 s.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats
from google.protobuf.timestamp_pb2 import Timestamp
from nats.aio.client import Client
from nats.js import api
from weir.timeline.v1 import timeline_pb2 as pb
from weir.timeline.v1 import timeline_pb2_grpc

# Started as a script, this folder would stand for the root.
sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.machine import peak_memory_mib

from chassis.grpc_client import open_channel
from weir_cli.programs import nats_server_path

WRITERS_COUNT, ROUNDS, ROUND_S = 20, 5, 2.0
RENDITIONS = ("VeryLow", "Low", "Medium", "High", "audio")
WATCHERS_COUNT, EVENTS_COUNT = 100, 40
HISTORY_COUNT, REPLAYS_COUNT = 500, 10
PART_S = 1 / 3
APPEND_BAR_ENTRIES_S = 2_000
MEMORY_BAR_MIB = 250


async def main() -> int:
    """Print the table; 1 if a bar was missed."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-bench-"))
        url = stack.enter_context(running_nats(Path(folder)))
        process, address = stack.enter_context(running_distributor(url))
        client = await stack.enter_async_context(await nats.connect(url))
        channel = await stack.enter_async_context(open_channel(address))
        bench = Bench(timeline_pb2_grpc.TimelineServiceStub(channel), client)
        await bench.prepare()
        rows = [await bench.appends(), await bench.news(), await bench.replays()]
        return report(rows, peak_memory_mib(process.pid))


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured of the ledger and of its peer."""

    name: str
    unit: str
    ours: Sequence[float]
    theirs: Sequence[float]


@dataclass
class Writer:
    """One live stream's owner: it appends a part of each rendition at a time."""

    timeline: Any
    stream_id: str
    opened: pb.OpenResponse = field(default_factory=pb.OpenResponse)
    sequence: int = 0
    part: int = 0

    async def open(self) -> None:
        request = pb.OpenRequest(stream=stream_of(self.stream_id), owner="bench")
        self.opened = await self.timeline.Open(request)
        self.sequence = self.opened.sequence
        await self.append([entry_of_rendition(name) for name in RENDITIONS])

    async def append_part(self) -> None:
        await self.append([entry_of_part(name, self.part) for name in RENDITIONS])
        self.part += 1

    async def append(self, entries: Sequence[pb.Entry]) -> None:
        request = pb.AppendRequest(
            stream_id=self.stream_id,
            incarnation=self.opened.stream.incarnation,
            epoch=self.opened.epoch,
            expected_sequence=self.sequence,
            entries=entries,
        )
        self.sequence = (await self.timeline.Append(request)).sequence


@dataclass
class RawWriter:
    """The same bytes, stored by the same compare-and-set, without a distributor."""

    client: Client
    subject: str
    sequence: int = 0
    part: int = 0

    async def append_part(self) -> None:
        record = pb.Record(epoch=1, entries=[entry_of_part(name, self.part) for name in RENDITIONS])
        headers = {"Nats-Expected-Last-Subject-Sequence": str(self.sequence)}
        js = self.client.jetstream()
        ack = await js.publish(self.subject, record.SerializeToString(), headers=headers)
        self.sequence, self.part = ack.seq, self.part + 1


class Bench:
    """The three comparisons, over one distributor and one connection to NATS."""

    def __init__(self, timeline: Any, client: Client) -> None:
        self._timeline = timeline
        self._client = client
        self._writers = [Writer(timeline, f"live-{number}") for number in range(WRITERS_COUNT)]
        self._raw_writers = [RawWriter(client, f"raw.{number}") for number in range(WRITERS_COUNT)]

    async def prepare(self) -> None:
        """Open the streams, and make the peer's JetStream stream like the ledger's."""
        raw = api.StreamConfig(
            name="RAW",
            subjects=["raw.>"],
            allow_direct=True,
            republish=api.RePublish(src="raw.>", dest="news.raw.>"),
        )
        await self._client.jetstream().add_stream(raw)
        for writer in self._writers:
            await writer.open()

    async def appends(self) -> Row:
        """Append from all writers at once, as fast as it goes; entries per second."""
        ours, theirs = [], []
        for number in range(ROUNDS + 1):
            rates = [await entries_per_second(writers) for writers in (self._raw_writers, self._writers)]
            if number:  # the first round does not count
                theirs.append(rates[0])
                ours.append(rates[1])
        return Row(f"appends, {WRITERS_COUNT} streams at once", "entries/s", ours, theirs)

    async def news(self) -> Row:
        """Append once, and wait until the last of all watchers has heard it; milliseconds."""
        writer, raw_writer = self._writers[0], self._raw_writers[0]
        ours, theirs = [], []
        async with (
            watchers(self._timeline, writer.stream_id) as ours_heard,
            listeners(self._client, f"news.{raw_writer.subject}") as theirs_heard,
        ):
            for _ in range(EVENTS_COUNT):
                theirs.append(await milliseconds(raw_writer.append_part, theirs_heard))
                ours.append(await milliseconds(writer.append_part, ours_heard))
        return Row(f"append to the last of {WATCHERS_COUNT} watchers", "ms", ours, theirs)

    async def replays(self) -> Row:
        """Read a history from its beginning; milliseconds."""
        writer, raw_writer = Writer(self._timeline, "history"), RawWriter(self._client, "raw.history")
        await writer.open()
        for _ in range(HISTORY_COUNT):
            await writer.append_part()
            await raw_writer.append_part()
        ours, theirs = [], []
        for _ in range(REPLAYS_COUNT):
            theirs.append(await milliseconds(self._read_raw_history))
            ours.append(await milliseconds(self._read_history))
        return Row(f"replay of {HISTORY_COUNT} records", "ms", ours, theirs)

    async def _read_history(self) -> None:
        call = self._timeline.Watch(pb.WatchRequest(stream_id="history"))
        async for response in call:
            if response.HasField("caught_up"):
                break
        call.cancel()

    async def _read_raw_history(self) -> None:
        subscription = await self._client.jetstream().subscribe("raw.history", ordered_consumer=True)
        for _ in range(HISTORY_COUNT):
            await subscription.next_msg()
        await subscription.unsubscribe()


async def entries_per_second(writers: Sequence[Writer] | Sequence[RawWriter]) -> float:
    """Let all writers append for one round."""
    start, count = time.perf_counter(), 0

    async def write(writer: Writer | RawWriter) -> None:
        nonlocal count
        while time.perf_counter() < start + ROUND_S:
            await writer.append_part()
            count += len(RENDITIONS)

    await asyncio.gather(*map(write, writers))
    return count / (time.perf_counter() - start)


async def milliseconds(
    act: Callable[[], Awaitable[None]], heard: Callable[[], Awaitable[None]] | None = None
) -> float:
    """How long it takes to act, and for all to have heard of it."""
    start = time.perf_counter()
    await asyncio.gather(act(), *([heard()] if heard else []))
    return (time.perf_counter() - start) * 1e3


class Ears:
    """Counts who has heard the present event."""

    def __init__(self) -> None:
        self._count = 0
        self._all_heard = asyncio.Event()

    async def all_heard(self) -> None:
        """Wait for all, and begin to count anew."""
        await self._all_heard.wait()
        self._all_heard.clear()

    def hear(self) -> None:
        self._count += 1
        if self._count % WATCHERS_COUNT == 0:
            self._all_heard.set()


@asynccontextmanager
async def watchers(timeline: Any, stream_id: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Watch a stream many times; yields a wait for all to hear the next record."""
    ears, present = Ears(), Ears()

    async def watch() -> None:
        caught_up = False
        async for response in timeline.Watch(pb.WatchRequest(stream_id=stream_id)):
            if response.HasField("caught_up"):
                caught_up = True
                present.hear()
            elif caught_up:
                ears.hear()

    tasks = [asyncio.create_task(watch()) for _ in range(WATCHERS_COUNT)]
    await present.all_heard()
    try:
        yield ears.all_heard
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def listeners(client: Client, subject: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Subscribe to a subject many times; yields a wait for all to hear the next message."""
    ears = Ears()

    async def hear(_message: Any) -> None:
        ears.hear()

    subscriptions = [await client.subscribe(subject, cb=hear) for _ in range(WATCHERS_COUNT)]
    await client.flush()
    try:
        yield ears.all_heard
    finally:
        for subscription in subscriptions:
            await subscription.unsubscribe()


def stream_of(stream_id: str) -> pb.Stream:
    return pb.Stream(
        stream_id=stream_id,
        kind=pb.STREAM_KIND_LIVE,
        container=pb.CONTAINER_CMAF,
        target_duration_s=4,
        part_target_s=PART_S,
    )


def entry_of_rendition(rendition_id: str) -> pb.Entry:
    rendition = pb.Rendition(
        rendition_id=rendition_id,
        media_kind=pb.MEDIA_KIND_AUDIO,
        codecs="mp4a.40.2",
        target_bps=128_000,
        peak_bps=128_000,
    )
    return pb.Entry(rendition=rendition)


def entry_of_part(rendition_id: str, index: int) -> pb.Entry:
    part = pb.Part(
        rendition_id=rendition_id,
        part=index,
        start_s=index * PART_S,
        duration_s=PART_S,
        program_date_time=Timestamp(seconds=1_700_000_000 + index),
        independent=index % 6 == 0,
        object_key=f"streams/live/0badcafe/{rendition_id}/00000000.{index}-0badcafe.m4s",
        size_bytes=60_000,
        init_key=f"streams/live/0badcafe/{rendition_id}/init-0badcafe.mp4",
        init_size_bytes=800,
    )
    return pb.Entry(part=part)


def report(rows: Sequence[Row], memory_mib: float) -> int:
    """Print what was measured beside what it should be."""
    print(f"{'':44}{'ledger':>10}{'raw NATS':>10}{'ratio':>8}{'bar':>8}")
    for row in rows:
        ours, theirs = statistics.median(row.ours), statistics.median(row.theirs)
        bar = f"{APPEND_BAR_ENTRIES_S:,}" if row is rows[0] else ""
        print(f"{row.name:44}{ours:>10,.1f}{theirs:>10,.1f}{ours / theirs:>8.2f}{bar:>8}  {row.unit}")
    print(f"{'memory of the distributor, peak':44}{memory_mib:>10.0f}{'':>18}{MEMORY_BAR_MIB:>8}  MiB")
    missed = statistics.median(rows[0].ours) < APPEND_BAR_ENTRIES_S or memory_mib > MEMORY_BAR_MIB
    print("MISSED a bar" if missed else "all bars reached")
    return int(missed)


@contextmanager
def running_nats(folder: Path) -> Iterator[str]:
    """Run a nats-server with JetStream; yields its URL."""
    port = free_port()
    argv = [nats_server_path(), "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(folder)]
    with running(argv, folder / "nats.log"):
        wait_for_port(port)
        yield f"nats://127.0.0.1:{port}"


@contextmanager
def running_distributor(nats_url: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run a distributor; yields its process and address."""
    address = f"127.0.0.1:{free_port()}"
    settings = {"WEIR_NATS_URL": nats_url, "WEIR_GRPC_ADDRESS": address, "WEIR_LOG_LEVEL": "warning"}
    settings["WEIR_STORAGE_URL"] = "memory:"
    with running([sys.executable, "-m", "distributor"], Path(os.devnull), settings) as process:
        wait_for_port(int(address.rsplit(":", 1)[1]))
        yield process, address


@contextmanager
def running(
    argv: list[str], log: Path, settings: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends."""
    with log.open("ab") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output, env={**os.environ, **(settings or {})})
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
