"""What a client asks of a representation beyond having it: if changed, which part, how encoded (RFC 9110)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from hls_gateway.domain.remembered import Remembered

# Digits are bounded, as int() of a client's digits has to be; larger files than 10^18 bytes there are none.
_ONE_RANGE = re.compile(rb"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.IGNORECASE)
_GZIP = re.compile(rb"(?:gzip|x-gzip|\*)(?:[ \t]*;[ \t]*q=([0-9.]+))?", re.IGNORECASE)

Headers = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to send: 200 or 206 with these bytes, or 304 or 416 without any."""

    status: HTTPStatus
    start: int = 0
    length: int = 0


def select(headers: Headers, *, etag: bytes, size_bytes: int, is_get: bool) -> Selection:
    """Choose what of a representation answers a GET or HEAD, in the order of RFC 9110 13.2.2."""
    if b"if-none-match" in headers and etag_matches(headers[b"if-none-match"], etag):
        return Selection(status=HTTPStatus.NOT_MODIFIED)
    # Ranges are defined for GET alone (14.2); If-Range without a strong match asks for everything (13.1.5).
    if b"range" in headers and is_get and headers.get(b"if-range", etag) == etag:
        return _select_range(headers[b"range"], size_bytes)
    return Selection(status=HTTPStatus.OK, length=size_bytes)


def etag_matches(condition: bytes, etag: bytes) -> bool:
    """Compare weakly, as If-None-Match does (13.1.2)."""
    given = (one.strip().removeprefix(b"W/") for one in condition.split(b","))
    return condition.strip() == b"*" or etag in given


def accepts_gzip(accepted: bytes) -> bool:
    """Tell whether an Accept-Encoding takes gzip; a weight of 0 forbids it (12.5.3)."""
    return _known_to_accept[accepted]


def _accepts_gzip(accepted: bytes) -> bool:
    verdict = False
    for one in accepted.split(b","):
        if match := _GZIP.fullmatch(one.strip()):
            verdict = _weight(match[1]) > 0
            if not match[0].startswith(b"*"):
                return verdict
    return verdict


# Every program of a kind says the same.
_known_to_accept = Remembered(_accepts_gzip, count=256, size_bytes=128)


def _weight(text: bytes | None) -> float:
    try:
        return 1.0 if text is None else float(text)
    except ValueError:
        return 0.0


def _select_range(header: bytes, size_bytes: int) -> Selection:
    """Read one range; several, or what is no range, are answered with everything, as 14.2 allows."""
    whole = Selection(status=HTTPStatus.OK, length=size_bytes)
    match = _ONE_RANGE.fullmatch(header)
    if not match or match[0].endswith(b"=-"):
        return whole
    first, last = match.groups()
    if not first:
        return _from_start(max(0, size_bytes - int(last)), size_bytes) if int(last or 0) else _NOT_THERE
    if last and int(last) < int(first):
        return whole
    end = min(size_bytes, int(last) + 1) if last else size_bytes
    return _from_start(int(first), end)


def _from_start(start: int, end: int) -> Selection:
    if start >= end:
        return _NOT_THERE
    return Selection(status=HTTPStatus.PARTIAL_CONTENT, start=start, length=end - start)


_NOT_THERE = Selection(status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
