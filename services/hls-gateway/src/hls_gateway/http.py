"""The HTTP edge: a request's route, the service's answer, the right headers; no rules of its own.

What is in memory is answered at once, in the same turn of the loop; only what has to be looked up or read
becomes a task.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from http import HTTPStatus

from opentelemetry.trace import SpanKind

from chassis.errors import NotFound, Unavailable, WeirError
from chassis.telemetry import log, trace_context, tracer
from hls_gateway.domain import cache_rules
from hls_gateway.domain.blocking import Place, is_hinted, may_be_news, reload_place
from hls_gateway.domain.media import MediaObject
from hls_gateway.domain.names import MULTIVARIANT, InitName, PartName, PlaylistName
from hls_gateway.domain.playlist.cohort import EVERYBODY
from hls_gateway.domain.playlist.storyboard import SIGNATURE
from hls_gateway.domain.session_ids import place_of, place_session_id
from hls_gateway.domain.steering import render_manifest
from hls_gateway.editions.edition import Edition
from hls_gateway.http_audience import Audience, StreamRoute
from hls_gateway.http_errors import (
    CORS,
    internal_response,
    method_response,
    refusal_response,
    refused,
)
from hls_gateway.http_held import HeldHint, HeldReload
from hls_gateway.http_pages import Pages
from hls_gateway.routes import (
    NOTHING_ASKED,
    MediaRoute,
    PageRoute,
    PlaylistRoute,
    ProbeRoute,
    Query,
    SteeringRoute,
    find_cohort,
    find_query,
    find_route,
    find_session,
)
from hls_gateway.service import GatewayService, HeldMedia, StreamedMedia
from hls_gateway.viewers.meter import Shown
from hls_gateway.viewers.pathways import Pathways
from hls_gateway.webserver.content import Content, Representation
from hls_gateway.webserver.held import Held, Relayed
from hls_gateway.webserver.messages import Answer, Later, Refusal, Request, Response, render_head
from hls_gateway.webserver.server import Site

# How long another gateway may have known what this one has not heard of.
_NEWS_S = 1.0
_READING = frozenset({b"GET", b"HEAD"})

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


def print_playlist(text: str, *, cache_control: str) -> Content:
    """Make a playlist or a storyboard ready to be sent; this is the gateway's press."""
    content_type = "text/vtt" if text.startswith(SIGNATURE) else "application/vnd.apple.mpegurl"
    headers = (("content-type", content_type), ("cache-control", cache_control), *CORS)
    return Content(text.encode(), headers=headers, compress=True)


