"""What is true of the segments themselves, in both containers: as players fetch, join and cut them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from support.media import SINE_HZ, Media, Picture, Sound, listen, make_media, packets, watch
from support.transcoding import Job, transcode
from transcoder.domain.packager import PackedSegment
from transcoder.domain.plan import Container

RATE = Fraction(30000, 1001)
CONTAINERS = list(Container)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("segments") / "source.mp4"
    return make_media(path, Media(picture=Picture(rate=RATE, count=270), sound=Sound(seconds=9, steady=True)))


@pytest.fixture(scope="module")
def jobs(source: Path) -> dict[Container, Job]:
    return {container: asyncio.run(transcode(source, container=container)) for container in CONTAINERS}


@pytest.fixture(params=CONTAINERS)
def job(request: pytest.FixtureRequest, jobs: dict[Container, Job]) -> Job:
    return jobs[request.param]


def video_segments(job: Job) -> Iterator[PackedSegment]:
    for rung in job.plan.ladder:
        yield from job.segments[rung.name]


def test_there_are_several_chunks(job: Job) -> None:
    assert [chunk.segment_count for chunk in job.plan.chunks] == [1, 2, 2, 2, 1, 1, 1]


def test_init_segment_is_the_same_in_all_chunks(job: Job) -> None:
    for segments in job.segments.values():
        assert len({segment.rendition for segment in segments}) == 1


def test_only_cmaf_has_init_segments(job: Job) -> None:
    has_init = job.plan.container is Container.CMAF
    assert all((segment.rendition.init is not None) == has_init for segment in video_segments(job))


def test_each_segment_decodes_alone_from_its_exact_start(job: Job) -> None:
    shift_s = 10 if job.plan.container is Container.TS else 0
    for segment in video_segments(job):
        alone = (segment.rendition.init or b"") + segment.data
        first, count = job.plan.grid.first_frame(segment.msn), round(segment.duration_s * RATE)
        assert [frame.number for frame in watch(alone)] == list(range(first, first + count))
        start = min(
            packet.pts * packet.time_base for packet in packets(alone) if packet.stream.type == "video"
        )
        assert start - shift_s == pytest.approx(job.plan.grid.segment_start_s(segment.msn), abs=1 / 90_000)


def test_iframe_ranges_show_one_picture_each(job: Job) -> None:
    gop_frames = job.plan.grid.gop_frames
    for segment in video_segments(job):
        for place, iframe in enumerate(segment.iframes):
            cut = segment.data[iframe.offset_bytes : iframe.offset_bytes + iframe.size_bytes]
            shown = watch((segment.rendition.init or b"") + cut)
            assert [frame.number for frame in shown] == [
                job.plan.grid.first_frame(segment.msn) + place * gop_frames
            ]
        assert sum(iframe.duration_s for iframe in segment.iframes) == pytest.approx(segment.duration_s)


def test_no_click_or_gap_where_audio_segments_meet(job: Job) -> None:
    rendition = job.plan.ladder[0].name if job.plan.audio_is_muxed else "audio"
    samples = listen(job.media(rendition)).samples
    assert len(samples) == pytest.approx(9 * 44_100, abs=1024)
    # of a pure sine, each sample follows from the two before it; a click breaks that
    factor = 2 * math.cos(2 * math.pi * SINE_HZ / 44_100)
    errors = [
        abs(samples[place] - factor * samples[place - 1] + samples[place - 2])
        for place in range(2048, len(samples) - 2048)
    ]
    assert max(errors) < 0.01


def test_codecs_tell_what_is_inside(job: Job) -> None:
    codecs = {name: segments[0].rendition.codecs for name, segments in job.segments.items()}
    assert codecs.pop("thumbnails") == "jpeg"
    if job.plan.container is Container.CMAF:
        assert codecs == {"VeryLow": "avc1.64000c", "Low": "avc1.640014", "audio": "mp4a.40.2"}
    else:
        assert codecs == {"VeryLow": "avc1.64000c,mp4a.40.2", "Low": "avc1.640014,mp4a.40.2"}


def ts_packets(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """PID, continuity counter and all bytes of each packet."""
    assert len(data) % 188 == 0
    for place in range(0, len(data), 188):
        packet = data[place : place + 188]
        assert packet[0] == 0x47
        yield (packet[1] & 0x1F) << 8 | packet[2], packet[3] & 0x0F, packet


def test_ts_segment_begins_with_its_tables_and_a_decodable_frame(jobs: dict[Container, Job]) -> None:
    for segment in video_segments(jobs[Container.TS]):
        (pat, *_), (pmt, *_), (video, _, first) = list(ts_packets(segment.data))[:3]
        assert (pat, pmt, video) == (0, 0x1000, 0x100)
        assert first[3] & 0x20  # it has an adaptation field ...
        assert first[5] & 0x40  # ... which says that one may start here


def test_ts_continuity_counters_go_on_over_segments_and_chunks(jobs: dict[Container, Job]) -> None:
    job = jobs[Container.TS]
    for rung in job.plan.ladder:
        last: dict[int, int] = {}
        for pid, counter, _ in ts_packets(job.media(rung.name)):
            assert counter == (last.get(pid, -1) + 1) % 16
            last[pid] = counter


def test_ts_decode_times_only_grow_and_clock_precedes_them(jobs: dict[Container, Job]) -> None:
    job = jobs[Container.TS]
    for rung in job.plan.ladder:
        for kind in ("video", "audio"):
            times = [packet.dts for packet in packets(job.media(rung.name)) if packet.stream.type == kind]
            assert times == sorted(set(times))
        clock = list(clock_references(job.media(rung.name)))
        assert clock == sorted(clock)
        assert max(now - before for before, now in pairwise(clock)) <= 0.1 * 90_000


def clock_references(data: bytes) -> Iterator[int]:
    """The PCRs of a stream, 90 kHz."""
    for _, _, packet in ts_packets(data):
        if packet[3] & 0x20 and packet[4] and packet[5] & 0x10:
            yield int.from_bytes(packet[6:11], "big") >> 7
