"""The encoder's ffmpeg: driven, watched, held in bounds and surely ended."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random

import av
import pytest

from support.media import HDR, Media, Picture, Sound, listen, make_media, watch
from support.transcoding import SMALL_RUNGS, transcode
from transcoder.adapters.encoder import Encoder, EncoderSettings
from transcoder.adapters.probe import probe
from transcoder.domain.encoding import EncodeError, EncodeProgress
from transcoder.domain.packager import PackedSegment
from transcoder.domain.plan import EncodePlan, plan_encode

SLOW = EncoderSettings(preset="placebo", thread_count=1)
"""Settings under which even a small source takes its time."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    media = Media(picture=Picture(count=300), sound=Sound(seconds=10))
    return make_media(tmp_path_factory.mktemp("encoder") / "source.mkv", media)


async def plan_of(source: Path) -> EncodePlan:
    return plan_encode(await probe(source), rungs=SMALL_RUNGS, segment_s=2, gop_s=1)


async def encode(
    source: Path, settings: EncoderSettings, *, chunk: int = 0, niceness: int = 0
) -> list[PackedSegment]:
    plan = await plan_of(source)
    encoder = Encoder(settings)
    async with encoder.encode_chunk(source, plan, plan.chunks[chunk], niceness=niceness) as segments:
        return [segment async for segment in segments]


