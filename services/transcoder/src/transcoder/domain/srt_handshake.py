"""Read from an SRT handshake who calls: its stream id, which travels in the clear.

Written against draft-sharabayko-srt-01, sections 3.2.1 and 3.2.1.3.
"""

from __future__ import annotations

import struct

_HANDSHAKE = 0x8000  # a control packet of type 0
_HEADER_BYTES = 16
_BODY_BYTES = 48
_TYPE_PLACE = _HEADER_BYTES + 20
_CONCLUSION = 0xFFFFFFFF
_STREAM_ID_EXTENSION = 5
_WORD_BYTES = 4


def is_handshake(datagram: bytes) -> bool:
    """Whether a datagram belongs to the making of a connection."""
    return len(datagram) >= _HEADER_BYTES + _BODY_BYTES and _u16(datagram, 0) == _HANDSHAKE


def is_conclusion(datagram: bytes) -> bool:
    """Whether a datagram is the handshake's second half, in which a caller says what it wants."""
    return is_handshake(datagram) and _u32(datagram, _TYPE_PLACE) == _CONCLUSION


def read_stream_id(conclusion: bytes) -> str:
    """Read the stream id of a conclusion; empty if it has none that can be read."""
    place = _HEADER_BYTES + _BODY_BYTES
    while place + _WORD_BYTES <= len(conclusion):
        kind, words = _u16(conclusion, place), _u16(conclusion, place + 2)
        place += _WORD_BYTES
        if kind == _STREAM_ID_EXTENSION:
            return _text(conclusion[place : place + words * _WORD_BYTES])
        place += words * _WORD_BYTES
    return ""


def _text(data: bytes) -> str:
    """Turn the words of a string round: each is sent as a little-endian number."""
    words = (data[place : place + _WORD_BYTES] for place in range(0, len(data), _WORD_BYTES))
    return b"".join(word[::-1] for word in words).rstrip(b"\0").decode("ascii", errors="replace")


def _u16(data: bytes, place: int) -> int:
    (value,) = struct.unpack_from(">H", data, place)
    return int(value)


def _u32(data: bytes, place: int) -> int:
    (value,) = struct.unpack_from(">I", data, place)
    return int(value)
