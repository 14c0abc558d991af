"""Live runs: what real publishers send becomes parts and segments on one grid, as it comes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import imageio_ffmpeg
import pytest

from chassis.errors import InvalidArgument
from support.flv import AUDIO, VIDEO, Tag, edit_flv, shift
from support.live import ENCODER, Cut, plan_head, run_live, write_all
from support.media import Media, Picture, Sound, listen, make_media, run_ffmpeg, watch, watch_sprite
from transcoder.adapters.encoder import EncoderSettings
from transcoder.adapters.ffmpeg_process import ProcessLimits
from transcoder.adapters.ffmpeg_process import run_ffmpeg as start_ffmpeg
from transcoder.adapters.live_command import LiveCommand, build_drop_command, build_live_command
from transcoder.adapters.live_encoder import LiveEncoder
from transcoder.adapters.live_probe import probe_head
from transcoder.domain.encoding import EncodeError
from transcoder.domain.fragment_writer import pack_fragment
from transcoder.domain.fragments import FragmentReader
from transcoder.domain.live_cutter import LiveOutput, LivePart, LiveRenditionEnd, LiveSegment
from transcoder.domain.live_speed import LiveProgress
from transcoder.domain.packager import MediaKind
from transcoder.domain.plan import Container
from transcoder.domain.ts_packets import PACKET_BYTES

SECONDS = 6
SOUND = Sound(seconds=SECONDS)
PICTURE = Picture(count=SECONDS * 30)
FRAGMENTED = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof")
CONTAINERS = {"flv": "flv", "mpegts": "ts", "mov": "mp4", "matroska": "mkv"}


def make(folder: Path, demuxer: str = "flv", **traits: object) -> bytes:
    flags = FRAGMENTED if demuxer == "mov" else ()
    media = replace(Media(picture=PICTURE, sound=SOUND, flags=flags), **traits)  # type: ignore[arg-type]
    return make_media(folder / f"source.{CONTAINERS[demuxer]}", media).read_bytes()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Six seconds of FLV."""
    return make(tmp_path_factory.mktemp("live"))


async def publish(data: bytes, demuxer: str = "flv", **wishes: object) -> Cut:
    return await run_live(await plan_head(data, demuxer, **wishes), data)


def numbers(cut: Cut, rendition_id: str = "Small") -> list[int]:
    """Which of the source's frames each frame shows, checked to be on the grid.

    Where the sound begins a little before the picture, the first frame is repeated; that is left out.
    """
    shown = watch(cut.track(rendition_id))
    assert [frame.time_s for frame in shown] == pytest.approx([n / 30 for n in range(len(shown))], abs=1e-4)
    found = [frame.number for frame in shown]
    lead = found.count(found[0]) - 1
    assert lead <= 3
    return found[lead:]


def sound_s(cut: Cut) -> float:
    last = cut.segments("audio")[-1]
    return last.start_s + last.duration_s


@pytest.mark.parametrize("demuxer", CONTAINERS)
async def test_each_container_becomes_every_frame_on_the_grid(tmp_path: Path, demuxer: str) -> None:
    cut = await publish(make(tmp_path, demuxer), demuxer)
    assert set(cut.renditions) == {"Small", "Large", "audio", "thumbnails"}
    for rung in ("Small", "Large"):
        assert numbers(cut, rung)[: SECONDS * 30] == list(range(SECONDS * 30))
        assert [segment.duration_s for segment in cut.segments(rung)[:3]] == [2, 2, 2]
    assert len({len(cut.segments(rendition)) for rendition in cut.renditions}) == 1
    assert listen(cut.track("audio")).beeps() == pytest.approx(range(SECONDS), abs=0.07)


@pytest.mark.parametrize("container", Container)
async def test_sprites_show_the_beginning_of_their_tiles(source: bytes, container: Container) -> None:
    cut = await publish(source, container=container, target_duration_s=4)
    tile = cut.renditions["thumbnails"]
    assert (tile.width_pixels, tile.height_pixels, tile.tile_s) == (170, 96, 2)
    shown = [frame.number for frame in watch(cut.track("Small"))]
    sprites = [watch_sprite(sprite.data, tile.height_pixels) for sprite in cut.segments("thumbnails")]
    assert sprites == [[shown[0], shown[60]], [shown[120]] if len(shown) <= 180 else [shown[120], shown[180]]]
    beside = cut.segments("Small")
    for sprite, segment in zip(cut.segments("thumbnails"), beside, strict=True):
        assert (sprite.start_s, sprite.duration_s) == (segment.start_s, segment.duration_s)
        assert cut.media.index(sprite) > cut.media.index(segment)


