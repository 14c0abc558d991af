"""FLV as publishers send it, taken apart into tags and spoiled as networks and cameras do."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

AUDIO, VIDEO = 8, 9
HEADER_BYTES = 13
"""Of the file, with the empty back pointer."""
TAG_BYTES = 11


@dataclass(frozen=True, slots=True)
class Tag:
    kind: int
    time_ms: int
    body: bytes

    @property
    def is_config(self) -> bool:
        """It describes the codec, and holds no media."""
        return self.kind in (AUDIO, VIDEO) and self.body[1:2] == b"\0"

    def pack(self) -> bytes:
        head = bytes([self.kind]) + len(self.body).to_bytes(3, "big")
        time = self.time_ms & 0xFFFFFFFF
        head += (time & 0xFFFFFF).to_bytes(3, "big") + bytes([time >> 24]) + bytes(3)
        return head + self.body + (TAG_BYTES + len(self.body)).to_bytes(4, "big")


def told_rate(frame_rate: float) -> bytes:
    """What metadata say of a frame rate: the property's name, and its value (AMF0 2.2, 2.5)."""
    return b"\x00\x09framerate\x00" + struct.pack(">d", frame_rate)


def read_tags(data: bytes) -> Iterator[Tag]:
    place = HEADER_BYTES
    while place + TAG_BYTES <= len(data):
        size = int.from_bytes(data[place + 1 : place + 4], "big")
        time = int.from_bytes(data[place + 4 : place + 7], "big") | data[place + 7] << 24
        yield Tag(data[place], time, data[place + TAG_BYTES : place + TAG_BYTES + size])
        place += TAG_BYTES + size + 4


def edit_flv(data: bytes, edit: Callable[[Tag], Tag | None]) -> bytes:
    """Change or leave out the tags that hold media."""
    tags = [tag if tag.is_config else edit(tag) for tag in read_tags(data)]
    return data[:HEADER_BYTES] + b"".join(tag.pack() for tag in tags if tag)


def shift(tag: Tag, by_ms: int) -> Tag:
    return replace(tag, time_ms=tag.time_ms + by_ms)
