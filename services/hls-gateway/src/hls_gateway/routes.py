"""Read what a request's target asks for: pure, strict, and remembered, since paths come again and again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from chassis.errors import InvalidArgument, NotFound
from chassis.layout import require_id
from hls_gateway.domain.names import (
    IFRAMES,
    MEDIA,
    MULTIVARIANT,
    STORYBOARD,
    MediaName,
    PlaylistName,
    is_incarnation,
    parse_media_name,
)
from hls_gateway.domain.playlist.cohort import EVERYBODY, Cohort
from hls_gateway.domain.remembered import Remembered
from hls_gateway.domain.steering import STEERING

# RFC 9112 3.2.2: a server must take a whole URI too.
_ABSOLUTE = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PLAIN_PART = re.compile(r"[A-Za-z0-9_.~!$&'()*+,;=:@-]*")
_NUMBER = re.compile(r"[0-9]{1,15}")
_MOST_BPS, _MOST_HEIGHT_PIXELS = 2_000_000_000, 100_000
_ARGUMENTS = frozenset({"i", "_HLS_msn", "_HLS_part", "_HLS_skip"})
_CMCD, _NEXT_CMCD = b"CMCD=", b"&CMCD="
_SESSION_ARGUMENT = frozenset({"session"})
_COHORT_ARGUMENTS = frozenset({"first", "max_bps", "max_height"}) | _SESSION_ARGUMENT
_THROUGHPUT_ARGUMENT = frozenset({"_HLS_throughput"})
# What is longer is nobody's usual path or query, and would fill the memory of those that are.
_REMEMBERED_BYTES = 128


@dataclass(frozen=True, slots=True)
class PlaylistRoute:
    """A playlist of a stream, or its storyboard."""

    stream_id: str
    name: PlaylistName

    @property
    def variant_id(self) -> str:
        return self.name.rendition_id


@dataclass(frozen=True, slots=True)
class MediaRoute:
    """A segment, a part or an init segment of a rendition."""

    stream_id: str
    rendition_id: str
    name: MediaName

    @property
    def variant_id(self) -> str:
        return self.rendition_id


@dataclass(frozen=True, slots=True)
class SteeringRoute:
    """The steering manifest of a stream."""

    stream_id: str
    variant_id = ""


@dataclass(frozen=True, slots=True)
class PageRoute:
    """A page, or a file that belongs to one."""

    path: str


@dataclass(frozen=True, slots=True)
class ProbeRoute:
    """A question about the gateway itself: is it alive, is it ready?"""

    name: str


Route = PlaylistRoute | MediaRoute | SteeringRoute | PageRoute | ProbeRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a target's query asks for.

    Args:
        incarnation: `i`; "" for the current one.
        msn: `_HLS_msn`: wait until the playlist lists this segment or a later one.
        part: `_HLS_part`: or this part of it.
        skip: `_HLS_skip`: a delta update will do.
        cohort: For whom a multivariant playlist is.
    """

    incarnation: str = ""
    msn: int | None = None
    part: int | None = None
    skip: bool = False
    cohort: Cohort = EVERYBODY


# What most ask for: this very object is given whenever nothing is asked for.
NOTHING_ASKED = Query()


def find_route(path: bytes) -> Route:
    """Read the path of a request's target, which is all before its first question mark.

    Raises:
        InvalidArgument: An id or an escape is malformed.
        NotFound: Nothing is served there.
    """
    return _routes[path]


def find_query(query: bytes) -> Query:
    """Read what a query asks for.

    Raises:
        InvalidArgument: It asks in a malformed way, or for a part without its segment.
    """
    if not query:
        return NOTHING_ASKED
    if query.startswith(_CMCD):  # never twice the same, and nothing that is asked for
        query = query.partition(b"&")[2]
        return _queries[query] if query else NOTHING_ASKED
    before, found, behind = query.partition(_NEXT_CMCD)
    return _queries[before + b"&" + behind.partition(b"&")[2] if found else query]


def find_cohort(query: bytes) -> Cohort:
    """Read for whom a multivariant playlist is asked: `first`, `max_bps`, `max_height` and `session`.

    Raises:
        InvalidArgument: One of them is malformed or outside its range.
    """
    found = _arguments(query, _COHORT_ARGUMENTS)
    if not found:
        return EVERYBODY
    return Cohort(
        first_id=require_id(found["first"], field="first") if found.get("first") else "",
        max_bps=_parse_most(found, "max_bps", _MOST_BPS),
        max_height_pixels=_parse_most(found, "max_height", _MOST_HEIGHT_PIXELS),
        session_id=find_session(query),
    )


def find_session(query: bytes) -> str:
    """Read the session that a player shows; empty: none.

    Raises:
        InvalidArgument: It is malformed.
    """
    session_id = _arguments(query, _SESSION_ARGUMENT).get("session")
    return require_id(session_id, field="session") if session_id else ""


def find_throughput_bps(query: bytes) -> float | None:
    """Read what a player measured, which it adds to each request for a steering manifest (rfc8216bis 7.1)."""
    value = _arguments(query, _THROUGHPUT_ARGUMENT).get("_HLS_throughput", "")
    return float(value) if _NUMBER.fullmatch(value) and int(value) else None


