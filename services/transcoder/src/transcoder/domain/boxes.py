"""Read and write boxes of the ISO base media file format (section numbers: ISO/IEC 14496-12:2022).

A box is a length, a four-character type and a payload, which may hold further boxes (4.2). A fragmented file
is one `ftyp` and `moov`, which describe the tracks, then pairs of `moof` (where the samples are) and `mdat`
(their bytes).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

BOX_LIMIT_BYTES = 256 << 20
"""Largest box that is taken: far above any fragment, it keeps a damaged length from eating all memory."""

HEADER = struct.Struct(">I4s")
LARGE_SIZE = struct.Struct(">Q")
LARGE_SIZE_MARK = 1
"""Value of the 32-bit size that says that a 64-bit one follows the type (4.2.2)."""


class ByteRange(NamedTuple):
    """Some bytes of a segment."""

    offset_bytes: int
    size_bytes: int


class BoxError(ValueError):
    """The bytes are not the boxes that they should be."""


@dataclass(frozen=True, slots=True)
class Box:
    """One box: its four-character type, the payload, and all its bytes with the header."""

    kind: str
    payload: memoryview
    whole: memoryview


class BoxReader:
    """Find the top-level boxes in a byte stream that arrives in pieces of any size."""

    def __init__(self) -> None:
        self._held = bytearray()

    @property
    def held_bytes(self) -> int:
        """Bytes of a box that has not ended yet: 0 where the stream may end."""
        return len(self._held)

    def feed(self, data: bytes) -> list[Box]:
        """Take the next piece; return the boxes that it completes.

        Raises:
            BoxError: A length is impossible, or above BOX_LIMIT_BYTES.
        """
        self._held += data
        boxes: list[Box] = []
        while (size := _box_size(memoryview(self._held))) and size <= len(self._held):
            boxes.append(_read_box(memoryview(bytes(self._held[:size]))))
            del self._held[:size]
        return boxes


def iter_boxes(data: memoryview) -> Iterator[Box]:
    """Walk over the boxes that `data` is made of.

    Raises:
        BoxError: They do not fill it exactly.
    """
    while data:
        size = _box_size(data)
        if not size or size > len(data):
            raise BoxError(f"a box reaches beyond the {len(data)} bytes that are left for it")
        yield _read_box(data[:size])
        data = data[size:]


def find_box(data: memoryview, *path: str) -> Box:
    """Follow a path of types down from the boxes in `data`, taking the first of each.

    Raises:
        BoxError: A box on the path is missing.
    """
    kind, *rest = path
    box = first_box(iter_boxes(data), kind)
    return find_box(box.payload, *rest) if rest else box


def first_box(boxes: Iterable[Box], kind: str) -> Box:
    """Take the first box of a type; BoxError if there is none."""
    for box in boxes:
        if box.kind == kind:
            return box
    raise BoxError(f"box {kind!r} is missing")


def pack_box(kind: str, *parts: bytes) -> bytes:
    """Make a box of the concatenated parts (4.2.2)."""
    size = HEADER.size + sum(map(len, parts))
    return b"".join((HEADER.pack(size, kind.encode("ascii")), *parts))


def pack_full_box(kind: str, version: int, flags: int, *parts: bytes) -> bytes:
    """Make a box that begins with a version and 24 flags (4.2.2)."""
    return pack_box(kind, struct.pack(">I", version << 24 | flags), *parts)


def unpack_version_flags(payload: memoryview) -> tuple[int, int]:
    """Read the version and the flags with which a full box begins."""
    (word,) = struct.unpack_from(">I", payload)
    return word >> 24, word & 0xFFFFFF


def _box_size(data: memoryview) -> int:
    """Tell the size of the box at the start of `data`, header included; 0 while too little of it is there."""
    if len(data) < HEADER.size:
        return 0
    size, _ = HEADER.unpack_from(data)
    smallest = HEADER.size
    if size == LARGE_SIZE_MARK:
        smallest += LARGE_SIZE.size
        if len(data) < smallest:
            return 0
        (size,) = LARGE_SIZE.unpack_from(data, HEADER.size)
    if not smallest <= size <= BOX_LIMIT_BYTES:
        raise BoxError(f"a box of {size} bytes: must be {smallest} to {BOX_LIMIT_BYTES}")
    return int(size)


def _read_box(data: memoryview) -> Box:
    size, kind = HEADER.unpack_from(data)
    start = HEADER.size + (LARGE_SIZE.size if size == LARGE_SIZE_MARK else 0)
    return Box(kind.decode("latin-1"), data[start:], data)
