"""Read the head of a usual request without the parser: pure, and strict, so that all else is left to that.

A player's request is one piece of bytes: a GET or HEAD of a path, some header lines, a blank line. Those
lines come again and again, so each is read once; what is left of a request is to look them up. Nothing is
refused here, and nothing is taken that the parser would read in another way: what is unusual, or tells where
a message or a connection ends, is not for here.
"""

from __future__ import annotations

from hls_gateway.domain.remembered import Remembered

# As many bytes and lines a usual head has at most, and as many lines are remembered for all connections.
MOST_BYTES = 4096
_MOST_LINES = 64
_REMEMBERED_COUNT, _REMEMBERED_BYTES = 4096, 256

_GET, _HEAD, _VERSION = b"GET /", b"HEAD /", b" HTTP/1.1"
_VISIBLE = bytes(range(0x21, 0x7F))
_TARGET = _VISIBLE.replace(b"#", b"")
_NAME = bytes(byte for byte in _VISIBLE if chr(byte).isalnum() or byte in b"!#$%&'*+-.^_`|~")
_VALUE = b"\t " + _VISIBLE + bytes(range(0x80, 0x100))
_FRAMING = frozenset(
    (
        b"connection",
        b"content-length",
        b"expect",
        b"http2-settings",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)

Header = tuple[bytes, bytes]


class _Unusual(Exception):
    """Raised for a line that is not for here."""


def _read_header(line: bytes) -> Header:
    """Read one line; spaces behind a value, and values without anything in them, are left to the parser."""
    name, _, value = line.partition(b":")
    value = value.lstrip(b"\t ")
    is_plain = name and value and value[-1] not in b"\t " and not name.translate(None, _NAME)
    if not is_plain or value.translate(None, _VALUE):
        raise _Unusual
    if (name := name.lower()) in _FRAMING:
        raise _Unusual
    return name, value


_lines = Remembered(_read_header, count=_REMEMBERED_COUNT, size_bytes=_REMEMBERED_BYTES)


def read_target(line: bytes) -> bytes:
    """Read a request line, without its end; empty if it is not a GET or HEAD of a path by HTTP/1.1."""
    if not line.endswith(_VERSION):
        return b""
    if line.startswith(_GET):
        target = line[4:-9]
    elif line.startswith(_HEAD):
        target = line[5:-9]
    else:
        return b""
    return b"" if target.translate(None, _TARGET) else target


def read_headers(block: bytes) -> dict[bytes, bytes] | None:
    """Read all that follows the request line, to the end of the blank line; None if it is not for here."""
    if not block.endswith(b"\r\n\r\n"):
        return None
    lines = block[:-4].split(b"\r\n", _MOST_LINES)
    try:
        headers = dict(map(_lines.__getitem__, lines))
    except _Unusual:
        return None
    # A header that comes twice is to be joined, and HTTP/1.1 asks for a host.
    return headers if len(headers) == len(lines) and b"host" in headers else None
