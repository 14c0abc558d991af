"""How fast a VOD job is, beside the best single ffmpeg command that makes the same ladder on the same cores.

The suite is real: nats-server, a distributor and a transcoder as processes with their default settings. The
raw command is what one would write by hand: decode once, scale in a cascade, the same four encoders with the
same flags, audio in the same run, fragmented MP4 to files; ffmpeg chooses its threads. Both take turns, round
after round, so that whatever else the machine does falls on both; what counts is the median of the rounds'
ratios. Then the time until the first segment can be played, against what its chunk takes by itself on an idle
machine.
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
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
from google.api import httpbody_pb2
from weir.timeline.v1 import timeline_pb2, timeline_pb2_grpc
from weir.transcoder.v1 import transcoder_pb2 as pb
from weir.transcoder.v1 import transcoder_pb2_grpc

from transcoder.adapters.encoder import Encoder
from transcoder.adapters.probe import probe
from transcoder.domain.ladder import NAMED_RUNGS, Rung
from transcoder.domain.plan import plan_encode
from weir_cli import programs

SOURCE_S = 12
ROUNDS = 2
BUDGET_S = 45.0  # on a slow machine a round less is made
WALL_BAR_RATIO = 1.08
FIRST_BAR_S = 5.0
FIRST_LAG_BAR_S = 1.0
PIECE_BYTES = 1024 * 1024
POLL_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one job took."""

    job_s: float
    first_s: float
    """From the job's start until all renditions have a segment."""
    raw_s: float


def main() -> int:
    """Print the table; 1 if a bar was missed."""
    begin = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-bench-")))
        source = make_source(folder / "source.mp4")
        suite = stack.enter_context(running_suite(folder))
        suite.upload(source)
        chunk_s = asyncio.run(first_chunk_s(source))
        rounds: list[Round] = []
        while len(rounds) < ROUNDS and (not rounds or time.monotonic() - begin < BUDGET_S):
            raw_s = run_raw(source, folder / "raw")
            job_s, first_s = suite.run_job()
            rounds.append(Round(job_s=job_s, first_s=first_s, raw_s=raw_s))
    return report(rounds, chunk_s, time.monotonic() - begin)


def report(rounds: list[Round], chunk_s: float, all_s: float) -> int:
    """Print what was measured beside what it should be."""
    ratio = statistics.median(item.job_s / item.raw_s for item in rounds)
    first_s = statistics.median(item.first_s for item in rounds)
    share = statistics.median(item.first_s / item.job_s for item in rounds)
    first_bar_s = min(FIRST_BAR_S, chunk_s + FIRST_LAG_BAR_S)
    job_s, raw_s = (statistics.median(getattr(item, name) for item in rounds) for name in ("job_s", "raw_s"))
    missed = ratio > WALL_BAR_RATIO or first_s > first_bar_s
    print(f"VOD job: {SOURCE_S} s of 1080p30 with sound, four rungs, {os.cpu_count()} cores")
    print(f"{'':36}{'weir':>9}{'ffmpeg':>9}{'ratio':>8}{'bar':>8}")
    print(f"{'job':36}{job_s:>8.2f}s{raw_s:>8.2f}s{job_s / raw_s:>8.3f}{WALL_BAR_RATIO:>8.2f}")
    first = f"{first_s:>8.2f}s{chunk_s:>8.2f}s{first_s / chunk_s:>8.3f}{first_bar_s:>7.2f}s"
    print(f"{'first playable segment':36}{first}")
    print(f"{'first playable segment, of the job':36}{share:>9.1%}")
    print(f"{'speed, media over wall time':36}{SOURCE_S / job_s:>8.2f}x{SOURCE_S / raw_s:>8.2f}x")
    alone = "ffmpeg's first segment: its chunk alone on an idle machine"
    print(f"({len(rounds)} rounds in {all_s:.0f} s, ratio of the job: median {ratio:.3f}; {alone})")
    print("MISSED a bar" if missed else "all bars reached")
    return int(missed)


def make_source(path: Path) -> Path:
    """Make the source: a picture that moves everywhere, and a tone."""
    size = f"testsrc2=size=1920x1080:rate=30:duration={SOURCE_S}"
    tone = f"sine=frequency=330:beep_factor=3:sample_rate=48000:duration={SOURCE_S}"
    inputs = ("-f", "lavfi", "-i", size, "-f", "lavfi", "-i", tone)
    video = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-g", "60", "-pix_fmt", "yuv420p")
    ffmpeg(*inputs, *video, "-c:a", "aac", "-ac", "2", str(path))
    return path


def run_raw(source: Path, folder: Path) -> float:
    """Make the same ladder with one command; answers its wall time."""
    folder.mkdir(exist_ok=True)
    high, medium, low, very_low = reversed(NAMED_RUNGS)
    graph = f"[0:v]split=2[High][a];{scale('a', medium)},split=2[Medium][b];"
    graph += f"{scale('b', low)},split=2[Low][c];{scale('c', very_low)}[VeryLow]"
    fragments = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof", "-f", "mp4")
    outputs: list[str] = []
    for rung in (high, medium, low, very_low):
        rates = (
            "-b:v",
            str(rung.video_bps),
            "-maxrate",
            str(rung.peak_bps),
            "-bufsize",
            str(rung.buffer_bits),
        )
        gops = ("-g", "60", "-keyint_min", "60", "-sc_threshold", "0", "-flags", "+cgop")
        codec = ("-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", *rates, *gops)
        outputs += ["-map", f"[{rung.name}]", *codec, *fragments, str(folder / f"{rung.name}.mp4")]
    outputs += ["-map", "0:a", "-c:a", "aac", "-b:a", "128k", *fragments, str(folder / "audio.mp4")]
    begin = time.monotonic()
    ffmpeg("-i", str(source), "-filter_complex", graph, *outputs)
    return time.monotonic() - begin