async def test_segments_are_their_parts(source: bytes) -> None:
    cut = await publish(source)
    for rendition in ("Small", "Large", "audio"):
        for segment in cut.segments(rendition):
            parts = cut.parts(rendition, segment.segment)
            assert b"".join(part.data for part in parts) == segment.data
            assert [part.part for part in parts] == list(range(len(parts)))
            assert parts[0].independent
            assert max(part.duration_s for part in parts) <= 0.334
            assert sum(part.duration_s for part in parts) == pytest.approx(segment.duration_s)
    assert len(cut.parts("Large", 0)) == 6
    assert [part.independent for part in cut.parts("Large", 0)] == [True, False, False, True, False, False]


async def test_part_comes_while_the_publisher_goes_on(source: bytes) -> None:
    plan = await plan_head(source, "flv")
    async with asyncio.timeout(30), ENCODER.encode(plan) as encode:
        await encode.write(source[: len(source) // 2])
        async for media in encode.outputs():
            if isinstance(media, LivePart) and media.segment == 1:
                break


async def test_no_part_waits_for_frames_behind_the_next_one(source: bytes) -> None:
    """Larger rungs' frames come several at a time, and yet their parts with those that come one by one."""
    plan = await plan_head(source, "flv")
    assert plan.handover_frames(plan.ladder[1]) == 5
    ends: dict[str, list[float]] = {"Small": [], "Large": []}
    async with asyncio.timeout(20), ENCODER.encode(plan) as encode:
        await encode.write(source[: len(source) // 2])  # the publisher pauses
        async for item in encode.outputs():
            if isinstance(item, LivePart) and item.rendition.rendition_id in ends:
                ends[item.rendition.rendition_id].append(item.start_s + item.duration_s)
            if min(map(len, ends.values())) == 8:
                break
    assert ends["Small"][:8] == ends["Large"][:8]


async def test_source_whose_container_breaks_is_told_of_while_the_publisher_goes_on(tmp_path: Path) -> None:
    """Two files on one connection: ffmpeg ends with status 0, and would leave the publisher to nobody."""
    flags = ("-movflags", "+frag_keyframe+empty_moov")  # places count from the beginning of their own file
    data = make(tmp_path, "mov", flags=flags)
    far = (1 << 16).to_bytes(4, "big") + b"free" + bytes((1 << 16) - 8)
    plan = await plan_head(data, "mov")
    async with asyncio.timeout(30), ENCODER.encode(plan) as encode:
        writing = asyncio.create_task(encode.write(data + far + data))
        with pytest.raises(EncodeError, match="ended before its source"):
            async for _ in encode.outputs():
                pass
        await writing


async def test_a_rung_that_is_left_out_ends_with_its_segment(source: bytes) -> None:
    plan = await plan_head(source, "flv")
    made: list[LiveOutput] = []
    async with asyncio.timeout(30), ENCODER.encode(plan) as encode:
        writing = asyncio.create_task(write_all(encode, source))
        async for item in encode.outputs():
            if not made:
                encode.drop_top_rung()
            made.append(item)
        await writing
    of_top = [item for item in made if item.rendition.rendition_id == "Large"]
    assert [type(item) for item in of_top[-2:]] == [LiveSegment, LiveRenditionEnd]
    assert [segment.duration_s for segment in Cut(made).segments("Large")] == [2.0]
    assert numbers(Cut(made)) == list(range(SECONDS * 30))


async def test_a_rung_that_is_left_out_is_encoded_no_more(source: bytes) -> None:
    """All others go on, without a frame lost."""
    plan = await plan_head(source, "flv")

    def command(urls: Sequence[str], progress_url: str) -> Sequence[str]:
        run = LiveCommand(
            ffmpeg_path=imageio_ffmpeg.get_ffmpeg_exe(),
            output_urls=urls[:-1],
            input_url=urls[-1],
            progress_url=progress_url,
        )
        return build_live_command(run, plan)

    async with (
        asyncio.timeout(30),
        start_ffmpeg(
            command, output_count=3, limits=ProcessLimits(), on_progress=lambda _: None, is_commanded=True
        ) as process,
    ):

        async def publish_slowly() -> None:
            for place in range(0, len(source), len(source) // 30):
                await process.write(source[place : place + len(source) // 30])
                await asyncio.sleep(0.1)  # a publisher's pace: commands are heard twice a second
            process.end_input()

        publishing = asyncio.create_task(publish_slowly())
        frames, readers = dict.fromkeys(range(2), 0), [FragmentReader() for _ in range(2)]
        async for number, data in process.outputs():
            if not frames[1]:
                process.command(build_drop_command(1))
            if number in frames:
                frames[number] += len(readers[number].feed(data))
        await publishing
        assert await process.wait() == 0
    assert frames[0] == pytest.approx(SECONDS * 30, abs=2)  # a box's name may be cut in two
    assert frames[1] < SECONDS * 30 / 2


async def test_iframes_are_shown_by_their_ranges_alone(source: bytes) -> None:
    cut = await publish(source)
    init = cut.renditions["Large"].init or b""
    segment = cut.segments("Large")[1]
    assert [iframe.duration_s for iframe in segment.iframes] == [1, 1]
    shown = watch(cut.track("Large"))
    for iframe, frame in zip(segment.iframes, (60, 90), strict=True):
        data = segment.data[iframe.offset_bytes : iframe.offset_bytes + iframe.size_bytes]
        assert watch(init + data) == [shown[frame]]


async def test_runs_with_the_same_parameters_have_the_same_init_segments(
    source: bytes, tmp_path: Path
) -> None:
    other = make(tmp_path, sound=replace(SOUND, steady=True), picture=replace(PICTURE, count=90))
    cuts = [await publish(data) for data in (source, other)]
    inits = [{name: rendition.init for name, rendition in cut.renditions.items()} for cut in cuts]
    assert inits[0] == inits[1]


async def test_transport_streams_have_whole_segments_with_their_sound(source: bytes) -> None:
    cut = await publish(source, container=Container.TS)
    assert not [item for item in cut.media if isinstance(item, LivePart)]
    kinds = {rendition.media_kind for rendition in cut.renditions.values()}
    assert kinds == {MediaKind.MUXED, MediaKind.IMAGES}
    shown = [frame.number for frame in watch(cut.track("Large"))]
    assert shown[-SECONDS * 30 :] == list(range(SECONDS * 30))
    beeps = listen(cut.track("Small"))
    assert [beep - beeps.start_s for beep in beeps.beeps()] == pytest.approx(range(SECONDS), abs=0.07)
    assert all(len(segment.data) % PACKET_BYTES == 0 for segment in cut.segments("Small"))


async def test_source_without_sound_has_no_audio(tmp_path: Path) -> None:
    cut = await publish(make(tmp_path, sound=None))
    assert set(cut.renditions) == {"Small", "Large", "thumbnails"}
    assert numbers(cut) == list(range(SECONDS * 30))


@pytest.mark.parametrize("container", Container)
async def test_source_without_picture_is_sound_alone(tmp_path: Path, container: Container) -> None:
    cut = await publish(make(tmp_path, picture=None), container=container)
    assert set(cut.renditions) == {"audio"}
    assert [round(segment.duration_s, 1) for segment in cut.segments("audio")[:3]] == [2, 2, 2]
    heard = listen(cut.track("audio"))
    assert [beep - heard.start_s for beep in heard.beeps()] == pytest.approx(range(SECONDS), abs=0.07)
    assert bool(cut.parts("audio", 0)) == (container is Container.CMAF)


async def test_sound_that_starts_late_is_preceded_by_silence(source: bytes) -> None:
    late = edit_flv(source, lambda tag: None if tag.kind == AUDIO and tag.time_ms < 2500 else tag)
    cut = await publish(late)
    assert listen(cut.track("audio")).beeps() == pytest.approx([3, 4, 5], abs=0.07)
    assert sound_s(cut) == pytest.approx(SECONDS, abs=0.1)


async def test_sound_that_stops_is_followed_by_silence(source: bytes) -> None:
    short = edit_flv(source, lambda tag: None if tag.kind == AUDIO and tag.time_ms > 2500 else tag)
    cut = await publish(short)
    assert listen(cut.track("audio")).beeps() == pytest.approx([0, 1, 2], abs=0.07)
    assert sound_s(cut) == pytest.approx(SECONDS, abs=0.1)
    assert len(cut.segments("audio")) == len(cut.segments("Small"))


async def test_sound_with_a_hole_stays_in_step(source: bytes) -> None:
    holed = edit_flv(source, lambda tag: None if tag.kind == AUDIO and 1500 < tag.time_ms < 4500 else tag)
    assert listen((await publish(holed)).track("audio")).beeps() == pytest.approx([0, 1, 5], abs=0.07)


async def test_jitter_of_times_is_put_back_on_the_grid(source: bytes) -> None:
    chance = random.Random(7)
    jittering = edit_flv(
        source, lambda tag: shift(tag, chance.randint(-7, 7) + 20) if tag.kind == VIDEO else shift(tag, 20)
    )
    shown = numbers(await publish(jittering))
    assert shown[: SECONDS * 30] == list(range(SECONDS * 30))


async def test_frames_that_were_dropped_are_replaced_by_those_before(source: bytes) -> None:
    def drop(tag: Tag) -> Tag | None:
        return None if tag.kind == VIDEO and 2667 <= tag.time_ms < 4000 else tag

    shown = numbers(await publish(edit_flv(source, drop)))
    assert len(shown) == pytest.approx(SECONDS * 30, abs=3)
    assert shown[79:119] == [79] * 40
    assert shown[120:180] == list(range(120, 180))


@pytest.mark.parametrize("jump_s", [3600, -1.5, 90_000])
async def test_times_of_flv_that_jump_go_on_where_they_were(tmp_path: Path, jump_s: float) -> None:
    """At frame 80, an I-frame."""
    data = make(tmp_path)
    jumping = edit_flv(data, lambda tag: shift(tag, round(jump_s * 1000)) if tag.time_ms >= 2667 else tag)
    cut = await publish(jumping)
    assert len(numbers(cut)) == pytest.approx(SECONDS * 30, abs=10)
    assert sound_s(cut) == pytest.approx(SECONDS, abs=0.4)


async def test_times_of_mp4_that_jump_go_on_where_they_were(tmp_path: Path) -> None:
    reader = FragmentReader()
    samples = reader.feed(make(tmp_path, "mov", sound=None))
    assert reader.track
    jump = 3600 * reader.track.timescale
    late = [replace(sample, decode_time=sample.decode_time + jump) for sample in samples[80:]]
    fragments = [
        pack_fragment(run, track_id=1, sequence_number=number)
        for number, run in enumerate((samples[:80], late), start=1)
    ]
    shown = numbers(await publish(reader.init + b"".join(fragments), "mov"))
    assert len(shown) == pytest.approx(SECONDS * 30, abs=10)
    assert shown[-1] == SECONDS * 30 - 1


@pytest.mark.parametrize("offset_s", [3600, 90_000])
async def test_times_of_transport_streams_that_jump_go_on_where_they_were(
    tmp_path: Path, offset_s: int
) -> None:
    one = make(tmp_path, "mpegts")
    (tmp_path / "one.ts").write_bytes(one)
    run_ffmpeg(
        *("-i", str(tmp_path / "one.ts"), "-c", "copy", "-output_ts_offset", str(offset_s)),
        str(tmp_path / "two.ts"),
    )
    cut = await publish(one + (tmp_path / "two.ts").read_bytes(), "mpegts")
    shown = numbers(cut)
    assert len(shown) == pytest.approx(2 * SECONDS * 30, abs=15)
    assert shown[-1] == SECONDS * 30 - 1


async def test_rate_of_a_busy_source_is_halved(tmp_path: Path) -> None:
    data = make(tmp_path, picture=replace(PICTURE, rate=Fraction(120), count=SECONDS * 120), sound=None)
    plan = await plan_head(data, "flv")
    assert plan.frame_rate == 60
    shown = [frame.number for frame in watch((await run_live(plan, data)).track("Small"))]
    assert {after - before for before, after in pairwise(shown)} == {2}


async def test_bytes_that_are_no_media_end_the_run_with_the_reason(source: bytes) -> None:
    plan = await plan_head(source, "flv")
    with pytest.raises(EncodeError, match="could not find codec parameters"):
        await run_live(plan, b"no media at all " * 10_000)


async def test_source_that_breaks_off_in_mid_frame_ends_the_run_well(source: bytes) -> None:
    plan = await plan_head(source, "flv")
    cut = await run_live(plan, source[: len(source) // 2 + 17])
    assert 80 < len(numbers(cut)) < 100
    assert len({len(cut.segments(rendition)) for rendition in cut.renditions}) == 1


def children() -> set[str]:
    """Names of this process's children that live."""
    found = set()
    for folder in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # a thread, or a child, that has just ended
            for pid in (folder / "children").read_text().split():
                with suppress(OSError):
                    found.add((Path("/proc") / pid / "comm").read_text())
    return {name for name in found if name.startswith("ffmpeg")}


async def test_leaving_the_block_leaves_no_ffmpeg(source: bytes) -> None:
    plan = await plan_head(source, "flv")
    async with ENCODER.encode(plan) as encode:
        await encode.write(source[:100_000])
        assert children()
    assert not children()


async def test_writing_to_an_encoder_that_has_ended_does_not_block(source: bytes) -> None:
    plan = await plan_head(source, "flv")
    async with asyncio.timeout(30), ENCODER.encode(plan) as encode:
        writing = asyncio.create_task(write_all(encode, b"no media" * 1_000_000))
        with pytest.raises(EncodeError):
            _ = [media async for media in encode.outputs()]
        await writing


async def test_progress_tells_how_fast_the_run_goes_and_who_waits(tmp_path: Path) -> None:
    bulky = replace(SOUND, flags=("-c:a", "pcm_s16le"))  # more than the pipe to ffmpeg holds
    data = make(tmp_path, "matroska", sound=bulky)
    plan, told = await plan_head(data, "matroska"), list[LiveProgress]()
    slow = LiveEncoder(EncoderSettings(preset="placebo", thread_count=1))
    async with asyncio.timeout(60), slow.encode(plan, on_progress=told.append) as encode:
        writing = asyncio.create_task(write_all(encode, data))
        _ = [media async for media in encode.outputs()]
        await writing
    assert told[-1].media_s == pytest.approx(SECONDS, abs=0.1)
    assert sum(news.speed_ratio * news.span_s for news in told) == pytest.approx(told[-1].media_s)
    assert told[0].waiting_ratio > 0.5  # all was there at once: it is the encoder that was waited for


@pytest.mark.parametrize("demuxer", CONTAINERS)
async def test_cut_off_head_tells_the_tracks(tmp_path: Path, demuxer: str) -> None:
    data = make(tmp_path, demuxer)
    source = await probe_head(data[: len(data) * 2 // 3 + 5], demuxer)
    assert source.demuxer == demuxer
    assert source.video is not None
    assert source.video.frame_rate == 30
    assert source.audio is not None
    assert source.audio.sample_rate_hz == 44_100


async def test_head_that_is_too_short_asks_for_more(source: bytes) -> None:
    for size in (9, 400, 4_000):
        with pytest.raises(InvalidArgument) as refused:
            await probe_head(source[:size], "flv", is_whole=False)
        assert refused.value.reason == "HEAD_TOO_SHORT"
    assert (await probe_head(source[:60_000], "flv", is_whole=False)).audio


@pytest.mark.parametrize(
    ("head", "demuxer", "reason"),
    [
        (b"no media", "flv", "NOT_MEDIA"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "hls", "UNSUPPORTED_CONTAINER"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "mov", "NOT_MEDIA"),
    ],
)
async def test_what_cannot_be_a_source_is_refused(head: bytes, demuxer: str, reason: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await probe_head(head, demuxer)
    assert refused.value.reason == reason
