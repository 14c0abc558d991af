"""What a live stream costs and how late it is: with parts, beside the same stream by whole segments.

The suite is real, with two transcoders and two gateways. Measured are the time from an append to the answer
for who waits for it; pace, and the CPU of Python beside that of ffmpeg, for 1080p30 that is pushed by HTTP
through the door and made into four rungs and sound; of a small stream, which any machine carries, the age of
what viewers are told of. On a machine that is busy otherwise it says little but for the ratio of parts to
segments. Takes a minute; what kills cost viewers is told by `bench/failover.py`.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import aiohttp
import imageio_ffmpeg
from weir.timeline.v1 import timeline_pb2 as pb
from weir.timeline.v1 import timeline_pb2_grpc

from chassis.grpc_client import open_channel

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from bench.machine import cpu_s

from support.follower import Follower
from support.live_publisher import HTTP, LivePublisher
from support.live_suite import LiveSuite
from support.seen import SeenPlaylist, read_seen
from support.stack import Stack, running_stack
from weir_cli.plan import Kind

WAITERS_COUNT, PARTS_COUNT = 20, 24
PARTS_IN_SEGMENT, PART_S = 6, 0.333
WATCH_S, AGES_S = 8.0, 6.0
ANSWER_BAR_MS, CPU_BAR_RATIO, PACE_BAR_RATIO = 30.0, 0.10, 1.0
RENDITION = "High"

Media = TypeVar("Media", pb.Part, pb.Segment)


def main() -> int:
    """Print the table; 1 if a bar was missed."""
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        source = make_source(Path(folder))
        with running_stack(Path(folder) / "suite", replicas={Kind.TRANSCODER: 2, Kind.GATEWAY: 2}) as stack:
            suite = LiveSuite(stack)
            kept = [
                asyncio.run(measure_answers(stack)),
                measure_full_ladder(suite, source),
                measure_ages(suite),
            ]
    return 0 if all(kept) else 1


def show(name: str, figure: str, *, bar: str = "", kept: bool = True) -> bool:
    """Print one line of the table."""
    verdict = f"bar {bar}: {'kept' if kept else 'MISSED'}" if bar else ""
    print(f"{name:<58}{figure:>22}   {verdict}", flush=True)
    return kept


# --- From an append to the answer of those who wait for it. ---------------------------------------


async def measure_answers(stack: Stack) -> bool:
    """Append parts as an owner does; many wait for each at the gateway's own port, and through Envoy."""
    async with open_channel(stack.grpc_address("distributor")) as channel, aiohttp.ClientSession() as session:
        writer = Writer(timeline_pb2_grpc.TimelineServiceStub(channel))
        await writer.open()
        sites = {"at the gateway": f"http://{stack.http_address()}", "through Envoy": stack.url}
        delays: dict[str, list[float]] = {name: [] for name in sites}
        for site in sites.values():
            await until_served(session, site)
        for _ in range(PARTS_COUNT):
            waits = [
                (name, asyncio.create_task(wait_answer(session, site, *writer.next_place)))
                for name, site in sites.items()
                for _ in range(WAITERS_COUNT)
            ]
            await asyncio.sleep(PART_S)  # as long as a part takes: all have come, and wait
            begin = time.perf_counter()
            await writer.append_part()
            for name, wait in waits:
                delays[name].append(1e3 * (await wait - begin))
    kept = True
    for name, values in delays.items():
        p50, p99 = statistics.median(values), statistics.quantiles(values, n=100)[98]
        figure = f"p50 {p50:.1f}, p99 {p99:.1f} ms"
        bar = f"{ANSWER_BAR_MS:g} ms" if name == "at the gateway" else ""
        within = not bar or p99 < ANSWER_BAR_MS
        kept &= show(f"part appended -> waiting playlist answered, {name}", figure, bar=bar, kept=within)
    return kept


