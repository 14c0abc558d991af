"""The probe measures what is there, and refuses what cannot be a source, saying why."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from chassis.errors import InvalidArgument
from support.media import HDR, Media, Picture, Sound, make_media, run_ffmpeg
from transcoder.adapters.probe import ProbeLimits, probe
from transcoder.domain.source import AudioTrack, Source, VideoTrack

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "40", "-pix_fmt", "yuv420p")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("probe")


async def video_of(path: Path) -> VideoTrack:
    video = (await probe(path)).video
    assert video is not None
    return video


async def test_mp4_is_measured(folder: Path) -> None:
    path = make_media(
        folder / "plain.mp4", Media(sound=Sound(flags=("-c:a", "aac", "-metadata:s:a", "language=deu")))
    )
    assert await probe(path) == Source(
        demuxer="mov",
        container="QuickTime / MOV",
        size_bytes=path.stat().st_size,
        duration_s=5.0,
        video=VideoTrack(
            stream_index=0,
            codec="h264",
            width_pixels=320,
            height_pixels=180,
            coded_width_pixels=320,
            coded_height_pixels=180,
            sample_aspect_ratio=Fraction(1),
            rotation_degrees=0,
            frame_rate=Fraction(30),
            busy_frame_rate=Fraction(30),
            constant_frame_rate=True,
            frame_count=150,
            start_s=0.0,
            duration_s=5.0,
            keyframe_times_s=(0.0, 1.333333, 2.666667, 4.0),
        ),
        audio=AudioTrack(
            stream_index=1,
            codec="aac",
            sample_rate_hz=44_100,
            channel_count=2,
            start_s=0.0,
            duration_s=5.0,
            language="deu",
        ),
    )


async def test_rotation_turns_the_displayed_size(folder: Path) -> None:
    first = make_media(folder / "lying.mp4", Media(sound=None))
    for angle, turned in ((90, 270), (180, 180), (270, 90)):
        path = folder / f"turned-{angle}.mp4"
        run_ffmpeg("-display_rotation", str(angle), "-i", str(first), "-c", "copy", str(path))
        video = await video_of(path)
        assert video.rotation_degrees == turned  # libav counts the other way round
        assert (video.width_pixels, video.height_pixels) == ((320, 180) if angle == 180 else (180, 320))
        assert (video.coded_width_pixels, video.coded_height_pixels) == (320, 180)


async def test_wide_pixels_widen_the_displayed_size(folder: Path) -> None:
    picture = Picture(width=360, height=288, flags=(*X264, "-vf", "setsar=64/45"))
    video = await video_of(make_media(folder / "wide.mkv", Media(picture=picture, sound=None)))
    assert (video.sample_aspect_ratio, video.width_pixels, video.height_pixels) == (
        Fraction(64, 45),
        512,
        288,
    )


async def test_interlacing_is_seen(folder: Path) -> None:
    for name, flags, interlaced in (("fields.ts", ("-flags", "+ildct+ilme"), True), ("frames.ts", (), False)):
        picture = Picture(count=50, rate=Fraction(25), flags=("-c:v", "mpeg2video", *flags))
        assert (await video_of(make_media(folder / name, Media(picture=picture)))).interlaced == interlaced


async def test_hdr_and_depth_are_seen(folder: Path) -> None:
    video = await video_of(
        make_media(folder / "hdr.mkv", Media(picture=Picture(count=30, flags=HDR), sound=None))
    )
    assert (video.color_transfer, video.bit_depth, video.pixel_format) == ("smpte2084", 10, "yuv420p10le")


async def test_cover_art_is_no_video(folder: Path) -> None:
    cover = make_media(folder / "cover.png", Media(picture=Picture(count=1, flags=()), sound=None))
    song = make_media(folder / "song.mp3", Media(picture=None, sound=Sound(flags=("-c:a", "libmp3lame"))))
    path = folder / "covered.mp3"
    run_ffmpeg(
        "-i",
        str(song),
        "-i",
        str(cover),
        *("-map", "0", "-map", "1", "-c", "copy", "-id3v2_version", "3"),
        str(path),
    )
    source = await probe(path)
    assert source.video is None
    assert source.audio is not None


async def test_default_track_is_chosen(folder: Path) -> None:
    first = make_media(folder / "one.mp4", Media(picture=None))
    path = folder / "two.mkv"
    maps = ("-map", "0", "-map", "0", "-c", "copy", "-disposition:a:0", "0", "-disposition:a:1", "default")
    run_ffmpeg("-i", str(first), *maps, str(path))
    audio = (await probe(path)).audio
    assert audio is not None
    assert audio.stream_index == 1


async def test_name_with_a_colon_is_a_file(folder: Path) -> None:
    path = make_media(folder / "plain2.mp4", Media(sound=None)).rename(folder / "http:x.mp4")
    assert (await probe(path)).demuxer == "mov"


def cut(path: Path, target: Path, share: float) -> Path:
    target.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return target


def plain(folder: Path, name: str, *flags: str) -> Path:
    return make_media(folder / name, Media(flags=flags))


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def empty_track(folder: Path) -> Path:
    path = folder / "nothing.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "color=s=64x64", "-t", "0", *("-movflags", "+empty_moov"), str(path))
    return path


def huge(folder: Path) -> Path:
    path = folder / "huge.mp4"
    run_ffmpeg(
        "-f", "lavfi", "-i", "color=s=8192x8192:r=1:d=1", "-c:v", "libx264", "-preset", "ultrafast", str(path)
    )
    return path


def joined(folder: Path) -> Path:
    part = plain(folder, "part.ts").read_bytes()
    return write(folder / "joined.ts", part + part)


def subtitles(folder: Path) -> Path:
    text = write(folder / "text.srt", b"1\n00:00:00,000 --> 00:00:02,000\nhello\n")
    run_ffmpeg("-i", str(text), str(folder / "text.mkv"))
    return folder / "text.mkv"


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"

REFUSED: dict[str, tuple[str, str, Callable[[Path], Path]]] = {
    "empty": ("EMPTY_SOURCE", "0 bytes", lambda folder: write(folder / "empty", b"")),
    "text": ("NOT_MEDIA", "Invalid data", lambda folder: write(folder / "text", b"hello " * 50)),
    "noise": ("NOT_MEDIA", "Invalid data", lambda folder: write(folder / "noise", os.urandom(100_000))),
    "mp4 without its end": (
        "TRUNCATED_SOURCE",
        "moov atom not found",
        lambda folder: cut(plain(folder, "a.mp4"), folder / "b.mp4", 0.5),
    ),
    "fast-start mp4 without its end": (
        "TRUNCATED_SOURCE",
        "declares 5.0 s, but the media end at",
        lambda folder: cut(plain(folder, "c.mp4", "-movflags", "+faststart"), folder / "d.mp4", 0.5),
    ),
    "mkv without its end": (
        "TRUNCATED_SOURCE",
        "but the media end at",
        lambda folder: cut(plain(folder, "e.mkv"), folder / "f.mkv", 0.5),
    ),
    "playlist": ("UNSUPPORTED_CONTAINER", "'hls'", lambda folder: write(folder / "list.m3u8", PLAYLIST)),
    "concat script": (
        "UNSUPPORTED_CONTAINER",
        "'concat'",
        lambda folder: write(folder / "c.txt", b"ffconcat version 1.0\nfile x\n"),
    ),
    "no samples": ("ZERO_DURATION", "", empty_track),
    "subtitles": ("NO_TRACKS", "neither", subtitles),
    "huge picture": ("PICTURE_TOO_LARGE", "8192x8192: at most 33177600 pixels", huge),
    "joined recordings": ("BROKEN_TIMELINE", "goes back from 6.4 s", joined),
}


@pytest.mark.parametrize("kind", REFUSED)
async def test_what_cannot_be_a_source_is_refused(kind: str, tmp_path: Path) -> None:
    reason, message, make = REFUSED[kind]
    with pytest.raises(InvalidArgument, match=f"^source: .*{message}") as error:
        await probe(make(tmp_path))
    assert (error.value.reason, error.value.metadata) == (reason, {"field": "source"})


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"max_pixel_count": 320 * 180 - 1}, "PICTURE_TOO_LARGE"),
        ({"max_duration_s": 4.9}, "SOURCE_TOO_LONG"),
        ({"base_timeout_s": 0.01, "read_bytes_per_s": 1e12}, "PROBE_LIMIT"),
    ],
)
async def test_limits_are_kept(folder: Path, limit: dict[str, float], reason: str) -> None:
    path = plain(folder, "limited.mp4")
    with pytest.raises(InvalidArgument) as error:
        await probe(path, replace(ProbeLimits(), **limit))  # type: ignore[arg-type]
    assert error.value.reason == reason


async def test_memory_is_limited(folder: Path) -> None:
    limits = ProbeLimits(max_pixel_count=8192 * 8192, memory_bytes=1 << 30)
    assert await probe(huge(folder), limits)
    with pytest.raises(InvalidArgument):
        await probe(huge(folder), replace(limits, memory_bytes=200 << 20))


async def test_time_to_read_grows_with_the_size(folder: Path) -> None:
    path = plain(folder, "slow.mp4")
    assert await probe(path, ProbeLimits(base_timeout_s=0.0, read_bytes_per_s=path.stat().st_size / 20))


async def test_cancelled_probe_leaves_no_process(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "never.mp4")
    task = asyncio.create_task(probe(pipe, ProbeLimits(base_timeout_s=60)))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises((asyncio.CancelledError, InvalidArgument)):
        await task
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not any(os.fsencode(pipe) in command for command in commands)
