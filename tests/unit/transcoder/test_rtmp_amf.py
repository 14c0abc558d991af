"""AMF 0 is read back as written, and whatever else comes is refused in so many words."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcoder.ingest.rtmp.amf import DEPTH, VALUE_COUNT, AmfError, decode_amf, encode_amf

TEXT = st.text("aé€😀\0", max_size=4)
PLAIN = st.none() | st.booleans() | st.floats(allow_nan=False) | TEXT
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(VALUES, max_size=3))
def test_values_come_back_as_they_were(values: list[Any]) -> None:
    assert decode_amf(encode_amf(*values)) == values


@given(st.binary(max_size=300))
def test_any_bytes_give_values_or_an_amf_error(data: bytes) -> None:
    with contextlib.suppress(AmfError):
        assert isinstance(decode_amf(data), list)


@given(st.lists(VALUES, min_size=1, max_size=3), st.data())
def test_what_breaks_off_is_not_taken_for_whole(values: list[Any], data: st.DataObject) -> None:
    whole = encode_amf(*values)
    place = data.draw(st.integers(0, len(whole) - 1))
    with contextlib.suppress(AmfError):
        assert len(decode_amf(whole[:place])) < len(values)


def test_long_text_is_taken() -> None:
    text = "x" * 70_000
    assert decode_amf(encode_amf(text)) == [text]


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("06", None),
        ("0d", None),
        ("0b 41d0 0000 0000 0000 003c", float(1 << 30)),
        ("0f 0000 0004 3c61 2f3e", "<a/>"),
        ("08 0000 0007 0001 61 0101 0000 09", {"a": True}),
        ("10 0003 466f6f 0001 61 05 0000 09", {"a": None}),
        ("03 0000 0101 0000 09", {"": True}),
    ],
    ids=["undefined", "unsupported", "date", "xml", "array with a wrong count", "typed object", "empty name"],
)
def test_rarer_types_are_read(data: str, value: object) -> None:
    assert decode_amf(bytes.fromhex(data)) == [value]


@pytest.mark.parametrize("marker", [0x04, 0x07, 0x0E, 0x11, 0xFF])
def test_types_without_use_are_refused(marker: int) -> None:
    with pytest.raises(AmfError, match="is not taken"):
        decode_amf(bytes([marker]) + bytes(20))


def test_text_that_is_none_is_refused() -> None:
    with pytest.raises(AmfError, match="UTF-8"):
        decode_amf(b"\x02\x00\x01\xff")


@pytest.mark.parametrize("data", [b"\x0a\0\0\0\1" * (DEPTH + 2), b"\x03\0\1a" * (DEPTH + 2)])
def test_depth_is_bounded(data: bytes) -> None:
    with pytest.raises(AmfError, match="deeper"):
        decode_amf(data)


@pytest.mark.parametrize(
    "data",
    [b"\x05" * (VALUE_COUNT + 1), struct.pack(">BI", 0x0A, 0xFFFFFFFF) + b"\x05" * (VALUE_COUNT + 1)],
    ids=["values", "array"],
)
def test_count_is_bounded(data: bytes) -> None:
    with pytest.raises(AmfError, match="more than"):
        decode_amf(data)


def test_what_amf_does_not_know_is_our_mistake() -> None:
    with pytest.raises(TypeError, match="AMF has no"):
        encode_amf(object())
