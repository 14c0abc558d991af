"""How soon viewers of a live stream have what was announced, and what it costs the gateway.

The gateway is a process of its own, as in production; this script plays the distributor and appends parts,
and its viewers wait for them in blocking reloads. Measured are: one viewer, part after part; as many viewers
as a gateway must hold, released by one append; their memory; and the CPU of a stream of five renditions.
Through Envoy, and against other servers, see `bench/gateway.py`.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from weir.timeline.v1 import timeline_pb2 as pb

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.crowd import asking
from support.gateway import audio, live_segment, live_stream, part, read_answer, video
from support.gateway_process import gateway_process, resident_bytes, until_read
from support.ports import free_ports
from support.timeline_peer import TimelinePeer, running_peer

PLAYLIST = "/hls/talk/variants/High/playlist.m3u8"
RENDITIONS = ("High", "Medium", "Low", "VeryLow", "audio")
CROWD_COUNT = 10_000
WARM_COUNT, PART_COUNT, PARTS_PER_SEGMENT = 20, 300, 6
PART_BAR_MS, MEMORY_BAR_BYTES, RELEASE_BAR_S, CPU_BAR_MS = 30.0, 40_000, 2.0, 1.0


async def main() -> int:
    """Print what was measured beside its bars; 1 if one was missed."""
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        async with running_peer() as peer, gateway_process(peer.port, Path(folder), port) as gateway:
            begin(peer)
            latencies_ms, cpu_ms = await follow_parts(peer, port, gateway.pid)
            memory_bytes, releases_s = await release_crowd(peer, port, gateway.pid)
    return report(latencies_ms, cpu_ms, memory_bytes, releases_s)


def begin(peer: TimelinePeer) -> None:
    """Announce a window of segments in five renditions."""
    peer.create(live_stream(target_duration_s=20, part_target_s=0.333))
    renditions = [audio() if name == "audio" else video(name) for name in RENDITIONS]
    peer.append("talk", *renditions, *(live_segment(msn, name) for msn in range(30) for name in RENDITIONS))


def record(number: int) -> list[pb.Entry]:
    """Make the entries of one append: a part of each rendition, and segments where they are whole."""
    msn, place = divmod(number, PARTS_PER_SEGMENT)
    entries = [part(30 + msn, place, name, duration_s=1 / 3) for name in RENDITIONS]
    if place == PARTS_PER_SEGMENT - 1:
        entries += [live_segment(30 + msn, name) for name in RENDITIONS]
    return entries


async def follow_parts(peer: TimelinePeer, port: int, pid: int) -> tuple[Sequence[float], float]:
    """Wait for part after part; how long each took, and the gateway's CPU per part of a rendition."""
    latencies_ms = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with closing(writer):
        for number in range(WARM_COUNT + PART_COUNT):
            if number == WARM_COUNT:
                cpu_s = cpu_time_s(pid)
            msn, place = divmod(number, PARTS_PER_SEGMENT)
            query = f"_HLS_msn={30 + msn}&_HLS_part={place}&_HLS_skip=YES"
            writer.write(f"GET {PLAYLIST}?{query} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            await until_read(port, 1)
            start = time.perf_counter()
            peer.append("talk", *record(number))
            answer = await read_answer(reader)
            latencies_ms.append((time.perf_counter() - start) * 1e3)
            assert f"part_{30 + msn}_{place}." in answer.text, answer
    cpu_ms = (cpu_time_s(pid) - cpu_s) * 1e3 / PART_COUNT / len(RENDITIONS)
    return latencies_ms[WARM_COUNT:], cpu_ms


async def release_crowd(peer: TimelinePeer, port: int, pid: int) -> tuple[float, Sequence[float]]:
    """Hold a crowd and release it with one append; memory of each, and when each had its answer."""
    number = WARM_COUNT + PART_COUNT
    msn, place = divmod(number, PARTS_PER_SEGMENT)
    before_bytes = resident_bytes(pid)
    path = f"{PLAYLIST}?_HLS_msn={30 + msn}&_HLS_part={place}&_HLS_skip=YES"
    async with asking(port, CROWD_COUNT, path) as crowd:
        await until_read(port, CROWD_COUNT)
        memory_bytes = (resident_bytes(pid) - before_bytes) / CROWD_COUNT
        start = time.time()
        peer.append("talk", *record(number))
        statuses, times = await crowd.answers()
    assert statuses == {"200": CROWD_COUNT}, statuses
    return memory_bytes, [at - start for at in times]


def cpu_time_s(pid: int) -> float:
    """Tell how much CPU a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def report(
    latencies_ms: Sequence[float], cpu_ms: float, memory_bytes: float, releases_s: Sequence[float]
) -> int:
    """Print the table."""
    rows = (
        ("part announced to waiting request answered, p50", statistics.median(latencies_ms), 0.0, "ms"),
        ("the same, p99", percentile(latencies_ms, 99), PART_BAR_MS, "ms"),
        ("CPU per part of one rendition, of five, one watched", cpu_ms, CPU_BAR_MS, "ms"),
        (f"{CROWD_COUNT:,} held requests: memory of each", memory_bytes, MEMORY_BAR_BYTES, "bytes"),
        ("the same, released by one append: p50", statistics.median(releases_s), 0.0, "s"),
        ("p99", percentile(releases_s, 99), RELEASE_BAR_S, "s"),
        ("the last", max(releases_s), 0.0, "s"),
    )
    for name, value, bar, unit in rows:
        print(f"{name:55}{value:>12,.2f} {unit:6}{f'bar {bar:,g}' if bar else ''}")
    missed = any(bar and value > bar for _, value, bar, _ in rows)
    print("MISSED a bar" if missed else "all bars reached")
    return int(missed)


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent stay below."""
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