class Writer:
    """A live stream's owner whose parts have no bytes: playlists alone are read."""

    def __init__(self, timeline: timeline_pb2_grpc.TimelineServiceAsyncStub) -> None:
        self._timeline = timeline
        self._opened = pb.OpenResponse()
        self._sequence = 0
        self._begin_time = time.time()
        self.next_place = (0, 0)

    async def open(self) -> None:
        stream = pb.Stream(
            stream_id="answers",
            kind=pb.STREAM_KIND_LIVE,
            container=pb.CONTAINER_CMAF,
            target_duration_s=2,
            part_target_s=PART_S,
            dvr_window_s=60,
        )
        self._opened = await self._timeline.Open(pb.OpenRequest(stream=stream, owner="bench"))
        self._sequence = self._opened.sequence
        video = pb.Rendition(
            rendition_id=RENDITION,
            media_kind=pb.MEDIA_KIND_VIDEO,
            codecs="avc1.640028",
            width_pixels=1920,
            height_pixels=1080,
            frame_rate_numerator=30,
            frame_rate_denominator=1,
            target_bps=4_000_000,
            peak_bps=6_000_000,
            name=RENDITION,
        )
        await self._append(pb.Entry(rendition=video))
        for _ in range(PARTS_IN_SEGMENT):
            await self.append_part()

    async def append_part(self) -> None:
        """Append a part, and behind the last one its segment."""
        msn, number = self.next_place
        is_last = number == PARTS_IN_SEGMENT - 1
        part = pb.Part(part=number, independent=not number, duration_s=PART_S)
        entries = [pb.Entry(part=self._placed(part, number, f"{msn:08}.{number:03}"))]
        if is_last:
            segment = pb.Segment(duration_s=PARTS_IN_SEGMENT * PART_S)
            entries.append(pb.Entry(segment=self._placed(segment, 0, f"{msn:08}")))
        self.next_place = (msn + 1, 0) if is_last else (msn, number + 1)
        await self._append(*entries)

    def _placed(self, media: Media, number: int, name: str) -> Media:
        """Fill in what parts and segments share."""
        folder = f"streams/answers/{self._opened.stream.incarnation}/{RENDITION}"
        media.rendition_id, media.msn = RENDITION, self.next_place[0]
        media.start_s = (media.msn * PARTS_IN_SEGMENT + number) * PART_S
        media.program_date_time.FromMilliseconds(round(1e3 * (self._begin_time + media.start_s)))
        media.object_key, media.size_bytes = f"{folder}/{name}-0badcafe.m4s", 1
        media.init_key, media.init_size_bytes = f"{folder}/init-0badcafe.mp4", 1
        return media

    async def _append(self, *entries: pb.Entry) -> None:
        request = pb.AppendRequest(
            stream_id="answers",
            incarnation=self._opened.stream.incarnation,
            epoch=self._opened.epoch,
            expected_sequence=self._sequence,
            entries=entries,
        )
        self._sequence = (await self._timeline.Append(request)).sequence


def playlist_url(site: str) -> str:
    return f"{site}/hls/answers/variants/{RENDITION}/playlist.m3u8"


