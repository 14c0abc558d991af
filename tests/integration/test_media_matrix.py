"""Every kind of source comes out right: frames, times, sound, and all renditions alike."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import pytest

from support.media import (
    HDR,
    Media,
    Picture,
    Shown,
    Sound,
    duration_s,
    listen,
    make_media,
    run_ffmpeg,
    watch,
    watch_sprite,
)
from support.transcoding import Job, transcode
from transcoder.domain.plan import Container

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
B_FRAMES = (*X264, "-bf", "3", "-g", "40", "-sc_threshold", "0")
FILM = Fraction(24000, 1001)
NTSC = Fraction(30000, 1001)
NTSC_60 = Fraction(60000, 1001)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A source and what is to be expected of it."""

    name: str
    """The file's name: its suffix chooses the container."""
    media: Media = field(default_factory=Media)
    rate: Fraction | None = Fraction(30)
    """Of the output; None if there is no picture."""
    size: tuple[int, int] = (320, 180)
    """Of the top rung."""
    turned: int = 0
    seconds: float | None = None
    """Of the source, if its container does not tell."""
    every: int | None = 1
    """Which pictures of the source are shown: every so manieth, each once; None: it has no steady rate."""
    remake: Callable[[Path, Path], None] | None = None
    """Makes the source from a first version of it."""


def case(name: str, picture: Picture | None = None, sound: Sound | None = None, **facts: object) -> Case:
    """Describe a case whose media differ from the usual by picture or sound."""
    media = Media(picture=picture or Picture(), sound=sound or Sound())
    return Case(name=name, media=media, **facts)  # type: ignore[arg-type]


def film(rate: Fraction, seconds: float = 5, **traits: object) -> Picture:
    return Picture(rate=rate, count=round(seconds * rate), **traits)  # type: ignore[arg-type]


def copy(*flags: str) -> Callable[[Path, Path], None]:
    """Remake without encoding again."""

    def remake(first: Path, path: Path) -> None:
        run_ffmpeg("-i", str(first), "-c", "copy", *flags, str(path))

    return remake


def cut(first: Path, path: Path) -> None:
    """An edit list hides the beginning, up to the middle of a GOP."""
    run_ffmpeg("-ss", "1.3", "-i", str(first), "-c", "copy", str(path))


def turn(first: Path, path: Path) -> None:
    run_ffmpeg("-display_rotation", "90", "-i", str(first), "-c", "copy", str(path))


def join_sizes(first: Path, path: Path) -> None:
    """A broadcast that changes its picture's size in mid-stream: two streams one behind the other."""
    small = first.with_suffix(".small.ts")
    shift = ("-copyts", "-muxdelay", "0", "-muxpreload", "0")
    run_ffmpeg(
        "-itsoffset",
        "5",
        "-i",
        str(first),
        *shift,
        "-vf",
        "scale=240:136",
        *B_FRAMES,
        "-c:a",
        "copy",
        str(small),
    )
    large = first.with_suffix(".large.ts")
    run_ffmpeg("-i", str(first), *shift, "-c", "copy", str(large))
    path.write_bytes(large.read_bytes() + small.read_bytes())


# frames come in bursts: 1, 2 and 3 sixtieths of a second apart
UNSTEADY = (
    *B_FRAMES,
    "-vf",
    "settb=1/90000,setpts=(floor(N/3)*6+mod(N\\,3)*(mod(N\\,3)+1)/2)*1500",
    "-fps_mode",
    "vfr",
)
PAUSING = (*B_FRAMES, "-vf", "select=lt(mod(n\\,60)\\,40)", "-fps_mode", "vfr")

