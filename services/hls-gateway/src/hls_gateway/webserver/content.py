"""Content as it is sent: bytes with their headers, rendered once and negotiated per request."""

from __future__ import annotations

import gzip
import hashlib
from functools import cached_property
from http import HTTPStatus

from hls_gateway.webserver.messages import Header, Request, Response, render_head
from hls_gateway.webserver.negotiation import Selection, accepts_gzip, select

_GZIP_LEVEL = 6
# Below this the header that announces gzip costs more than it saves.
_GZIP_LEAST_BYTES = 256
# They describe a body; a 304 has none (RFC 9110 15.4.5).
_BODY_HEADERS = frozenset({"content-type", "content-encoding", "content-length", "accept-ranges"})


class Representation:
    """The headers of some bytes, and how they answer a request.

    Args:
        etag: Strong: other bytes, other tag; without its quotes.
        size_bytes: Size of the whole.
        headers: All but ETag, Content-Length and Accept-Ranges.
    """

    def __init__(self, *, etag: str, size_bytes: int, headers: tuple[Header, ...]) -> None:
        self._etag = f'"{etag}"'
        self._size_bytes = size_bytes
        self._headers = (*headers, ("etag", self._etag))
        self._whole = Selection(status=HTTPStatus.OK, length=size_bytes)

    def select(self, request: Request) -> Selection:
        """Choose what of it answers a request."""
        if not is_conditional(request):
            return self._whole
        return select(
            request.headers,
            etag=self._etag.encode(),
            size_bytes=self._size_bytes,
            is_get=request.method == b"GET",
        )

    def head(self, selection: Selection) -> bytes:
        """Render the head for what was selected."""
        if selection.status is HTTPStatus.OK:
            return self._whole_head
        if selection.status is HTTPStatus.NOT_MODIFIED:
            kept = tuple(header for header in self._headers if header[0] not in _BODY_HEADERS)
            return render_head(selection.status, kept)
        return self._render(selection)

    @cached_property
    def _whole_head(self) -> bytes:
        return self._render(self._whole)

    def _render(self, selection: Selection) -> bytes:
        headers = (
            *self._headers,
            ("accept-ranges", "bytes"),
            *self._range_header(selection),
            ("content-length", str(selection.length)),
        )
        return render_head(selection.status, headers)

    def _range_header(self, selection: Selection) -> tuple[Header, ...]:
        if selection.status is HTTPStatus.OK:
            return ()
        end = selection.start + selection.length - 1
        span = f"{selection.start}-{end}" if selection.length else "*"
        return (("content-range", f"bytes {span}/{self._size_bytes}"),)


def is_conditional(request: Request) -> bool:
    """Tell whether a request may be answered with less than everything."""
    return b"range" in request.headers or b"if-none-match" in request.headers


class Content:
    """Bytes that are held whole, in one encoding or two, each made for the first who takes it."""

    def __init__(self, body: bytes, *, headers: tuple[Header, ...], compress: bool) -> None:
        self._body = body
        self._headers = (*headers, ("vary", "accept-encoding")) if compress else headers
        self._compress = compress and len(body) >= _GZIP_LEAST_BYTES

    def answer(self, request: Request) -> Response:
        """Answer a GET or HEAD."""
        headers = request.headers
        # A range is one of the plain bytes, whoever compresses on the way.
        takes_gzip = (
            self._compress
            and b"accept-encoding" in headers
            and b"range" not in headers
            and accepts_gzip(headers[b"accept-encoding"])
        )
        encoded = self._gzip if takes_gzip else self._plain
        return encoded.select(request) if is_conditional(request) else encoded.whole

    @cached_property
    def _etag(self) -> str:
        return hashlib.blake2b(self._body, digest_size=12).hexdigest()

    @cached_property
    def _plain(self) -> _Encoded:
        return _Encoded(self._body, self._etag, self._headers)

    @cached_property
    def _gzip(self) -> _Encoded:
        packed = gzip.compress(self._body, _GZIP_LEVEL, mtime=0)
        if len(packed) >= len(self._body):
            return self._plain
        return _Encoded(packed, f"{self._etag}-gzip", (*self._headers, ("content-encoding", "gzip")))


class _Encoded:
    """One encoding of a content, its commonest answer ready."""

    def __init__(self, body: bytes, etag: str, headers: tuple[Header, ...]) -> None:
        self._body = body
        self._representation = Representation(etag=etag, size_bytes=len(body), headers=headers)
        whole = Selection(status=HTTPStatus.OK, length=len(body))
        self.whole = Response(HTTPStatus.OK, self._representation.head(whole), body)

    def select(self, request: Request) -> Response:
        """Answer a request with conditions."""
        selection = self._representation.select(request)
        body = self._body[selection.start : selection.start + selection.length]
        return Response(selection.status, self._representation.head(selection), body)
