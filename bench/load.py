"""A crowd that joins at once: keep-alive viewers through Envoy, with one gateway behind it.

Each viewer has a connection of its own: multivariant playlist, media playlist, init segment, a segment, then
reloads until the time is over. The gateway and Envoy are processes as in production, following a distributor
that `bench.gateway` plays; the load generator is a process that shares the machine. Reads from storage are
counted by the kernel, as openings of objects' files (inotify). `python bench/load.py [VIEWERS] [SECONDS]`:
10,000 in 10 s by default. What counts is that all is answered 2xx, and that no object is read twice.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import re
import resource
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import bench.gateway as stage
from bench.machine import cpu_s, peak_memory_mib

VIEWER_COUNT, JOIN_S = 10_000, 10.0
OBJECT_BYTES = 32 * 1024  # of 10,000 larger ones the loopback would be measured
RELOAD_S = 4.0
OTHER_FILES_COUNT = 256
ANSWER_TIMEOUT_S = 60.0
VARIANT = "/hls/bench/variants/High"
STEPS = (
    "/hls/bench/master.m3u8",
    f"{VARIANT}/playlist.m3u8",
    f"{VARIANT}/init.mp4",
    f"{VARIANT}/segment_7.m4s",
)
_IN_OPEN, _IN_CLOSE = 0x20, 0x18
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)")
_EVENT = struct.Struct("iIII")


def main() -> int:
    """Print what was measured; 1 if an answer was no 2xx, or an object was read twice."""
    viewer_count = int(sys.argv[1]) if len(sys.argv) > 1 else VIEWER_COUNT
    join_s = float(sys.argv[2]) if len(sys.argv) > 2 else JOIN_S
    viewer_count = allowed_count(viewer_count)
    stage.SEGMENT_BYTES = OBJECT_BYTES
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-bench-")))
        gateway, port = stack.enter_context(stage.running_gateway(folder))
        door = stack.enter_context(stage.running_envoy(folder, port))
        envoy_pid = pid_of(str(folder / "envoy.yaml"))
        reads = Opened((folder / "objects" / stage.OBJECT_KEY).parent)
        before = cpu_s(gateway.pid), cpu_s(envoy_pid)
        told = run_crowd(door, viewer_count, join_s)
        used = cpu_s(gateway.pid) - before[0], cpu_s(envoy_pid) - before[1]
        memory_mib = peak_memory_mib(gateway.pid), peak_memory_mib(envoy_pid)
        read_counts = reads.counts()
    print(f"{viewer_count:,} viewers join in {join_s:g} s; load of the machine {os.getloadavg()[0]:.1f}")
    return report(told, used, memory_mib, read_counts)


def allowed_count(viewer_count: int) -> int:
    """Raise how many files may be open, here and in what is started; fewer viewers if that is too few."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = hard - OTHER_FILES_COUNT
    if hard != resource.RLIM_INFINITY and viewer_count > most:
        print(f"FEWER VIEWERS: {hard} files may be open here, so only {most} of {viewer_count} can connect")
        return most
    return viewer_count


def pid_of(argument: str) -> int:
    """Find the process that was started with an argument."""
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if argument.encode() in place.read_bytes().split(b"\0"):
                return int(place.parent.name)
        except OSError:
            continue
    raise RuntimeError(f"no process runs with {argument}")


class Opened:
    """Counts how often each file of a folder is opened, from now on."""

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._file = libc.inotify_init1(os.O_CLOEXEC)
        if (
            self._file < 0
            or libc.inotify_add_watch(self._file, os.fsencode(folder), _IN_OPEN | _IN_CLOSE) < 0
        ):
            raise OSError(ctypes.get_errno(), "openings of files cannot be counted here")
        self._counts: Counter[str] = Counter()
        threading.Thread(target=self._listen, daemon=True).start()

    def counts(self) -> dict[str, int]:
        """Tell it, by the file's name."""
        return dict(self._counts)

    def _listen(self) -> None:
        while data := os.read(self._file, 65536):
            at = 0
            while at < len(data):
                _, mask, _, length = _EVENT.unpack_from(data, at)
                at += _EVENT.size
                if mask & _IN_OPEN:
                    self._counts[data[at : at + length].rstrip(b"\0").decode()] += 1
                at += length


def run_crowd(port: int, viewer_count: int, join_s: float) -> dict[str, object]:
    """Let the crowd join from a process of its own."""
    argv = [sys.executable, __file__, "crowd", str(port), str(viewer_count), str(join_s)]
    told: dict[str, object] = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    return told