def _parse_route(path: bytes) -> Route:
    try:
        text = path.decode("ascii")
    except UnicodeDecodeError:
        raise InvalidArgument(
            "the path holds bytes outside of ASCII: escape them", reason="BAD_PATH"
        ) from None
    below_root = _ABSOLUTE.sub("", text, count=1).removeprefix("/")
    return _route([_decoded(part) for part in below_root.split("/")])


def _parse_query(query: bytes) -> Query:
    found = _arguments(query, _ARGUMENTS)
    if not found:
        return NOTHING_ASKED
    if "_HLS_part" in found and "_HLS_msn" not in found:  # rfc8216bis 6.2.5.2
        raise InvalidArgument(
            "_HLS_part needs _HLS_msn beside it: the segment that the part belongs to",
            reason="INVALID_DIRECTIVE",
            field="_HLS_part",
        )
    return Query(
        incarnation=_parse_incarnation(found["i"]) if "i" in found else "",
        msn=_parse_number(found, "_HLS_msn"),
        part=_parse_number(found, "_HLS_part"),
        skip=found.get("_HLS_skip") in {"YES", "v2"},
    )


def _arguments(query: bytes, names: frozenset[str]) -> dict[str, str]:
    """Find our arguments, each at its first place; others are for others, such as CMCD."""
    found: dict[str, str] = {}
    for argument in query.decode("latin-1").split("&"):
        name, _, value = argument.partition("=")
        if name in names:
            found.setdefault(name, value)
    return found


def _parse_most(found: dict[str, str], name: str, most: int) -> int:
    value = found.get(name, "")
    if value and not (_NUMBER.fullmatch(value) and 0 < int(value) <= most):
        raise InvalidArgument(
            f"{name} is {value[:80]!r}: it must be a whole number from 1 to {most}",
            reason="INVALID_COHORT",
            field=name,
        )
    return int(value or 0)


def _parse_incarnation(value: str) -> str:
    if not is_incarnation(value):
        raise InvalidArgument(
            f"i is {value[:80]!r}: it must be the incarnation that the playlist names, hex digits",
            reason="INVALID_INCARNATION",
            field="i",
        )
    return value


def _parse_number(found: dict[str, str], name: str) -> int | None:
    value = found.get(name)
    if value is None:
        return None
    if not _NUMBER.fullmatch(value):
        raise InvalidArgument(
            f"{name} is {value[:80]!r}: it must be a whole number, from 0, of at most 15 digits",
            reason="INVALID_DIRECTIVE",
            field=name,
        )
    return int(value)


_routes = Remembered(_parse_route, count=8192, size_bytes=_REMEMBERED_BYTES)
_queries = Remembered(_parse_query, count=4096, size_bytes=_REMEMBERED_BYTES)


def _route(parts: list[str]) -> Route:
    match parts:
        case ["hls", stream_id, name] if name in {MULTIVARIANT, STORYBOARD}:
            stream_id = require_id(stream_id, field="stream_id")
            return PlaylistRoute(stream_id, PlaylistName(name))
        case ["hls", stream_id, name] if name == STEERING:
            return SteeringRoute(require_id(stream_id, field="stream_id"))
        case ["hls", stream_id, "variants", rendition_id, name]:
            return _variant_route(stream_id, rendition_id, name)
        case ["api", "v1", "recordings", recording_id, "stream", name] if name == MULTIVARIANT:
            stream_id = require_id(recording_id, field="recording_id")
            return PlaylistRoute(stream_id, PlaylistName(name, is_absolute=True))
        case ["healthz" | "readyz" as name]:
            return ProbeRoute(name)
    return _page_route(parts)


def _page_route(parts: list[str]) -> Route:
    match parts:
        case [""]:
            return PageRoute("/")
        case ["watch", stream_id]:
            require_id(stream_id, field="stream_id")
            return PageRoute("/watch/")
        case ["assets", *rest]:
            return PageRoute("/assets/" + "/".join(rest))
    raise _nothing_there()


def _variant_route(stream_id: str, rendition_id: str, name: str) -> Route:
    stream_id = require_id(stream_id, field="stream_id")
    rendition_id = require_id(rendition_id, field="variant_id")
    if name in {MEDIA, IFRAMES}:
        return PlaylistRoute(stream_id, PlaylistName(name, rendition_id))
    media_name = parse_media_name(name)
    if media_name is None:
        raise _nothing_there()
    return MediaRoute(stream_id, rendition_id, media_name)


def _decoded(part: str) -> str:
    """Undo percent escapes; an escaped slash or control character hides something."""
    if _PLAIN_PART.fullmatch(part) and part != "..":
        return part
    decoded = unquote_to_bytes(part)
    if _BAD_ESCAPE.search(part) or b"/" in decoded or b"\\" in decoded or decoded == b"..":
        raise InvalidArgument(f"the path has a malformed part: {part[:80]!r}", reason="BAD_PATH")
    text = decoded.decode("utf-8", errors="replace")
    if not text.isprintable():
        raise InvalidArgument(f"the path has a control character: {part[:80]!r}", reason="BAD_PATH")
    return text


def _nothing_there() -> NotFound:
    return NotFound("nothing is served under this path", reason="NO_SUCH_PATH")
