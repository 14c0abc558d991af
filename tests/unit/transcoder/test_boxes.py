"""Boxes of MP4: found in a stream however it is cut, and refused when they cannot be."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.samples import splits
from transcoder.domain.boxes import (
    BOX_LIMIT_BYTES,
    BoxError,
    BoxReader,
    find_box,
    iter_boxes,
    pack_box,
    pack_full_box,
)

BOXES = st.lists(st.tuples(st.sampled_from(["moof", "mdat", "free"]), st.binary(max_size=40)), max_size=5)


@given(st.data(), BOXES)
def test_boxes_are_found_however_the_stream_is_cut(
    data: st.DataObject, boxes: list[tuple[str, bytes]]
) -> None:
    stream = b"".join(pack_box(kind, payload) for kind, payload in boxes)
    reader = BoxReader()
    found = [box for piece in data.draw(splits(stream)) for box in reader.feed(piece)]
    assert [(box.kind, bytes(box.payload)) for box in found] == boxes
    assert b"".join(bytes(box.whole) for box in found) == stream
    assert reader.held_bytes == 0


def test_64_bit_sizes_are_read() -> None:
    large = struct.pack(">I4sQ", 1, b"mdat", 20) + b"data"
    assert [bytes(box.payload) for box in BoxReader().feed(large)] == [b"data"]


@pytest.mark.parametrize("size", [0, 7, BOX_LIMIT_BYTES + 1])
def test_impossible_size_is_refused(size: int) -> None:
    with pytest.raises(BoxError, match=f"a box of {size} bytes"):
        BoxReader().feed(struct.pack(">I4s", size, b"mdat"))


def test_box_that_reaches_beyond_its_parent_is_refused() -> None:
    with pytest.raises(BoxError, match="reaches beyond"):
        list(iter_boxes(memoryview(pack_box("free", b"1234")[:-1])))


def test_box_is_found_by_its_path() -> None:
    tree = pack_box("moov", pack_box("trak", pack_box("tkhd", b"first")), pack_box("trak"))
    assert bytes(find_box(memoryview(tree), "moov", "trak", "tkhd").payload) == b"first"


def test_missing_box_is_named() -> None:
    with pytest.raises(BoxError, match="'mdia' is missing"):
        find_box(memoryview(pack_box("moov")), "moov", "mdia")


def test_full_box_begins_with_version_and_flags() -> None:
    assert pack_full_box("tfdt", 1, 0x020003, b"!") == b"\0\0\0\x0dtfdt\x01\x02\x00\x03!"