def scale(label: str, rung: Rung) -> str:
    return f"[{label}]scale={rung.width_pixels}:{rung.height_pixels}:flags=bicubic"


def ffmpeg(*arguments: str) -> None:
    subprocess.run((programs.ffmpeg_path(), "-v", "error", "-nostdin", "-y", *arguments), check=True)


async def first_chunk_s(source: Path) -> float:
    """Encode the first chunk by itself, as the transcoder does; answers its wall time."""
    plan = plan_encode(await probe(source))
    begin = time.monotonic()
    async with Encoder().encode_chunk(source, plan, plan.chunks[0]) as segments:
        assert [segment async for segment in segments]
    return time.monotonic() - begin


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Stubs of the running services."""

    recordings: transcoder_pb2_grpc.RecordingServiceStub
    jobs: transcoder_pb2_grpc.TranscodeServiceStub
    timeline: timeline_pb2_grpc.TimelineServiceStub

    def upload(self, source: Path) -> None:
        self.recordings.CreateRecording(pb.CreateRecordingRequest(recording_id="bench"), wait_for_ready=True)
        self.recordings.UploadSource(messages_of(source))

    def run_job(self) -> tuple[float, float]:
        """Run a job; answers its wall time and that of its first segment, as a gateway sees them."""
        earlier = self.incarnation()
        begin = time.monotonic()
        self.jobs.StartTranscode(pb.StartTranscodeRequest(recording_id="bench"))
        first_s = 0.0
        for entry in self.entries(earlier):
            first_s = first_s or (time.monotonic() - begin if entry.HasField("segment") else 0.0)
            if entry.HasField("ended"):
                break
        job_s = time.monotonic() - begin
        self.require_success()
        return job_s, first_s

    def incarnation(self) -> str:
        """That of the stream; empty if there is none yet."""
        with suppress(grpc.RpcError):
            request = timeline_pb2.GetSnapshotRequest(stream_id="bench")
            return self.timeline.GetSnapshot(request).stream.incarnation
        return ""

    def entries(self, earlier: str) -> Iterator[timeline_pb2.Entry]:
        """Follow the ledger of the incarnation that comes after an earlier one."""
        while (incarnation := self.incarnation()) in {"", earlier}:
            time.sleep(POLL_S)
        request = timeline_pb2.WatchRequest(stream_id="bench", incarnation=incarnation)
        for response in self.timeline.Watch(request):
            yield from response.record.record.entries

    def require_success(self) -> None:
        """Wait for the job to be closed; it only clears up now."""
        request = pb.WatchProgressRequest(recording_id="bench")
        *_, last = self.jobs.WatchProgress(request)
        (job,) = last.jobs.values()
        if job.state != pb.JobProgress.SUCCEEDED:
            raise RuntimeError(f"the job failed: {job.error}")


def messages_of(source: Path) -> Iterator[pb.UploadSourceRequest]:
    yield pb.UploadSourceRequest(recording_id="bench")
    with source.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield pb.UploadSourceRequest(body=httpbody_pb2.HttpBody(data=piece))
    yield pb.UploadSourceRequest(last=True)


@contextmanager
def running_suite(folder: Path) -> Iterator[Suite]:
    """Run what a VOD job needs, each as a process of its own."""
    nats, distributor, transcoder = (f"127.0.0.1:{free_port()}" for _ in range(3))
    common = {
        "WEIR_NATS_URL": f"nats://{nats}",
        "WEIR_STORAGE_URL": (folder / "objects").as_uri(),
        "WEIR_DISTRIBUTOR_ADDRESS": distributor,
        "WEIR_LOG_LEVEL": "warning",
    }
    server = (
        programs.nats_server_path(),
        "--jetstream",
        "--store_dir",
        str(folder / "nats"),
        "--addr",
        "127.0.0.1",
    )
    with (
        running((*server, "--port", nats.rpartition(":")[2], "--log", str(folder / "nats.log")), {}),
        running((sys.executable, "-m", "distributor"), common | {"WEIR_GRPC_ADDRESS": distributor}),
        running((sys.executable, "-m", "transcoder"), common | {"WEIR_GRPC_ADDRESS": transcoder}),
        grpc.insecure_channel(transcoder) as transcoder_channel,
        grpc.insecure_channel(distributor) as distributor_channel,
    ):
        yield Suite(
            recordings=transcoder_pb2_grpc.RecordingServiceStub(transcoder_channel),
            jobs=transcoder_pb2_grpc.TranscodeServiceStub(transcoder_channel),
            timeline=timeline_pb2_grpc.TimelineServiceStub(distributor_channel),
        )


@contextmanager
def running(argv: tuple[str, ...], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(argv, env={**os.environ, **environment})
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    with closing(socket.socket()) as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
