"""The HTTP edge: a request's route, the service's answer, the right headers; no rules of its own.

What is in memory is answered at once, in the same turn of the loop; only what has to be looked up or read
becomes a task.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from functools import lru_cache, partial
from http import HTTPStatus

from opentelemetry.trace import SpanKind

from chassis.errors import NotFound, WeirError
from chassis.telemetry import log, trace_context, tracer
from hls_gateway.domain import cache_rules
from hls_gateway.domain.media import MediaObject
from hls_gateway.editions.edition import Edition
from hls_gateway.http_errors import (
    CORS,
    error_response,
    internal_response,
    method_response,
    refusal_response,
)
from hls_gateway.routes import MediaRoute, PageRoute, PlaylistRoute, ProbeRoute, find_incarnation, find_route
from hls_gateway.service import GatewayService, HeldMedia, StreamedMedia
from hls_gateway.webserver.content import Content, Representation
from hls_gateway.webserver.messages import Later, Refusal, Request, Response, render_head
from hls_gateway.webserver.server import Site

_PREFLIGHT = Response(
    HTTPStatus.NO_CONTENT,
    render_head(
        HTTPStatus.NO_CONTENT,
        (
            ("access-control-allow-methods", "GET, HEAD, OPTIONS"),
            ("access-control-allow-headers", "*, authorization"),
            ("access-control-max-age", "86400"),
            ("allow", "GET, HEAD, OPTIONS"),
            *CORS,
        ),
    ),
)
_QUIET = frozenset({HTTPStatus.NOT_FOUND})


def print_playlist(text: str, *, cache_control: str) -> Content:
    """Make a playlist ready to be sent; this is the gateway's press."""
    headers = (("content-type", "application/vnd.apple.mpegurl"), ("cache-control", cache_control), *CORS)
    return Content(text.encode(), headers=headers, compress=True)


def print_page(body: bytes, *, content_type: str, compress: bool) -> Content:
    """Make a page, or a file that belongs to one, ready to be sent."""
    headers = (("content-type", content_type), ("cache-control", cache_rules.PAGE), *CORS)
    return Content(body, headers=headers, compress=compress)


class GatewaySite:
    """Everything that is served over HTTP."""

    def __init__(self, service: GatewayService[Content], pages: Mapping[str, Content]) -> None:
        self.ready = False
        self._service = service
        self._pages = pages

    def answer(self, request: Request) -> Response | Later:
        """Answer a request, at once if it can be."""
        if request.method not in {b"GET", b"HEAD"}:
            return _PREFLIGHT if request.method == b"OPTIONS" else method_response(request.method)
        try:
            path, _, query = request.target.partition(b"?")
            route = find_route(path)
            if isinstance(route, PlaylistRoute):
                return self._playlist(request, route, find_incarnation(query))
            if isinstance(route, MediaRoute):
                return self._media(request, route, find_incarnation(query))
            return self._page(request, route) if isinstance(route, PageRoute) else self._probe(route)
        except WeirError as error:
            return _refused(request, error)

    def refuse(self, refusal: Refusal) -> Response:
        """Say why a request is not even looked at."""
        log.info("http request refused", status=refusal.status.value, reason=refusal.reason)
        return refusal_response(refusal)

    def failed(self, error: Exception) -> Response:
        """Log what nobody expected."""
        log.error("http request failed unexpectedly", exc_info=error)
        return internal_response()

    def _playlist(self, request: Request, route: PlaylistRoute, incarnation: str) -> Response | Later:
        edition = self._service.edition_now(route.stream_id, incarnation)
        if edition:
            return edition.playlist(route.path).answer(request)
        later = partial(self._playlist_later, request, route, incarnation)
        return partial(self._later, request, later, "GET playlist")

    async def _playlist_later(self, request: Request, route: PlaylistRoute, incarnation: str) -> Response:
        edition = await self._service.edition(route.stream_id, incarnation)
        return edition.playlist(route.path).answer(request)

    def _media(self, request: Request, route: MediaRoute, incarnation: str) -> Response | Later:
        edition = self._service.edition_now(route.stream_id, incarnation)
        media = edition and self._service.media_now(edition, route.rendition_id, route.name)
        if edition and media:
            return _media_response(request, media, _media_cache(incarnation, edition))
        later = partial(self._media_later, request, route, incarnation)
        return partial(self._later, request, later, "GET media")

    async def _media_later(self, request: Request, route: MediaRoute, incarnation: str) -> Response:
        edition = await self._service.edition(route.stream_id, incarnation)
        media = await self._service.media(edition, route.rendition_id, route.name)
        return _media_response(request, media, _media_cache(incarnation, edition))

    async def _later(self, request: Request, work: Later, name: str) -> Response:
        """Wait for an answer in a span of its own."""
        headers = {"traceparent": request.headers.get(b"traceparent", b"").decode("latin-1")}
        with tracer.start_as_current_span(name, context=trace_context(headers), kind=SpanKind.SERVER):
            try:
                return await work()
            except WeirError as error:
                return _refused(request, error)

    def _page(self, request: Request, route: PageRoute) -> Response:
        page = self._pages.get(route.path)
        if page is None:
            raise NotFound("nothing is served under this path", reason="NO_SUCH_PATH")
        return page.answer(request)

    def _probe(self, route: ProbeRoute) -> Response:
        """Alive as long as this runs; ready until it is about to stop, whatever the distributor does."""
        if route.name == "healthz":
            return _probe_response(HTTPStatus.OK, b'{"status":"alive"}')
        if self.ready:
            return _probe_response(HTTPStatus.OK, b'{"status":"ready"}')
        return _probe_response(HTTPStatus.SERVICE_UNAVAILABLE, b'{"status":"stopping"}')


