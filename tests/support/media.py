"""Test sources whose every frame and second is recognised after transcoding; and what recognises them.

A picture carries its number as a bar code of 16 cells over its upper half, so that whoever decodes the output
sees which frame of the source it shows. The sound is silent but for a beep at each whole second; or a steady
sine, in which a gap or a click would be heard.
"""

from __future__ import annotations

import io
import math
import subprocess
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg

BITS = 16
DARK, LIGHT = 40, 210
BEEP_S = 0.06
BEEP_HZ = 1000
SINE_HZ = 440
LOUD = 12_000
GAP_S = 0.1


HDR = (
    *("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le"),
    *("-x265-params", "log-level=error:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"),
)
"""Flags of a picture in PQ with the primaries of BT.2020."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The picture of a test source; `flags` choose its encoder."""

    width: int = 320
    height: int = 180
    rate: Fraction = Fraction(30)
    count: int = 150
    flags: tuple[str, ...] = (
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-bf",
        "2",
        "-g",
        "40",
        "-pix_fmt",
        "yuv420p",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """The sound of a test source, beeping or steady; `flags` choose its encoder."""

    seconds: float = 5.0
    sample_rate: int = 44_100
    channels: int = 2
    steady: bool = False
    flags: tuple[str, ...] = ("-c:a", "aac", "-b:a", "128k")


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A whole test source: `flags` are of the container."""

    picture: Picture | None = field(default_factory=Picture)
    sound: Sound | None = field(default_factory=Sound)
    flags: tuple[str, ...] = ()


def run_ffmpeg(*arguments: str, stdin: bytes = b"") -> None:
    """Run the wheel's ffmpeg; fail with its words."""
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments]
    done = subprocess.run(argv, input=stdin, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()


def make_media(path: Path, media: Media) -> Path:
    """Write a source; the container follows the name's suffix."""
    inputs: list[str] = []
    flags: list[str] = []
    if media.picture:
        raw = path.with_suffix(".gray")
        raw.write_bytes(b"".join(draw(media.picture, number) for number in range(media.picture.count)))
        size = f"{media.picture.width}x{media.picture.height}"
        inputs += [*("-f", "rawvideo", "-pix_fmt", "gray", "-s", size)]
        inputs += [*("-r", str(media.picture.rate)), *("-i", str(raw))]
        flags += media.picture.flags
    if media.sound:
        wave = path.with_suffix(".pcm")
        wave.write_bytes(play(media.sound).tobytes())
        inputs += [*("-f", "s16le", "-ar", str(media.sound.sample_rate))]
        inputs += [*("-ac", str(media.sound.channels)), *("-i", str(wave))]
        flags += media.sound.flags
    run_ffmpeg(*inputs, *flags, *media.flags, str(path))
    return path


def draw(picture: Picture, number: int) -> bytes:
    """Draw one frame: the number's bits from left to right over the upper half; the lower half is gray."""
    cell = picture.width / BITS
    row = bytes(LIGHT if number >> (BITS - 1 - int(x / cell)) & 1 else DARK for x in range(picture.width))
    upper = picture.height // 2
    return row * upper + bytes([(LIGHT + DARK) // 2]) * picture.width * (picture.height - upper)


def play(sound: Sound) -> array[int]:
    """Make the samples, interleaved; the beeps last BEEP_S from each whole second on."""
    second = array("h", _play_second(sound.sample_rate, sound.channels, steady=sound.steady))
    whole = math.ceil(sound.seconds)
    return (second * whole)[: round(sound.seconds * sound.sample_rate) * sound.channels]


@cache
def _play_second(sample_rate: int, channels: int, *, steady: bool) -> tuple[int, ...]:
    """Make the samples of one second; all seconds are alike."""
    hertz = SINE_HZ if steady else BEEP_HZ
    samples: list[int] = []
    for number in range(sample_rate):
        audible = steady or number < BEEP_S * sample_rate
        value = round(LOUD * math.sin(2 * math.pi * hertz * number / sample_rate)) if audible else 0
        samples += [value] * channels
    return tuple(samples)


@dataclass(frozen=True, slots=True)
class Shown:
    """A decoded frame: when it is shown, and which frame of the source it is."""

    time_s: float
    number: int


def watch(data: bytes | Path, *, turned: int = 0) -> list[Shown]:
    """Decode the video and read every bar code; `turned`: by so many degrees clockwise the code stands."""
    with _open(data) as container:
        return [
            Shown(frame.time, read_number(frame, turned))
            for frame in container.decode(container.streams.video[0])
        ]


def watch_sprite(data: bytes, tile_height: int, *, turned: int = 0) -> list[int]:
    """Decode a sprite and read the bar codes of its pictures, which stand one below the other."""
    with _open(data) as container:
        sprite = next(container.decode(container.streams.video[0]))
    rows, rest = divmod(sprite.height, tile_height)
    assert rest == 0
    return [read_number(sprite, turned, top=row * tile_height, height=tile_height) for row in range(rows)]


def read_number(frame: av.VideoFrame, turned: int = 0, *, top: int = 0, height: int = 0) -> int:
    """Read the bar code of a frame, or of so many of its lines below `top`."""
    height = height or frame.height
    plane = frame.planes[0]
    luma, stride = memoryview(plane), plane.line_size
    depth = frame.format.components[0].bits
    number = 0
    for bit in range(BITS):
        across, down = (bit + 0.5) / BITS, 0.25
        x, y = {
            0: (across, down),
            90: (1 - down, across),
            180: (1 - across, 1 - down),
            270: (down, 1 - across),
        }[turned]
        column, line = int(x * frame.width), top + int(y * height)
        value = (
            luma[line * stride + column]
            if depth == 8
            else _word(luma, line * stride + 2 * column) >> depth - 8
        )
        number = number << 1 | (value > (DARK + LIGHT) // 2)
    return number


def _word(data: memoryview, place: int) -> int:
    return data[place] | data[place + 1] << 8


@dataclass(frozen=True, slots=True)
class Heard:
    """Decoded audio, its channels mixed: from `start_s` on, at `sample_rate`."""

    start_s: float
    sample_rate: int
    samples: Sequence[float]

    def beeps(self) -> list[float]:
        """Times at which beeps begin, seconds: where sound follows upon 0.3 s of silence."""
        found: list[float] = []
        silent = self.sample_rate
        for place, value in enumerate(self.samples):
            if abs(value) > 0.1:
                if silent > 0.3 * self.sample_rate:
                    found.append(self.start_s + place / self.sample_rate)
                silent = 0
            else:
                silent += 1
        return found


def listen(data: bytes | Path) -> Heard:
    """Decode the audio as one track; where its times leave gaps, there is silence."""
    with _open(data) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="flt", layout="mono")
        samples: array[float] = array("f")
        start_s: float | None = None
        for frame in container.decode(stream):
            frame_s = frame.time or 0.0
            start_s = frame_s if start_s is None else start_s
            gap = round((frame_s - start_s) * stream.sample_rate) - len(samples)
            if gap > GAP_S * stream.sample_rate:
                samples.extend([0.0] * gap)
            for part in resampler.resample(frame):
                samples.frombytes(bytes(part.planes[0])[: part.samples * 4])
        return Heard(start_s or 0.0, stream.sample_rate, samples)


def _open(data: bytes | Path) -> av.container.InputContainer:
    return av.open(io.BytesIO(data) if isinstance(data, bytes) else str(data), "r")


def duration_s(path: Path) -> float:
    """The duration that libav tells of a whole file."""
    with _open(path) as container:
        return (container.duration or 0) / av.time_base


def packets(data: bytes | Path) -> Iterator[Any]:
    """Walk over the packets that carry media."""
    with _open(data) as container:
        yield from (packet for packet in container.demux() if packet.size)