class GatewaySite:
    """Everything that is served over HTTP."""

    def __init__(
        self,
        service: GatewayService[Content],
        pages: Pages,
        audience: Audience,
        pathways: Pathways,
        steering_ttl_s: int,
    ) -> None:
        self.ready = False
        self._service = service
        self._pages = pages
        self._audience = audience
        self._pathways = pathways
        self._steering_ttl_s = steering_ttl_s
        # Parts that are being read, with those who wait for them; and the tasks that do it.
        self._hints: dict[tuple[str, MediaRoute], list[tuple[HeldHint, Callable[[], Answer]]]] = {}
        self._reads: set[asyncio.Task[None]] = set()

    def answer(self, request: Request) -> Answer:
        """Answer a request, at once if it can be."""
        if request.method not in _READING:
            return _PREFLIGHT if request.method == b"OPTIONS" else method_response(request.method)
        path, _, query = request.target.partition(b"?")
        try:
            route = find_route(path)
            if isinstance(route, PageRoute):
                return self._page(request, route)
            if isinstance(route, ProbeRoute):
                return self._probe(route)
        except WeirError as error:
            return refused(request, error)
        try:
            answer = self._stream_answer(request, route, query)
        except WeirError as error:
            answer = refused(request, error)
        return self._audience.count(request, route, query, answer)

    def _stream_answer(self, request: Request, route: StreamRoute, query: bytes) -> Answer:
        if isinstance(route, PlaylistRoute):
            return self._playlist(request, route, self._playlist_query(route, query))
        if isinstance(route, MediaRoute):
            return self._media(request, route, find_query(query))
        return self._steering(request, route, query)

    def refuse(self, refusal: Refusal) -> Response:
        """Say why a request is not even looked at."""
        log.info("http request refused", status=refusal.status.value, reason=refusal.reason)
        return refusal_response(refusal)

    def failed(self, error: Exception) -> Response:
        """Log what nobody expected."""
        log.error("http request failed unexpectedly", exc_info=error)
        return internal_response()

    def send_away(self) -> None:
        """Answer every request that is held: this gateway is about to stop."""
        self._service.send_away()

    def _playlist_query(self, route: PlaylistRoute, query: bytes) -> Query:
        """Read a query; that of a multivariant playlist may also say whom it is for."""
        asked = find_query(query)
        if route.name.rendition_id or route.name.file_name != MULTIVARIANT:
            return asked
        cohort, steering = find_cohort(query), self._pathways.steering
        if steering.is_offered:
            return replace(asked, cohort=cohort._replace(origin_id=steering.origin_id))
        return replace(asked, cohort=cohort._replace(session_id="")) if cohort != EVERYBODY else asked

    def _steering(self, request: Request, route: SteeringRoute, query: bytes) -> Answer:
        if not self._pathways.steering.pathways:
            raise NotFound("nobody is steered here: there is one way only", reason="NO_STEERING")
        session_id = find_session(query) or place_session_id(place_of(request.headers, request.client))
        if edition := self._service.edition_now(route.stream_id, ""):
            return self._manifest(edition, session_id)
        return partial(
            self._later, request, partial(self._steering_later, route, session_id), "GET steering manifest"
        )

    async def _steering_later(self, route: SteeringRoute, session_id: str) -> Response:
        return self._manifest(await self._service.edition(route.stream_id, ""), session_id)

    def _manifest(self, edition: Edition[Content], session_id: str) -> Response:
        text = render_manifest(
            edition.timeline, self._pathways.steering, session_id, ttl_s=self._steering_ttl_s
        )
        return _json_response(HTTPStatus.OK, text.encode())

    def _playlist(self, request: Request, route: PlaylistRoute, query: Query) -> Answer:
        edition = self._service.edition_now(route.stream_id, query.incarnation)
        if edition:
            try:
                return _playlist_answer(request, edition, route.name, query)
            except WeirError as error:
                if not _may_be_behind(error, edition, route.name, query):
                    raise
        later = partial(self._playlist_later, request, route, query)
        return partial(self._later, request, later, "GET playlist")

    async def _playlist_later(self, request: Request, route: PlaylistRoute, query: Query) -> Response | Held:
        deadline = time.monotonic() + _NEWS_S
        while True:
            edition = await self._service.edition(route.stream_id, query.incarnation)
            try:
                return _playlist_answer(request, edition, route.name, query)
            except WeirError as error:
                if not _may_be_behind(error, edition, route.name, query):
                    raise
                if not await edition.news(deadline - time.monotonic()):
                    _raise_if_behind(edition)
                    raise

    def _media(self, request: Request, route: MediaRoute, query: Query) -> Answer:
        edition = self._service.edition_now(route.stream_id, query.incarnation)
        if edition is None:
            return self._media_task(request, route, query)
        if hint := self._held_hint(request, edition, route, query):
            return hint
        try:
            media = self._service.media_now(edition, route.rendition_id, route.name)
        except NotFound:
            if not may_be_news(edition.timeline, route.rendition_id, route.name):
                raise
            media = None
        if media:
            return _media_response(request, media, route, query, edition)
        return self._media_task(request, route, query)

    def _media_task(self, request: Request, route: MediaRoute, query: Query) -> Later:
        later = partial(self._media_later, request, route, query)
        return partial(self._later, request, later, "GET media")

    async def _media_later(self, request: Request, route: MediaRoute, query: Query) -> Response | Held:
        """Look media up and read them; a player was perhaps told of them by a gateway that heard first."""
        deadline = time.monotonic() + _NEWS_S
        while True:
            edition = await self._service.edition(route.stream_id, query.incarnation)
            if hint := self._held_hint(request, edition, route, query):
                return hint
            try:
                media = await self._service.media(edition, route.rendition_id, route.name)
            except NotFound:
                if not may_be_news(edition.timeline, route.rendition_id, route.name):
                    raise
                if not await edition.news(deadline - time.monotonic()):
                    _raise_if_behind(edition)
                    raise
            else:
                return _media_response(request, media, route, query, edition)

    def _held_hint(
        self, request: Request, edition: Edition[Content], route: MediaRoute, query: Query
    ) -> Held | None:
        """Hold a request for a part that was hinted and is not there yet (rfc8216bis 6.2.6)."""
        name = route.name
        if not isinstance(name, PartName) or name.container is not edition.timeline.stream.container:
            return None
        place = Place(route.rendition_id, name.msn, name.part, is_hint=True)
        if not is_hinted(edition.timeline, place) or edition.is_over(place):
            return None
        hint = HeldHint(request, edition.room, place, partial(self._hint_arrived, request, route, query))
        edition.wait(place, hint)
        return hint

    def _hint_arrived(
        self, request: Request, route: MediaRoute, query: Query, hint: HeldHint, edition: Edition[Content]
    ) -> None:
        """Read the part once for all who wait for it, then answer them."""
        media = self._service.media_now(edition, route.rendition_id, route.name)
        if media:
            hint.give(_media_response(request, media, route, query, edition))
            return
        key = (edition.incarnation, route)
        if key not in self._hints:
            self._hints[key] = []
            self._reads.add(task := asyncio.create_task(self._read_hint(edition, key), name="read a part"))
            task.add_done_callback(self._reads.discard)
        self._hints[key].append((hint, partial(self._media, request, route, query)))

    async def _read_hint(self, edition: Edition[Content], key: tuple[str, MediaRoute]) -> None:
        failure: WeirError | None = None
        try:
            await self._service.warm(edition, key[1].rendition_id, key[1].name)
        except WeirError as error:
            failure = error
            log.info("a part could not be read", error=error.message)
        finally:  # whatever it was, nobody is left waiting
            for hint, answer in self._hints.pop(key):
                if failure is None:
                    hint.settle(answer)
                elif hint.is_waiting:
                    hint.failed(failure)

    async def _later(self, request: Request, work: Later, name: str) -> Response | Held:
        """Wait for an answer in a span of its own."""
        headers = {"traceparent": request.headers.get(b"traceparent", b"").decode("latin-1")}
        with tracer.start_as_current_span(name, context=trace_context(headers), kind=SpanKind.SERVER):
            try:
                return await work()
            except WeirError as error:
                return refused(request, error)

    def _page(self, request: Request, route: PageRoute) -> Response:
        page = self._pages.find(route.path, self._pathways.steering.origins)
        if page is None:
            raise NotFound("nothing is served under this path", reason="NO_SUCH_PATH")
        return page.answer(request)

    def _probe(self, route: ProbeRoute) -> Response:
        """Alive as long as this runs; ready until it is about to stop, whatever the distributor does."""
        if route.name == "healthz":
            return _json_response(HTTPStatus.OK, b'{"status":"alive"}')
        if self.ready:
            return _json_response(HTTPStatus.OK, b'{"status":"ready"}')
        return _json_response(HTTPStatus.SERVICE_UNAVAILABLE, b'{"status":"stopping"}')


