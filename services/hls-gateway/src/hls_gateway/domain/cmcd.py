"""Read what players tell about themselves: CMCD, CTA-5004 (version 1) and CTA-5004-B (version 2).

A key that is malformed or outside its range is left out and counted: nothing that a player writes here may
fail its request. Keys that are of no use here are passed over, as both versions ask for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from urllib.parse import unquote_to_bytes

from hls_gateway.domain.remembered import Remembered
from hls_gateway.domain.session_ids import player_session_id

# A player writes some hundred bytes, and about ten keys.
MOST_BYTES = 4096
MOST_KEYS = 64
# Players say most things over and over: that is read once. Numbers come rounded, so that they repeat too.
_REMEMBERED_COUNT, _REMEMBERED_BYTES = 8192, 80

_ARGUMENT = b"CMCD="
_NEXT_ARGUMENT = b"&" + _ARGUMENT
# As players write it behind another key, in queries and in headers.
_SID, _HEADER_SID = b"%2Csid%3D%22", b',sid="'
_SID_BYTES = len(_SID)
_FIRST_SID = b'CMCD=sid="'  # or as the first key of a header
_HEADERS = (b"cmcd-session", b"cmcd-object", b"cmcd-request", b"cmcd-status")
# A pair as it stands before a comma, when a comma may also stand within quotes (RFC 8941 3).
_PAIR = re.compile(rb'((?:[^",]|"(?:[^"\\]|\\.)*")*)(?:,|\Z)', re.DOTALL)
_KEY = re.compile(rb"[a-z*][a-z0-9_.*-]*")
_DIGITS = 12
_DECIMAL = re.compile(rb"[0-9]{1,12}\.[0-9]{1,12}")
# A number of an inner list, with the sort of object that it is about: `5000;v`.
_LISTED = re.compile(rb"([0-9.]{1,25})(?:;([a-z]{1,2}))?")
_TOKEN = re.compile(rb"[a-z]{1,2}")
_QUOTED_SID = re.compile(rb'"[ -~]{1,64}"')  # the standards bound it so
_UNESCAPED = re.compile(r"\\(.)", re.DOTALL)

_Listed = dict[bytes, float]  # an inner list, by sort of object; b"" is about all of them
_Value = float | bool | str | bytes | _Listed | None
_Pair = tuple[str, _Value]
_PASSED_OVER: _Pair = ("", None)
_BAD: _Pair = ("", False)
_CUT: _Pair = ("", True)  # a comma stood within quotes


class Cmcd:
    """What one request tells. A bare class: one is made per request, and most of it stays unsaid."""

    session_id = ""
    """`sid`, as an id of ours."""
    object_type = b""
    """`ot`: the sort of object asked for."""
    buffer_s: float | None = None
    """`bl`: media that the player holds."""
    throughput_bps: float | None = None
    """`mtp`: the player's own smoothed estimate."""
    starved = False
    """`bs`: it ran dry since its last request."""
    startup = False
    """`su`: the object is needed to begin, or to go on after a stall."""
    encoded_bps = 0.0
    """`br`: declared rate of the object."""
    top_bps = 0.0
    """`tb`: highest rate that it would play."""
    duration_s = 0.0
    """`d`: of the object."""
    playback_rate_ratio: float | None = None
    """`pr`: 1 is real time, 0 paused."""
    latency_s: float | None = None
    """`ltc` of version 2: how far behind the live edge."""
    bad_count = 0
    """How much of it was left out."""


def find_cmcd(headers: Mapping[bytes, bytes], query: bytes) -> bytes:
    """Find the query that holds a request's CMCD, or make one of its headers; empty: there is none.

    Nothing is read yet, since most of it never need be: `parse_cmcd` does that, and `find_session_id`.
    """
    if query and (query.startswith(_ARGUMENT) or _NEXT_ARGUMENT in query):
        return query
    if (
        b"cmcd-session" in headers
        or b"cmcd-object" in headers
        or b"cmcd-request" in headers
        or b"cmcd-status" in headers
    ):
        found = b",".join([headers[name] for name in _HEADERS if name in headers])
        return _ARGUMENT + found.replace(b"%", b"%25").replace(b"&", b"%26")
    return b""


def find_session_id(query: bytes) -> str:
    """Read `sid` alone of what `find_cmcd` found, as an id of ours; empty: it is not said."""
    if b"sid" not in query:
        return ""
    start = query.find(_SID)
    if start >= 0:
        start += _SID_BYTES
        return _session_ids[query[start : query.find(b"%22", start)]]
    start = 0 if query.startswith(_FIRST_SID) else query.find(_HEADER_SID)
    if start >= 0:
        start += len(_HEADER_SID) if start else len(_FIRST_SID)
        return _session_ids[query[start : query.find(b'"', start)]]
    return parse_cmcd(query).session_id