def report(
    told: dict[str, object],
    used_s: tuple[float, float],
    memory_mib: tuple[float, float],
    read_counts: dict[str, int],
) -> int:
    """Print it all."""
    statuses, answers, passed_s = told["statuses"], int(str(told["answers"])), float(str(told["passed_s"]))
    print(
        f"answers                  {answers:,} in {passed_s:.1f} s, {answers / passed_s:,.0f}/s: {statuses}"
    )
    print(
        f"joined after             p50 {told['p50_s']} s, p99 {told['p99_s']} s, the last {told['last_s']} s"
    )
    print(f"broken connections       {told['broken']}")
    print(f"reads from storage       {read_counts}")
    for name, cpu, memory in zip(("gateway", "Envoy"), used_s, memory_mib, strict=True):
        each_us = cpu / answers * 1e6
        print(f"{name:20} {cpu / passed_s:.0%} of a core, {each_us:.0f} us an answer, {memory:.0f} MiB")
    failed = statuses != {"200": answers} or bool(told["broken"]) or bool(told["unjoined"])
    failed |= not read_counts
    failed |= any(count > 1 for count in read_counts.values())
    print("MISSED a bar" if failed else "all bars reached")
    return int(failed)


# The crowd, in its own process.


class Viewer(asyncio.Protocol):
    """One viewer on one connection, which asks again when an answer is whole."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self._crowd = crowd
        self._sid = f"viewer-{number}"
        self._step = 0
        self._begin = 0.0
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._begin = self._crowd.loop.time()
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = bytes(self._received).partition(b"\r\n\r\n")
        if not blank:
            return
        (length,) = _LENGTH.findall(head.lower())
        if len(body) < int(length):
            return
        self._received.clear()
        self._crowd.statuses[head[9:12].decode()] += 1
        self._step += 1
        if self._step == len(STEPS):
            self._crowd.joined(self._crowd.loop.time() - self._begin)
        if self._step < len(STEPS):
            self._ask()
        elif not self._crowd.is_over:
            self._crowd.loop.call_later(RELOAD_S, self._ask)

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self._crowd.is_over:
            self._crowd.broke()

    def _ask(self) -> None:
        if self._crowd.is_over or self._transport.is_closing():
            return
        path = STEPS[self._step] if self._step < len(STEPS) else STEPS[1]
        query = f"CMCD=bl%3D{self._step * 100}%2Csid%3D%22{self._sid}%22"
        head = f"GET {path}?{query} HTTP/1.1\r\nhost: bench\r\nuser-agent: crowd\r\naccept: */*\r\n\r\n"
        assert isinstance(self._transport, asyncio.WriteTransport)
        self._transport.write(head.encode())


class Crowd:
    """All viewers, and what they saw."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.statuses: Counter[str] = Counter()
        self.joined_s: list[float] = []
        self.broken = 0
        self.is_over = False
        self._awaited_count = 0
        self._all_seen = asyncio.Event()

    async def join(self, port: int, count: int, join_s: float) -> None:
        """Let one after the other come, evenly; over when all have joined and have reloaded for a while."""
        self._awaited_count = count
        start = self.loop.time()
        for number in range(count):
            await asyncio.sleep(max(0.0, start + number * join_s / count - self.loop.time()))
            # Viewers come from several addresses: one has too few ports.
            source = (f"127.0.0.{2 + number % 8}", 0)
            try:
                await self.loop.create_connection(
                    partial(Viewer, self, number),
                    "127.0.0.1",
                    port,
                    local_addr=source,
                )
            except OSError:
                self.broke()
        with suppress(TimeoutError):  # those who are missing are counted
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await self._all_seen.wait()
        await asyncio.sleep(RELOAD_S + 1)
        self.is_over = True

    def joined(self, after_s: float) -> None:
        """One more has a segment."""
        self.joined_s.append(after_s)
        self._count_off()

    def broke(self) -> None:
        """One more has no connection, or has lost it."""
        self.broken += 1
        self._count_off()

    def _count_off(self) -> None:
        if len(self.joined_s) + self.broken >= self._awaited_count:
            self._all_seen.set()


async def crowd(port: int, count: int, join_s: float) -> None:
    """Join, and print what was seen as JSON."""
    viewers = Crowd()
    start = time.monotonic()
    await viewers.join(port, count, join_s)
    joined = sorted(viewers.joined_s) or [float("nan")]
    told = {
        "statuses": dict(viewers.statuses),
        "answers": sum(viewers.statuses.values()),
        "passed_s": time.monotonic() - start,
        "broken": viewers.broken,
        "unjoined": count - len(viewers.joined_s),
        "p50_s": round(joined[len(joined) // 2], 3),
        "p99_s": round(joined[len(joined) * 99 // 100], 3),
        "last_s": round(joined[-1], 3),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    if sys.argv[1:2] == ["crowd"]:
        asyncio.run(crowd(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
    else:
        sys.exit(main())