CASES = [
    case("b-frames.mp4", Picture(flags=B_FRAMES)),
    case("film.mp4", film(FILM, flags=B_FRAMES), Sound(sample_rate=48_000), rate=FILM),
    case("ntsc.mkv", film(NTSC, flags=B_FRAMES), Sound(sample_rate=48_000, channels=1), rate=NTSC),
    case("sixty.mkv", film(NTSC_60, flags=B_FRAMES), Sound(flags=("-c:a", "libopus")), rate=NTSC_60),
    case("surround.mp4", film(Fraction(24)), Sound(sample_rate=48_000, channels=6), rate=Fraction(24)),
    case("pal.ts", film(Fraction(25), flags=B_FRAMES), Sound(flags=("-c:a", "mp2")), rate=Fraction(25)),
    case("sixty.mp4", film(Fraction(60)), rate=Fraction(60)),
    case("slow-motion.mkv", film(Fraction(120)), rate=Fraction(60), every=2),
    case(
        "web.webm",
        Picture(flags=("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "90")),
        Sound(flags=("-c:a", "libopus")),
    ),
    case(
        "old.avi",
        Picture(flags=("-c:v", "mpeg4", "-q:v", "3", "-g", "50")),
        Sound(flags=("-c:a", "libmp3lame")),
    ),
    case(
        "b-frames.avi",
        Picture(flags=("-c:v", "mpeg4", "-q:v", "3", "-bf", "2")),
        Sound(flags=("-c:a", "libmp3lame")),
    ),
    case("flash.flv", Picture(flags=B_FRAMES)),
    case(
        "dvd.vob",
        film(Fraction(25), flags=("-c:v", "mpeg2video", "-q:v", "3", "-bf", "2", "-g", "12")),
        Sound(sample_rate=48_000, flags=("-c:a", "ac3")),
        rate=Fraction(25),
    ),
    case(
        "interlaced.ts",
        film(Fraction(25), flags=("-c:v", "mpeg2video", "-q:v", "3", "-flags", "+ildct+ilme", "-bf", "2")),
        Sound(flags=("-c:a", "mp2")),
        rate=Fraction(25),
    ),
    case(
        "ten-bit.mkv",
        Picture(
            flags=(
                "-c:v",
                "libx265",
                "-preset",
                "ultrafast",
                "-pix_fmt",
                "yuv420p10le",
                "-x265-params",
                "log-level=error",
            )
        ),
    ),
    case(
        "odd.mkv",
        Picture(width=323, height=181, flags=("-c:v", "ffv1")),
        Sound(flags=("-c:a", "flac")),
        size=(320, 180),
    ),
    case("portrait.mp4", Picture(width=180, height=320), size=(180, 320)),
    case("wide-pixels.mp4", Picture(width=240, height=180, flags=(*B_FRAMES, "-vf", "setsar=4/3"))),
    case("unsteady.mp4", Picture(count=225, flags=UNSTEADY), rate=Fraction(30), every=None),
    case("pausing.mkv", Picture(flags=PAUSING), every=None),
    case(
        "windows.wmv",
        Picture(flags=("-c:v", "wmv2", "-q:v", "3", "-g", "40")),
        Sound(flags=("-c:a", "wmav2")),
    ),
    case("free.ogv", Picture(flags=("-c:v", "libtheora", "-q:v", "9")), Sound(flags=("-c:a", "libvorbis"))),
    case(
        "studio.mxf",
        film(Fraction(25), flags=("-c:v", "mpeg2video", "-q:v", "3", "-bf", "2")),
        Sound(sample_rate=48_000, flags=("-c:a", "pcm_s16le")),
        rate=Fraction(25),
    ),
    Case(
        name="fragments.mp4",
        media=Media(
            picture=Picture(flags=B_FRAMES),
            flags=("-movflags", "+frag_keyframe+empty_moov+default_base_moof+skip_trailer"),
        ),
    ),
    Case(
        name="without-index.mkv",
        media=Media(picture=Picture(flags=B_FRAMES), flags=("-live", "1")),
        seconds=5.0,
    ),
    case("blink.mp4", Picture(count=9), Sound(seconds=0.3)),
    Case(name="one-picture.mp4", media=Media(picture=Picture(count=1), sound=None)),
    case("hdr.mkv", Picture(flags=HDR)),
    Case(name="silent.mp4", media=Media(sound=None)),
    case("late-sound.mp4", sound=Sound(seconds=3.5, flags=("-c:a", "aac", "-af", "asetpts=PTS+1.5/TB"))),
    case("late-picture.mkv", Picture(count=117, flags=(*B_FRAMES, "-vf", "setpts=PTS+1.1/TB"))),
    Case(name="sound-outlasts.mp4", media=Media(picture=Picture(count=72)), every=None),
    case(
        "dropped-sound.mkv",
        sound=Sound(flags=("-c:a", "aac", "-af", "aselect=not(between(t\\,1.3\\,2.7))")),
    ),
    Case(name="short-sound.mkv", media=Media(sound=Sound(seconds=2.2))),
    Case(name="sound-only.mp3", media=Media(picture=None, flags=("-c:a", "libmp3lame")), rate=None),
    Case(name="sound-only.m4a", media=Media(picture=None), rate=None),
    Case(name="turned.mp4", size=(180, 320), turned=270, remake=turn),
    Case(name="cut.mp4", media=Media(picture=Picture(flags=B_FRAMES)), remake=cut),
    Case(
        name="high-clock.ts",
        media=Media(picture=Picture(flags=B_FRAMES)),
        remake=copy("-output_ts_offset", "90000"),
    ),
    Case(
        name="wrapping.ts",
        media=Media(picture=Picture(flags=B_FRAMES)),
        remake=copy("-output_ts_offset", "95440"),
    ),
    Case(name="growing.ts", media=Media(picture=Picture(flags=B_FRAMES)), remake=join_sizes, every=None),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sources")


def make_source(case: Case, folder: Path) -> Path:
    path = folder / case.name
    if case.remake is None:
        return make_media(path, case.media)
    first = make_media(folder / f"{path.stem}-first{path.suffix}", case.media)
    case.remake(first, path)
    return path


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_source_comes_out_right(case: Case, folder: Path) -> None:
    await check_source(case, folder, Container.CMAF)


TS_CASES = {"b-frames.mp4", "ntsc.mkv", "pal.ts", "silent.mp4", "late-sound.mp4", "sound-only.mp3"}


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name in TS_CASES], ids=lambda case: case.name
)
async def test_source_comes_out_right_as_ts(case: Case, folder: Path) -> None:
    await check_source(case, folder, Container.TS)


async def check_source(case: Case, folder: Path, container: Container) -> None:
    source = make_source(case, folder)
    job = await transcode(source, container=container)
    check_timetable(case, job, case.seconds or duration_s(source))
    for rung in job.plan.ladder:
        check_pictures(case, job, rung.name, watch(source))
    check_thumbnails(case, job)
    if case.media.sound:
        check_beeps(job, source)


def check_timetable(case: Case, job: Job, seconds: float) -> None:
    """All renditions have the same segments, which add up to the source's duration."""
    grid = job.plan.grid
    frame_s = frame_duration_s(job)
    assert case.rate is None or grid.frame_rate == case.rate
    assert float(grid.duration_s) == pytest.approx(seconds, abs=frame_s)
    for name, segments in job.segments.items():
        assert [segment.msn for segment in segments] == list(range(grid.segment_count))
        assert sum(segment.duration_s for segment in segments) == pytest.approx(seconds, abs=frame_s)
        slack_s = 1024 / segments[0].rendition.sample_rate_hz if name == "audio" else 1e-6
        for segment in segments:
            late_s = segment.start_s - float(grid.segment_start_s(segment.msn))
            assert 0 <= late_s <= slack_s
    if job.plan.ladder:
        top = job.segments[job.plan.ladder[-1].name][0].rendition
        assert (top.width_pixels, top.height_pixels) == case.size


def frame_duration_s(job: Job) -> float:
    """One frame of the picture; of AAC, if there is none. Containers with millisecond clocks add a little."""
    frame_s = 1 / job.plan.grid.frame_rate if job.plan.ladder else 1024 / 44_100
    return float(frame_s) + 0.002


def check_pictures(case: Case, job: Job, rung: str, truth: list[Shown]) -> None:
    """At each time of the grid the picture is the one that the source shows then."""
    grid = job.plan.grid
    shown = watch(job.media(rung), turned=case.turned)
    assert len(shown) == grid.frame_count
    frame_s = float(1 / grid.frame_rate)
    times = [frame.time_s for frame in truth]
    shift_s = start_s(job)
    for place, frame in enumerate(shown):
        assert frame.time_s == pytest.approx(shift_s + place * frame_s, abs=1e-4)
        at_s = grid.origin_s + place * frame_s
        soonest, latest = (
            max(0, bisect_right(times, at_s + shift) - 1) for shift in (-0.51 * frame_s, 0.51 * frame_s)
        )
        fitting = {known.number for known in truth[soonest : latest + 1]}
        assert frame.number in fitting, f"frame {place} of {rung} shows {frame.number}"
    if case.every:
        meant = [frame.number for frame in truth[:: case.every]]
        assert [number for number, _ in groupby(frame.number for frame in shown)] == meant
        before = int((truth[0].time_s - grid.origin_s) / frame_s + 0.1)
        assert len(shown) - before - len(meant) in (0, 1)  # one may be held for sound that lasts longer


def check_thumbnails(case: Case, job: Job) -> None:
    """Sprites show what the smallest rung shows at their times, upright and in its shape."""
    if not job.plan.ladder:
        assert "thumbnails" not in job.segments
        return
    rung, segments = job.plan.ladder[0], job.segments["thumbnails"]
    tile = segments[0].rendition
    assert tile.width_pixels / tile.height_pixels == pytest.approx(
        rung.width_pixels / rung.height_pixels, rel=0.02
    )
    shown = watch(job.media(rung.name), turned=case.turned)
    for segment in segments:
        first = job.plan.grid.first_frame(segment.msn)
        frames = range(
            first,
            job.plan.grid.first_frame(segment.msn + 1),
            round(tile.tile_s * float(job.plan.grid.frame_rate)),
        )
        numbers = watch_sprite(segment.data, tile.height_pixels, turned=case.turned)
        assert numbers == [shown[frame].number for frame in frames]


def check_beeps(job: Job, source: Path) -> None:
    """Each beep is heard at its time, to within one frame."""
    rendition = job.plan.ladder[-1].name if job.plan.audio_is_muxed else "audio"
    heard = [time_s - start_s(job) for time_s in listen(job.media(rendition)).beeps()]
    meant = [time_s - job.plan.grid.origin_s for time_s in listen(source).beeps()]
    assert heard == pytest.approx(meant, abs=frame_duration_s(job))


def start_s(job: Job) -> float:
    """The time that segments give to the recording's beginning."""
    return 10.0 if job.plan.container is Container.TS else 0.0