def parse_cmcd(query: bytes) -> Cmcd:
    """Read what `find_cmcd` found; the escapes of what is remembered need not be undone."""
    start = 0 if query.startswith(_ARGUMENT) else query.find(_NEXT_ARGUMENT) + 1
    text = query[start + len(_ARGUMENT) :].partition(b"&")[0]
    if len(text) > MOST_BYTES:
        return _refused()
    pieces = text.split(b"%2C") if b"%2C" in text else text.split(b",")
    cmcd = _read(pieces, _pairs)
    if cmcd is None:
        plain = _cut(unquote_to_bytes(text))
        cmcd = _read([piece.replace(b"%", b"%25") for piece in islice(plain, MOST_KEYS + 1)], _pairs)
    return cmcd or _refused()


def _cut(text: bytes) -> Iterator[bytes]:
    """Cut at the commas that stand without quotes; behind a quote that is not closed there are none.

    A search would try again from every place of what does not match.
    """
    place = 0
    while place < len(text) and (found := _PAIR.match(text, place)):
        yield found[1]
        place = found.end()
    if place < len(text):
        yield text[place:]


def _read(pieces: Sequence[bytes], pairs: Mapping[bytes, _Pair]) -> Cmcd | None:
    """Put pairs together; None if they were cut at the wrong commas."""
    if len(pieces) > MOST_KEYS:
        return _refused()
    cmcd, lists = Cmcd(), []
    for piece in pieces:
        name, value = pairs[piece]
        if name:
            setattr(cmcd, name, value)
            if value.__class__ is dict:
                lists.append(name)
        elif value is not None:
            if value:
                return None
            cmcd.bad_count += 1
    for name in lists:
        _choose(cmcd, name)
    return cmcd


def _refused() -> Cmcd:
    cmcd = Cmcd()
    cmcd.bad_count = 1
    return cmcd


def _choose(cmcd: Cmcd, name: str) -> None:
    """Take from an inner list what is about the object asked for, or about all (CTA-5004-B 4.1)."""
    listed = getattr(cmcd, name)
    if not isinstance(listed, dict):
        return  # the key came once more
    value = listed.get(cmcd.object_type, listed.get(b""))
    delattr(cmcd, name)
    if value is not None:
        setattr(cmcd, name, value)


def _read_pair(piece: bytes) -> _Pair:
    """Read one key with its value."""
    piece = piece.replace(b"%3D", b"=").replace(b"%22", b'"')  # mostly there is nothing else
    piece = unquote_to_bytes(piece) if b"%" in piece else piece
    if piece.count(b'"') % 2 and b"\\" not in piece:
        return _CUT
    key, is_given, value = piece.strip(b" \t").partition(b"=")
    reader = _READERS.get(key)
    if reader is None:
        return _PASSED_OVER if _KEY.fullmatch(key) else _BAD
    name, read = reader
    try:
        return name, read(value if is_given else b"?1")
    except ValueError:
        return _BAD


def _read_sid(value: bytes) -> str:
    pair = _read_pair(b"sid%3D%22" + value + b"%22")
    return pair[1] if isinstance(pair[1], str) else ""


_pairs = Remembered(_read_pair, count=_REMEMBERED_COUNT, size_bytes=_REMEMBERED_BYTES)
_session_ids = Remembered(_read_sid, count=_REMEMBERED_COUNT, size_bytes=_REMEMBERED_BYTES)


# How values are read; each raises ValueError for what it cannot be.


def _number(text: bytes) -> float:
    if text.isdigit() and len(text) <= _DIGITS:
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    raise ValueError


def _at_most(most: float, *, times: int = 1, per: int = 1) -> Callable[[bytes], float | _Listed]:
    """Read a number, or from version 2 on a list of them, in another unit; at most `most` of that."""

    def read_one(text: bytes) -> float:
        value = _number(text) * times / per
        if value > most:
            raise ValueError
        return value

    def read(text: bytes) -> float | _Listed:
        if not (text.startswith(b"(") and text.endswith(b")")):
            return read_one(text)
        found = [_LISTED.fullmatch(item) for item in text[1:-1].split()]
        return {item[2] or b"": read_one(item[1]) for item in found if item}

    return read


def _flag(text: bytes) -> bool:
    if text not in {b"?1", b"?0"}:
        raise ValueError
    return text == b"?1"


def _session(text: bytes) -> str:
    if not _QUOTED_SID.fullmatch(text):
        raise ValueError
    return player_session_id(_UNESCAPED.sub(r"\1", text[1:-1].decode("ascii")))


def _token(text: bytes) -> bytes:
    if not _TOKEN.fullmatch(text):
        raise ValueError
    return text


_READERS: Mapping[bytes, tuple[str, Callable[[bytes], _Value]]] = {
    b"sid": ("session_id", _session),
    b"ot": ("object_type", _token),
    b"bl": ("buffer_s", _at_most(3600.0, per=1000)),
    b"mtp": ("throughput_bps", _at_most(1e11, times=1000)),
    b"bs": ("starved", _flag),
    b"su": ("startup", _flag),
    b"br": ("encoded_bps", _at_most(2e9, times=1000)),
    b"tb": ("top_bps", _at_most(2e9, times=1000)),
    b"d": ("duration_s", _at_most(3600.0, per=1000)),
    b"pr": ("playback_rate_ratio", _at_most(100.0)),
    b"ltc": ("latency_s", _at_most(86_400.0, per=1000)),
}