def ffmpegs(source: Path) -> list[int]:
    """The running processes that have the source in their command line, this one aside."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.fsencode(source) in (folder / "cmdline").read_bytes() and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


async def until(condition: Callable[[], object], within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - other processes tell of their state to those who look
            await asyncio.sleep(0.02)


async def test_progress_tells_frames_and_speed(source: Path) -> None:
    plan, told = await plan_of(source), list[EncodeProgress]()
    async with Encoder(SLOW).encode_chunk(source, plan, plan.chunks[1], on_progress=told.append) as segments:
        assert len([segment async for segment in segments]) == 2 * (len(plan.ladder) + 1)
    assert told[-1].frame_count == plan.chunks[1].frame_count
    assert told[-1].speed_ratio > 0


async def test_progress_of_audio_is_told_in_frames_of_the_grid(tmp_path: Path) -> None:
    source = make_media(tmp_path / "long.wav", Media(picture=None, sound=Sound(seconds=60, flags=())))
    plan, told = await plan_of(source), list[EncodeProgress]()
    async with Encoder().encode_audio(source, plan, on_progress=told.append) as segments:
        assert len([segment async for segment in segments]) == plan.grid.segment_count
    frames = [progress.frame_count for progress in told]
    assert frames == sorted(frames)
    assert 0.1 * plan.grid.frame_count < frames[-1] <= plan.grid.frame_count


async def test_segments_come_before_the_chunk_is_done(source: Path) -> None:
    plan = await plan_of(source)
    async with Encoder(SLOW).encode_chunk(source, plan, plan.chunks[1]) as segments:
        await anext(segments)
        assert ffmpegs(source)


async def test_cancelled_task_leaves_no_ffmpeg(source: Path) -> None:
    task = asyncio.create_task(encode(source, SLOW, chunk=1))
    await until(lambda: ffmpegs(source))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not ffmpegs(source)


async def test_leaving_the_block_early_leaves_no_ffmpeg(source: Path) -> None:
    plan = await plan_of(source)
    async with Encoder(SLOW).encode_chunk(source, plan, plan.chunks[1]) as segments:
        await anext(segments)
    assert not ffmpegs(source)


async def test_ffmpeg_ends_when_its_transcoder_is_killed(source: Path) -> None:
    script = (
        "import asyncio, pathlib, sys; sys.path.insert(0, sys.argv[2])\n"
        "from integration.test_encoder import SLOW, encode\n"
        "asyncio.run(encode(pathlib.Path(sys.argv[1]), SLOW, chunk=1))"
    )
    tests = str(Path(__file__).parents[1])
    transcoder = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(source), tests)
    await until(lambda: set(ffmpegs(source)) - {transcoder.pid}, within_s=20)
    transcoder.kill()
    await transcoder.wait()
    await until(lambda: not ffmpegs(source), within_s=20)


async def test_ffmpeg_that_ignores_termination_is_killed(source: Path, tmp_path: Path) -> None:
    stubborn = write_script(tmp_path, "trap '' TERM; while true; do sleep 0.1; done")
    task = asyncio.create_task(encode(source, EncoderSettings(ffmpeg_path=stubborn, stop_timeout_s=0.3)))
    await until(lambda: ffmpegs(source))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not ffmpegs(source)


async def test_ffmpeg_that_does_nothing_is_ended(source: Path, tmp_path: Path) -> None:
    idle = write_script(tmp_path, "exec sleep 60")
    with pytest.raises(EncodeError, match=r"chunk 0: no output for 0\.3 s") as error:
        await encode(source, EncoderSettings(ffmpeg_path=idle, stall_timeout_s=0.3))
    assert error.value.exit_status is None


async def test_failure_tells_task_status_and_last_words(source: Path, tmp_path: Path) -> None:
    failing = write_script(tmp_path, "echo first >&2; echo 'the disk is on fire' >&2; exit 7")
    with pytest.raises(EncodeError) as error:
        await encode(source, EncoderSettings(ffmpeg_path=failing), chunk=1)
    assert (error.value.task, error.value.exit_status) == ("chunk 1", 7)
    assert error.value.last_words == "first\nthe disk is on fire"


def write_script(folder: Path, text: str) -> str:
    """A stand-in for ffmpeg at its edge, the process."""
    script = folder / "ffmpeg"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    return str(script)


async def test_source_that_lost_its_end_after_the_probe_is_noticed(source: Path, tmp_path: Path) -> None:
    plan = await plan_of(source)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(source.read_bytes()[: source.stat().st_size // 3])
    with pytest.raises(EncodeError, match=r"has \d+ frames: must be"):
        async with Encoder().encode_chunk(cut, plan, plan.chunks[1]) as segments:
            async for _ in segments:
                pass


async def test_source_that_is_mostly_damaged_fails(source: Path, tmp_path: Path) -> None:
    data = bytearray(source.read_bytes())
    plan = await plan_of(source)
    noise = Random(7)  # always the same damage
    for place in range(len(data) // 5, len(data) - 60, 100):
        data[place : place + 60] = noise.randbytes(60)
    damaged = tmp_path / "damaged.mkv"
    damaged.write_bytes(data)
    with pytest.raises(EncodeError) as error:
        for chunk in plan.chunks:
            async with Encoder().encode_chunk(damaged, plan, chunk) as segments:
                async for _ in segments:
                    pass
    assert error.value.last_words


async def test_preset_and_threads_reach_the_encoder(source: Path) -> None:
    told = [b"threads=3", b"subme=0"]  # x264 writes its settings into the first frame
    *_, usual = await encode(source, EncoderSettings(thread_count=1))
    *_, chosen = await encode(source, EncoderSettings(thread_count=3, preset="ultrafast"))
    assert all(word in chosen.data and word not in usual.data for word in told)


async def test_niceness_reaches_ffmpeg(source: Path) -> None:
    expected = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 7)  # it adds up, as far as there is more
    task = asyncio.create_task(encode(source, SLOW, chunk=1, niceness=7))
    await until(lambda: [os.getpriority(os.PRIO_PROCESS, pid) for pid in ffmpegs(source)] == [expected])
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("limit", [{"memory_bytes": 60 << 20}, {"max_pixel_count": 1000}])
async def test_limits_hold_ffmpeg(source: Path, limit: dict[str, int]) -> None:
    with pytest.raises(EncodeError):
        await encode(source, replace(EncoderSettings(), **limit))  # type: ignore[arg-type]


async def test_hdr_becomes_bt709(tmp_path: Path) -> None:
    source = make_media(tmp_path / "hdr.mkv", Media(picture=Picture(count=30, flags=HDR), sound=None))
    job = await transcode(source)
    assert job.plan.source.video is not None
    assert job.plan.source.video.color_transfer == "smpte2084"
    (tmp_path / "out.mp4").write_bytes(job.media("Low"))
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
    assert (frame.color_trc, frame.color_primaries, frame.colorspace) == (1, 1, 1)
    assert [shown.number for shown in watch(job.media("Low"))] == list(range(30))


async def test_surround_that_turns_stereo_in_mid_stream_goes_on(tmp_path: Path) -> None:
    parts = []
    for number, channels in enumerate((6, 2)):
        sound = Sound(seconds=3, sample_rate=48_000, channels=channels, flags=("-c:a", "ac3"))
        timing = ("-muxdelay", "0", "-muxpreload", "0", "-output_ts_offset", str(4 * number))
        media = Media(picture=Picture(count=90), sound=sound, flags=timing)
        parts.append(make_media(tmp_path / f"{number}.ts", media).read_bytes())
    source = tmp_path / "both.ts"
    source.write_bytes(b"".join(parts))
    job = await transcode(source)
    assert listen(job.media("audio")).beeps() == pytest.approx([0, 1, 2, 4, 5, 6], abs=0.1)
