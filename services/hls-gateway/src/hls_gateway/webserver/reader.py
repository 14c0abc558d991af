"""Cut the bytes of a connection into requests: pure, so that any split of the bytes can be tried.

llhttp (in httptools) reads the syntax and refuses what smuggling is made of: two lengths, a length beside
chunks, bare line feeds, folded headers. This adds the bounds and the rules about Host and versions. The usual
request of a player does not need it (see `plain_head`): a call for every header costs more than an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

import httptools

from hls_gateway.webserver.limits import Limits
from hls_gateway.webserver.messages import Refusal, Request
from hls_gateway.webserver.plain_head import MOST_BYTES, read_headers, read_target

# A player that polls a playlist sends the same bytes each time, or all but the same; as many are remembered
# for each connection.
_REMEMBERED_BYTES = 2048
_SINGLE_HEADERS = frozenset({b"host", b"content-length", b"transfer-encoding"})


class RequestReader:
    """Reads requests from the bytes of one connection, fed in any pieces.

    Once `finished`, nothing more is read: a request asked for the connection's end, or `refusal` says
    why the next one is turned away.
    """

    __slots__ = (
        "_body_bytes",
        "_head_bytes",
        "_headers",
        "_limits",
        "_parser",
        "_plain_bytes",
        "_remembered",
        "_remembered_block",
        "_remembered_headers",
        "_remembered_requests",
        "_requests",
        "_target",
        "_unparsed_bytes",
        "client",
        "finished",
        "in_request",
        "refusal",
    )

    def __init__(self, limits: Limits) -> None:
        self.client = b""  # whose bytes these are, for the requests
        self.refusal: Refusal | None = None
        self.in_request = False
        self.finished = False
        self._limits = limits
        self._parser = httptools.HttpRequestParser(self)
        self._plain_bytes = min(MOST_BYTES, limits.target_bytes, limits.head_bytes)
        self._requests: list[Request] = []
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = 0
        self._body_bytes = 0
        self._unparsed_bytes = 0
        self._remembered = b""
        self._remembered_requests: list[Request] = []
        self._remembered_block = b""  # what followed the request line
        self._remembered_headers: dict[bytes, bytes] = {}

    def feed(self, data: bytes) -> Sequence[Request]:
        """Read the next bytes; returns the requests that are whole now, in order."""
        if self.finished:
            return ()
        if self.in_request:
            return self._parse(data)
        if data == self._remembered:
            return self._remembered_requests  # between requests, the same bytes mean the same
        requests = self._read_plain(data) if len(data) <= self._plain_bytes else None
        if requests is None:
            requests = self._parse(data)
        if len(data) <= _REMEMBERED_BYTES and not (self.in_request or self.finished):
            self._remembered, self._remembered_requests = data, requests
        return requests

    def _read_plain(self, data: bytes) -> list[Request] | None:
        """Read bytes that are just one usual request; None if they are anything else."""
        line, _, block = data.partition(b"\r\n")
        target = read_target(line) if block else b""
        if not target:
            return None
        if block != self._remembered_block:
            headers = read_headers(block)
            if headers is None:
                return None
            self._remembered_block, self._remembered_headers = block, headers
        self._unparsed_bytes = 0
        method = b"GET" if line.startswith(b"G") else b"HEAD"
        return [Request(method, target, self._remembered_headers, True, self.client)]

    def _parse(self, data: bytes) -> list[Request]:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.finished = True  # the request itself was read; another protocol is not spoken here
        except httptools.HttpParserError as error:
            self._refuse_syntax(error)
        requests = self._requests
        if requests:
            self._requests = []
            self._unparsed_bytes = 0
        else:
            self._bound_unparsed(len(data))
        return requests

    # What httptools calls.

    def on_message_begin(self) -> None:
        if self.finished:
            raise _StopReading
        self.in_request = True

    def on_url(self, fragment: bytes) -> None:
        self._target += fragment
        if len(self._target) > self._limits.target_bytes:
            self._refuse(
                HTTPStatus.REQUEST_URI_TOO_LONG,
                "TARGET_TOO_LONG",
                f"the request's target is longer than {self._limits.target_bytes} bytes",
            )

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._head_bytes += len(name) + len(value) + 4  # ": " and the end of the line
        if self._head_bytes > self._limits.head_bytes:
            self._refuse_head()
            raise _StopReading
        if name in self._headers:
            value = self._joined(name, value)
        self._headers[name] = value

    def on_body(self, fragment: bytes) -> None:
        self._body_bytes += len(fragment)
        if self._body_bytes > self._limits.body_bytes:
            self._refuse(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "BODY_TOO_LARGE",
                f"a body of more than {self._limits.body_bytes} bytes is not taken here",
            )

    def on_message_complete(self) -> None:
        parser, headers, target = self._parser, self._headers, self._target
        keep_alive = parser.should_keep_alive()
        if not keep_alive or b"connection" in headers or b"host" not in headers:
            keep_alive = self._check_version(keep_alive)
        self._requests.append(Request(parser.get_method(), target, headers, keep_alive, self.client))
        self.finished = not keep_alive or len(self._requests) >= self._limits.pipelined_count
        self.in_request = False
        self._target = b""
        self._headers = {}
        self._head_bytes = self._body_bytes = 0

    def _check_version(self, keep_alive: bool) -> bool:
        version = self._parser.get_http_version()
        if version not in {"1.1", "1.0"}:
            self._refuse(
                HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP_VERSION", f"HTTP/{version} is not spoken here"
            )
        if version == "1.1" and b"host" not in self._headers:  # RFC 9112 3.2
            self._refuse(HTTPStatus.BAD_REQUEST, "NO_HOST", "the Host header is missing")
        # An HTTP/1.0 client would have to be told that the connection stays: it gets a close instead.
        return keep_alive and version == "1.1"

    def _bound_unparsed(self, data_bytes: int) -> None:
        """Bound what the parser holds of one endless header, which it has not told about yet."""
        self._unparsed_bytes += data_bytes
        if self._unparsed_bytes > self._limits.head_bytes and not self._body_bytes:
            self._refuse_head()

    def _joined(self, name: bytes, value: bytes) -> bytes:
        if name in _SINGLE_HEADERS:
            self._refuse(
                HTTPStatus.BAD_REQUEST, "REPEATED_HEADER", f"header {name.decode('latin-1')} is repeated"
            )
        return self._headers[name] + b", " + value

    def _refuse_head(self) -> None:
        self.finished = True
        self.refusal = self.refusal or Refusal(
            status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            reason="HEAD_TOO_LARGE",
            message=f"the request's head is longer than {self._limits.head_bytes} bytes",
        )

    def _refuse(self, status: HTTPStatus, reason: str, message: str) -> None:
        self.finished = True
        self.refusal = Refusal(status=status, reason=reason, message=message)
        raise _StopReading

    def _refuse_syntax(self, error: httptools.HttpParserError) -> None:
        if not self.finished:
            self.refusal = Refusal(
                status=HTTPStatus.BAD_REQUEST, reason="BAD_REQUEST", message=f"this is no HTTP/1.1: {error}"
            )
        self.finished = True


class _StopReading(Exception):
    """Raised through the parser, which cannot be stopped in another way."""
