"""How much faster a VOD job is on two transcoders than on one, each pinned to a core of its own.

Both turns make the same ladder of the same file with default settings: first one transcoder on core 0, then
a second one beside it on core 1; their ffmpegs inherit the core. Turns alternate, so that whatever else the
machine does falls on both. Beside the wall time stands what an idle machine would take at least: the CPU time
of the transcoder that worked most, which others' load hardly lengthens.

The film lasts minutes, as films do, so that what happens once per job counts as little as it does there; its
ladder is one small rung, so that the rounds do not last minutes as well. That is the hard case: a second of
1080p costs over ten times as much, while starting an ffmpeg, the sound and the ledger cost the same.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from weir.timeline.v1 import timeline_pb2_grpc
from weir.transcoder.v1 import transcoder_pb2_grpc

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.vod import Suite, ffmpeg, free_port, running

from weir_cli import programs

SOURCE_S = 120
ROUNDS = 3
BUDGET_S = 80.0  # on a slow machine fewer rounds are made
BAR_RATIO = 0.6
READY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one job took."""

    wall_s: float
    cpu_s: tuple[float, ...]
    """Of each transcoder, its ffmpegs among it."""


def main() -> int:
    """Print the table; 1 if the bar was missed, 2 if this machine cannot tell."""
    if not {0, 1} <= os.sched_getaffinity(0):
        print("VOD replicas: needs the cores 0 and 1")
        return 2
    begin = time.monotonic()
    rounds: list[tuple[Turn, Turn]] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-bench-")))
        house = stack.enter_context(running_house(folder))
        house.suite.upload(make_source(folder / "source.mp4"))
        while len(rounds) < ROUNDS and (not rounds or time.monotonic() - begin < BUDGET_S):
            one = take_turn(house.suite, (house.first_pid,))
            with running_transcoder(house.environment, core=1) as (_, pid):
                rounds.append((one, take_turn(house.suite, (house.first_pid, pid))))
    return report(rounds, time.monotonic() - begin)


def report(rounds: Sequence[tuple[Turn, Turn]], all_s: float) -> int:
    """Print what was measured beside what it should be."""
    ratio = statistics.median(two.wall_s / one.wall_s for one, two in rounds)
    cpu_ratio = statistics.median(max(two.cpu_s) / sum(one.cpu_s) for one, two in rounds)
    one_s, two_s = (statistics.median(turn.wall_s for turn in turns) for turns in zip(*rounds, strict=True))
    one_cpu_s = statistics.median(sum(one.cpu_s) for one, _ in rounds)
    two_cpu_s = statistics.median(max(two.cpu_s) for _, two in rounds)
    print(f"VOD job: {SOURCE_S} s of 360p30 with sound on transcoders of one core each")
    print(f"{'':36}{'one':>9}{'two':>9}{'ratio':>8}{'bar':>8}")
    print(f"{'wall time':36}{one_s:>8.2f}s{two_s:>8.2f}s{ratio:>8.3f}{BAR_RATIO:>8.2f}")
    print(f"{'CPU time of who worked most':36}{one_cpu_s:>8.2f}s{two_cpu_s:>8.2f}s{cpu_ratio:>8.3f}")
    shares = "; ".join(" + ".join(f"{cpu_s:.1f}" for cpu_s in two.cpu_s) for _, two in rounds)
    load = os.getloadavg()[0]
    print(f"({len(rounds)} rounds in {all_s:.0f} s, load {load:.1f}; CPU seconds of the two: {shares})")
    print("MISSED a bar" if ratio > BAR_RATIO else "all bars reached")
    return int(ratio > BAR_RATIO)


def take_turn(suite: Suite, pids: Sequence[int]) -> Turn:
    before = [cpu_seconds(pid) for pid in pids]
    wall_s, _ = suite.run_job()
    used = (cpu_seconds(pid) - earlier for pid, earlier in zip(pids, before, strict=True))
    return Turn(wall_s=wall_s, cpu_s=tuple(used))


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def make_source(path: Path) -> Path:
    """Make the source: a picture that moves everywhere, and a tone."""
    size = f"testsrc2=size=640x360:rate=30:duration={SOURCE_S}"
    tone = f"sine=frequency=330:beep_factor=3:sample_rate=48000:duration={SOURCE_S}"
    video = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-g", "60", "-pix_fmt", "yuv420p")
    ffmpeg("-f", "lavfi", "-i", size, "-f", "lavfi", "-i", tone, *video, "-c:a", "aac", "-ac", "2", str(path))
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What runs all the time."""

    suite: Suite
    environment: Mapping[str, str]
    first_pid: int


@contextmanager
def running_house(folder: Path) -> Iterator[House]:
    """Run NATS, a distributor and the first transcoder."""
    nats_port, distributor = str(free_port()), f"127.0.0.1:{free_port()}"
    environment = {
        "WEIR_NATS_URL": f"nats://127.0.0.1:{nats_port}",
        "WEIR_STORAGE_URL": (folder / "objects").as_uri(),
        "WEIR_DISTRIBUTOR_ADDRESS": distributor,
        "WEIR_LOG_LEVEL": "warning",
    }
    server = (programs.nats_server_path(), "--jetstream", "--store_dir", str(folder / "nats"))
    listens = ("--addr", "127.0.0.1", "--port", nats_port, "--log", str(folder / "nats.log"))
    with (
        running((*server, *listens), {}),
        running((sys.executable, "-m", "distributor"), environment | {"WEIR_GRPC_ADDRESS": distributor}),
        running_transcoder(environment, core=0) as (channel, pid),
        grpc.insecure_channel(distributor) as distributor_channel,
    ):
        suite = Suite(
            recordings=transcoder_pb2_grpc.RecordingServiceStub(channel),
            jobs=transcoder_pb2_grpc.TranscodeServiceStub(channel),
            timeline=timeline_pb2_grpc.TimelineServiceStub(distributor_channel),
        )
        yield House(suite=suite, environment=environment, first_pid=pid)


@contextmanager
def running_transcoder(environment: Mapping[str, str], *, core: int) -> Iterator[tuple[grpc.Channel, int]]:
    """Run a transcoder that may use one core; yields a channel to it, when it answers, and its pid."""
    address = f"127.0.0.1:{free_port()}"
    own = {"WEIR_GRPC_ADDRESS": address, "WEIR_RTMP_ADDRESS": ""}
    argv = ("taskset", "--cpu-list", str(core), sys.executable, "-m", "transcoder")
    with ExitStack() as stack:
        process = stack.enter_context(running(argv, {**environment, **own}))
        channel = stack.enter_context(grpc.insecure_channel(address))
        grpc.channel_ready_future(channel).result(READY_S)
        yield channel, process.pid


if __name__ == "__main__":
    sys.exit(main())