class LoggedSite:
    """A site of which every request gets a log line."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.refuse = site.refuse
        self.failed = site.failed

    def answer(self, request: Request) -> Later:
        """Answer a request and log it."""
        return partial(self._answer, request)

    async def _answer(self, request: Request) -> Response:
        start = time.monotonic()
        answer = self._site.answer(request)
        response = answer if isinstance(answer, Response) else await answer()
        log.info(
            "http request",
            method=request.method.decode("latin-1"),
            target=request.target.decode("latin-1"),
            status=response.status,
            duration_ms=round((time.monotonic() - start) * 1e3, 3),
        )
        return response


def _media_cache(incarnation: str, edition: Edition[Content]) -> str:
    if incarnation:
        return cache_rules.IMMUTABLE
    return cache_rules.refreshed(edition.timeline.stream.target_duration_s)


def _media_response(request: Request, media: HeldMedia | StreamedMedia, cache_control: str) -> Response:
    representation = _representation(media.media, media.size_bytes, cache_control)
    selection = representation.select(request)
    response = Response(selection.status, representation.head(selection), release=media.release)
    if isinstance(media, HeldMedia):
        response.body = media.body(selection.start, selection.length)
    elif selection.length:
        response.pieces = lambda: media.pieces(selection.start, selection.length)
    return response


@lru_cache(maxsize=4096)
def _representation(media: MediaObject, size_bytes: int, cache_control: str) -> Representation:
    """Describe an object; its key stands for its bytes, so its hash is their strong tag."""
    return Representation(
        etag=hashlib.blake2b(media.object_key.encode(), digest_size=12).hexdigest(),
        size_bytes=size_bytes,
        headers=(("content-type", media.content_type), ("cache-control", cache_control), *CORS),
    )


def _probe_response(status: HTTPStatus, body: bytes) -> Response:
    headers = (
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("cache-control", cache_rules.FAILURE),
        *CORS,
    )
    return Response(status, render_head(status, headers), body)


def _refused(request: Request, error: WeirError) -> Response:
    response = error_response(error)
    if response.status not in _QUIET:
        log.info(
            "http request refused",
            target=request.target.decode("latin-1"),
            status=response.status,
            reason=error.reason,
            error=error.message,
        )
    return response
