"""Pictures are found in a stream however it is cut, and stacked without being decoded."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.media import Picture, draw, watch_sprite
from support.samples import make_jpeg, splits
from transcoder.domain.jpeg import JpegError, JpegReader, stack_pictures

SIDES = (320, 96)


def encode(numbers: range, *, height: int = SIDES[1]) -> list[bytes]:
    """Pictures with bar codes, by libav with the flags of our command."""
    context = av.CodecContext.create("mjpeg", "w")
    context.width, context.height, context.pix_fmt = SIDES[0], height, "yuvj420p"
    context.time_base = Fraction(1, 25)
    context.thread_count = 1
    context.options = {"huffman": "default", "flags": "+qscale", "global_quality": str(5 * 118)}
    pictures: list[bytes] = []
    for number in numbers:
        picture = Picture(width=SIDES[0], height=height)
        frame = av.VideoFrame(SIDES[0], height, "gray")
        frame.planes[0].update(draw(picture, number))
        pictures += [bytes(packet) for packet in context.encode(frame.reformat(format="yuvj420p"))]
    return pictures + [bytes(packet) for packet in context.encode(None)]


@given(st.data(), st.lists(st.integers(0, 60_000), max_size=5))
def test_pictures_do_not_depend_on_how_the_bytes_arrive(data: st.DataObject, numbers: list[int]) -> None:
    pictures = [make_jpeg(number) for number in numbers]
    reader = JpegReader()
    pieces = data.draw(splits(b"".join(pictures)))
    assert [picture for piece in pieces for picture in reader.feed(piece)] == pictures
    reader.finish()


def test_a_stream_that_ends_within_a_picture_is_refused() -> None:
    reader = JpegReader()
    assert reader.feed(make_jpeg(1) + make_jpeg(2)[:-1]) == [make_jpeg(1)]
    with pytest.raises(JpegError, match="no whole picture"):
        reader.finish()


@pytest.mark.parametrize("data", [b"GIF89a", make_jpeg(1)[2:], b"\xff\xd8\x00\x00\x00\x00"])
def test_what_is_no_jpeg_is_refused(data: bytes) -> None:
    with pytest.raises(JpegError, match="must be"):
        JpegReader().feed(data)


@pytest.mark.parametrize("count", [1, 2, 3, 11])  # restart markers count to eight
def test_stacked_pictures_show_what_each_showed(count: int) -> None:
    sprite = stack_pictures(encode(range(700, 700 + count)))
    assert watch_sprite(sprite, SIDES[1]) == list(range(700, 700 + count))


def test_stacked_pictures_are_the_same_to_the_pixel() -> None:
    pictures = encode(range(7, 10))
    sprite = _luma(stack_pictures(pictures))
    assert sprite == b"".join(map(_luma, pictures))


@pytest.mark.parametrize(
    "pictures",
    [
        [make_jpeg(1), make_jpeg(2, tables=bytes(64))],
        [make_jpeg(1), make_jpeg(2, width=48)],
        [make_jpeg(1), make_jpeg(2)[:-1]],
        [make_jpeg(number, height=24) for number in range(2)],
        [make_jpeg(number, height=4096) for number in range(16)],
        [make_jpeg(number).replace(b"\xff\xc0", b"\xff\xc2") for number in range(2)],
        [make_jpeg(number).replace(b"\xff\xda", b"\xff\xdd\0\4\0\5\xff\xda") for number in range(2)],
    ],
    ids=["tables", "sizes", "cut", "half-blocks", "too-high", "progressive", "restarts"],
)
def test_pictures_that_cannot_be_stacked_are_refused(pictures: list[bytes]) -> None:
    with pytest.raises(JpegError):
        stack_pictures(pictures)


def _luma(data: bytes) -> bytes:
    with av.open(io.BytesIO(data), "r") as container:
        frame = next(container.decode(video=0))
        plane = frame.planes[0]
        lines = memoryview(plane).cast("B")
        return b"".join(bytes(lines[line * plane.line_size :][: frame.width]) for line in range(frame.height))