async def until_served(session: aiohttp.ClientSession, site: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        async with session.get(playlist_url(site)) as answer:
            if answer.status == 200:
                return
        assert time.monotonic() < deadline, f"{site} answers {answer.status}"
        await asyncio.sleep(0.05)


async def wait_answer(session: aiohttp.ClientSession, site: str, msn: int, part: int) -> float:
    """Wait for a part; tells when the answer was read."""
    async with session.get(f"{playlist_url(site)}?_HLS_msn={msn}&_HLS_part={part}") as answer:
        text = await answer.text()
        assert f"part_{msn}_{part}" in text, (answer.status, text)
    return time.perf_counter()


# --- One stream of 1080p30: pace, CPU, and how old media are when viewers hear of them. -----------


def measure_full_ladder(suite: LiveSuite, source: Path) -> bool:
    stream = suite.create("full", rungs=(), low_latency=True)
    with pushing(suite, stream, source), suite.follow(stream, within_s=60) as viewer:
        _, owner = suite.owner(stream)
        cpu_before, pace = cpu_of_transcoders(suite.stack, owner), Pace(viewer)
        time.sleep(WATCH_S)
        cpu_after, ratio = cpu_of_transcoders(suite.stack, owner), pace.ratio()
    python_s, ffmpeg_s, idle_s = (after - before for before, after in zip(cpu_before, cpu_after, strict=True))
    share = python_s / ffmpeg_s
    rungs = suite.get("full").get("variants", [])
    suite.do("full", "stop")
    kept = show(
        f"1080p30, {len(rungs)} renditions: speed",
        f"{ratio:.2f} x real time",
        bar=f"{PACE_BAR_RATIO:g}",
        kept=ratio > 0.97 * PACE_BAR_RATIO,  # the measure begins and ends between two parts
    )
    used = f"{share:.1%} ({(python_s + ffmpeg_s) / WATCH_S:.1f} cores)"
    name = "  Python's CPU in its transcoder, beside its ffmpeg's"
    kept &= show(name, used, bar=f"{CPU_BAR_RATIO:.0%}", kept=share < CPU_BAR_RATIO)
    show(
        "  and with the Python of the transcoder that has no stream", f"{(python_s + idle_s) / ffmpeg_s:.1%}"
    )
    return kept


class Pace:
    """How much media came while some time passed."""

    def __init__(self, viewer: Follower) -> None:
        self._viewer = viewer
        self._start = (time.monotonic(), self._edge())

    def ratio(self) -> float:
        start, edge = self._start
        return (self._edge() - edge).total_seconds() / (time.monotonic() - start)

    def _edge(self) -> datetime:
        return min(edge_date(laws.last) for laws in self._viewer.laws.values() if laws.last)


def edge_date(playlist: SeenPlaylist) -> datetime:
    """The date behind the last part that is listed."""
    last = playlist.listed[-1]
    assert last.date
    duration_s = last.duration_s if last.uri else sum(part.duration_s for part in last.parts)
    return last.date + timedelta(seconds=duration_s)


def segments_date(playlist: SeenPlaylist) -> datetime:
    """The date behind the last segment that is whole."""
    last = playlist.segments[-1]
    assert last.date
    return last.date + timedelta(seconds=last.duration_s)


def watch_ages(suite: LiveSuite, stream: dict[str, str], viewer: Follower) -> tuple[list[float], list[float]]:
    """Look how far back the edge lies for who plays parts, and for who plays whole segments."""
    parts: list[float] = []
    segments: list[float] = []
    url = f"/hls/{stream['stream_id']}/{next(iter(viewer.laws))}"
    deadline = time.monotonic() + AGES_S
    while time.monotonic() < deadline:
        time.sleep(PART_S)
        playlist = read_seen(suite.read(url).decode())
        instant = datetime.now(UTC)
        parts.append((instant - edge_date(playlist)).total_seconds())
        segments.append((instant - segments_date(playlist)).total_seconds())
    return parts, segments


def show_ages(ages: Sequence[Sequence[float]]) -> bool:
    by_parts, by_segments = (statistics.mean(values) for values in ages)
    # What players keep to (rfc8216bis 4.4.3.8): three parts, or three target durations, behind the edge.
    low, regular = by_parts + 3 * PART_S, by_segments + 3 * 2
    show("media are so old at the edge: parts / whole segments", f"{by_parts:.2f} / {by_segments:.2f} s")
    figure = f"{low:.2f} / {regular:.2f} s"
    kept = show("players are behind by: low latency / regular HLS", figure, bar="2.5 s", kept=low < 2.5)
    show("  ratio", f"{low / regular:.2f}")
    return kept


def cpu_of_transcoders(stack: Stack, owner: str) -> tuple[float, float, float]:
    """CPU seconds of the owner's Python, of the ffmpeg below it, and of the Python of all others."""
    pids = {process.name: stack.pid(process.name) for process in stack.plan.of_kind(Kind.TRANSCODER)}
    own = pids.pop(owner)
    return cpu_s(own), sum(map(cpu_s, children(own))), sum(map(cpu_s, pids.values()))


def children(pid: int) -> list[int]:
    """All processes that a process has started, by any of its threads."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


# --- A small stream: ages. ------------------------------------------------------------------------


def measure_ages(suite: LiveSuite) -> bool:
    """Tell how late a viewer is, from the publisher's start on: its first frame waits until it is let in."""
    stream = suite.create("small")
    start = datetime.now(UTC)
    with suite.publish(stream), suite.follow(stream, within_s=60) as viewer:
        first = next(iter(viewer.laws.values())).segments[0]
        assert first.date
        held_s = (first.date - start).total_seconds()
        kept = show_ages([[age + held_s for age in ages] for ages in watch_ages(suite, stream, viewer)])
    suite.do("small", "stop")
    return kept


# --- Sources. -------------------------------------------------------------------------------------


def make_source(folder: Path) -> Path:
    """Three seconds of 1080p30 with sound, to be pushed again and again without encoding it each time."""
    return ffmpeg(folder / "source.ts", "testsrc2=size=1920x1080:rate=30:duration=3", "-b:v", "8M")


def ffmpeg(path: Path, picture: str, *options: str) -> Path:
    duration = picture.rpartition("=")[2]
    inputs = ("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", f"sine=frequency=440:duration={duration}")
    coding = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-pix_fmt", "yuv420p", "-c:a", "aac")
    command = (imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-nostdin", *inputs, *coding, *options)
    subprocess.run((*command, str(path)), check=True, timeout=60)
    return path


@contextmanager
def pushing(suite: LiveSuite, stream: dict[str, str], source: Path) -> Iterator[LivePublisher]:
    """Push a source in real time, over and over."""
    program = (imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-nostdin")
    inputs = ("-re", "-stream_loop", "-1", "-i", str(source), "-c", "copy")
    command = (*program, *inputs, *HTTP, suite.http_url(stream))
    publisher = LivePublisher(command, suite.stack.plan.logs / "publisher.log", faithful=True)
    publisher.start()
    try:
        yield publisher
    finally:
        publisher.drop()


if __name__ == "__main__":
    sys.exit(main())
