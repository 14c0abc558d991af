"""Read what a request's target asks for: pure, strict, and remembered, since paths come again and again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from chassis.errors import InvalidArgument, NotFound
from chassis.layout import require_id
from hls_gateway.domain.names import IFRAMES, MEDIA, MULTIVARIANT, MediaName, is_incarnation, parse_media_name

# RFC 9112 3.2.2: a server must take a whole URI too.
_ABSOLUTE = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PLAIN_PART = re.compile(r"[A-Za-z0-9_.~!$&'()*+,;=:@-]*")
# What is longer is nobody's usual path or query, and would fill the memory of those that are.
_REMEMBERED_BYTES = 128


@dataclass(frozen=True, slots=True)
class PlaylistRoute:
    """A playlist; `path` is the one under which it is printed."""

    stream_id: str
    path: str


@dataclass(frozen=True, slots=True)
class MediaRoute:
    """A segment or an init segment of a rendition."""

    stream_id: str
    rendition_id: str
    name: MediaName


@dataclass(frozen=True, slots=True)
class PageRoute:
    """A page, or a file that belongs to one."""

    path: str


@dataclass(frozen=True, slots=True)
class ProbeRoute:
    """A question about the gateway itself: is it alive, is it ready?"""

    name: str


Route = PlaylistRoute | MediaRoute | PageRoute | ProbeRoute


def find_route(path: bytes) -> Route:
    """Read the path of a request's target, which is all before its first question mark.

    Raises:
        InvalidArgument: An id or an escape is malformed.
        NotFound: Nothing is served there.
    """
    return _remembered_route(path) if len(path) <= _REMEMBERED_BYTES else _parse_route(path)


def find_incarnation(query: bytes) -> str:
    """Read which incarnation a query asks for; "" if it does not say.

    Raises:
        InvalidArgument: It says so in a malformed way.
    """
    return _remembered_incarnation(query) if len(query) <= _REMEMBERED_BYTES else _parse_incarnation(query)


def _parse_route(path: bytes) -> Route:
    try:
        text = path.decode("ascii")
    except UnicodeDecodeError:
        raise InvalidArgument(
            "the path holds bytes outside of ASCII: escape them", reason="BAD_PATH"
        ) from None
    below_root = _ABSOLUTE.sub("", text, count=1).removeprefix("/")
    return _route([_decoded(part) for part in below_root.split("/")])


def _parse_incarnation(query: bytes) -> str:
    """Find `i`; other arguments are for others, such as CMCD."""
    for argument in query.decode("latin-1").split("&"):
        name, _, value = argument.partition("=")
        if name == "i":
            if not is_incarnation(value):
                raise InvalidArgument(
                    f"i is {value[:80]!r}: it must be the incarnation that the playlist names, hex digits",
                    reason="INVALID_INCARNATION",
                    field="i",
                )
            return value
    return ""


_remembered_route = lru_cache(maxsize=8192)(_parse_route)
_remembered_incarnation = lru_cache(maxsize=1024)(_parse_incarnation)


def _route(parts: list[str]) -> Route:
    match parts:
        case ["hls", stream_id, name] if name == MULTIVARIANT:
            stream_id = require_id(stream_id, field="stream_id")
            return PlaylistRoute(stream_id, f"/hls/{stream_id}/{name}")
        case ["hls", stream_id, "variants", rendition_id, name]:
            return _variant_route(stream_id, rendition_id, name)
        case ["api", "v1", "recordings", recording_id, "stream", name] if name == MULTIVARIANT:
            stream_id = require_id(recording_id, field="recording_id")
            return PlaylistRoute(stream_id, f"/api/v1/recordings/{stream_id}/stream/{name}")
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
        return PlaylistRoute(stream_id, f"/hls/{stream_id}/variants/{rendition_id}/{name}")
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