class LoggedSite:
    """A site of which every request gets a log line, when its answer is there."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.refuse = site.refuse
        self.failed = site.failed

    def answer(self, request: Request) -> Answer:
        """Answer a request and log it."""
        return self._logged(request, time.monotonic(), self._site.answer(request))

    def _logged(self, request: Request, start: float, answer: Answer) -> Answer:
        if isinstance(answer, Response):
            self._log(request, start, answer)
            return answer
        if isinstance(answer, Held):
            return Relayed(answer, partial(self._logged, request, start))
        return partial(self._logged_later, request, start, answer)

    async def _logged_later(self, request: Request, start: float, later: Later) -> Response | Held:
        answer = await later()
        if isinstance(answer, Held):
            return Relayed(answer, partial(self._logged, request, start))
        self._log(request, start, answer)
        return answer

    def _log(self, request: Request, start: float, response: Response) -> None:
        log.info(
            "http request",
            method=request.method.decode("latin-1"),
            target=request.target.decode("latin-1"),
            status=response.status,
            duration_ms=round((time.monotonic() - start) * 1e3, 3),
        )


def _playlist_answer(
    request: Request, edition: Edition[Content], name: PlaylistName, query: Query
) -> Response | Held:
    """Answer with a playlist as it is, or hold the request until it has what was asked for."""
    if query is NOTHING_ASKED:
        return edition.playlist(name).answer(request)
    if query.cohort is not EVERYBODY:
        return edition.multivariant(name, query.cohort).answer(request)
    if query.msn is None:
        return edition.playlist(name, skip=query.skip).answer(request)
    place = reload_place(edition.timeline, name, query.msn, query.part)
    if place is None or edition.is_over(place):
        return edition.playlist(name, skip=query.skip, waited=place is not None).answer(request)
    held = HeldReload(request, edition.room, place, name, skip=query.skip)
    edition.wait(place, held)
    return held


def _may_be_behind(error: WeirError, edition: Edition[Content], name: PlaylistName, query: Query) -> bool:
    """Tell whether a refusal may come from what another gateway has heard of, and this one has not."""
    is_named = bool(query.incarnation and name.rendition_id)  # as in a multivariant playlist
    behind = error.reason == "TOO_FAR_AHEAD" or (error.reason == "NO_PLAYLIST" and is_named)
    return behind and edition.timeline.is_live


def _raise_if_behind(edition: Edition[Content]) -> None:
    """Have Envoy ask another gateway for what this one may only not have heard of."""
    if edition.is_behind:
        raise Unavailable(
            "this gateway hears nothing new for now: another one may have it", reason="TIMELINE_BEHIND"
        )


def _media_cache(route: MediaRoute, query: Query, edition: Edition[Content]) -> str:
    stands_for_newest = isinstance(route.name, InitName) and route.name.is_newest
    if query.incarnation and not stands_for_newest:
        return cache_rules.IMMUTABLE
    return cache_rules.refreshed(edition.timeline.stream.target_duration_s)


def _media_response(
    request: Request,
    media: HeldMedia | StreamedMedia,
    route: MediaRoute,
    query: Query,
    edition: Edition[Content],
) -> Response:
    cache_control = _media_cache(route, query, edition)
    representation = _representation(media.media, media.size_bytes, cache_control)
    selection = representation.select(request)
    response = Response(selection.status, representation.head(selection), release=media.release)
    is_whole = selection.length == media.size_bytes
    response.note = Shown(edition.timeline, route, media.size_bytes, is_whole, media.was_held)
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


def _json_response(status: HTTPStatus, body: bytes) -> Response:
    headers = (
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("cache-control", cache_rules.FAILURE),
        *CORS,
    )
    return Response(status, render_head(status, headers), body)
