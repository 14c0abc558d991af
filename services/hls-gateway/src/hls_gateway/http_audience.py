"""Count every request of a stream for the session that it belongs to, and tell its player what to play.

Who asks changes no answer: bodies, URLs and the headers that caches go by are the same for all. Players that
speak CMCD get a header more, with what is meant for them alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from hls_gateway.domain.cmcd import find_cmcd
from hls_gateway.domain.cmsd import render_dynamic, render_static
from hls_gateway.domain.names import MULTIVARIANT, STORYBOARD, SpriteName
from hls_gateway.editions.edition import Edition
from hls_gateway.routes import MediaRoute, PlaylistRoute, SteeringRoute, find_session, find_throughput_bps
from hls_gateway.viewers.decisions import Decisions
from hls_gateway.viewers.meter import Meter, Shown, Visit
from hls_gateway.viewers.sessions import Session
from hls_gateway.webserver.content import Content
from hls_gateway.webserver.held import Held, Relayed
from hls_gateway.webserver.messages import Answer, Later, Request, Response, Sending

StreamRoute = PlaylistRoute | MediaRoute | SteeringRoute
EditionNow = Callable[[str, str], Edition[Content] | None]

_LEAST_FAILURE = int(HTTPStatus.BAD_REQUEST)
# Whoever passed an answer on says so, and may keep it for others (RFC 9110 7.6.3, RFC 8586).
_PASSED_ON = (b"via", b"cdn-loop")


class Audience:
    """Those who are answered.

    Args:
        meter: What counts.
        decisions: What players should play.
        edition_now: Finds a stream that is in use.
    """

    def __init__(self, meter: Meter, decisions: Decisions, edition_now: EditionNow) -> None:
        self._meter = meter
        self._decisions = decisions
        self._edition_now = edition_now

    def count(self, request: Request, route: StreamRoute, query: bytes, answer: Answer) -> Answer:
        """Count a request by its answer, when that is there."""
        if isinstance(answer, Response):
            self._count(request, route, query, answer)
            return answer
        if isinstance(answer, Held):
            return Relayed(answer, partial(self.count, request, route, query))
        return partial(self._wait, request, route, query, answer)

    async def _wait(
        self, request: Request, route: StreamRoute, query: bytes, later: Later
    ) -> Response | Held:
        answer = await later()
        if isinstance(answer, Held):
            return Relayed(answer, partial(self.count, request, route, query))
        self._count(request, route, query, answer)
        return answer

    def _count(self, request: Request, route: StreamRoute, query: bytes, response: Response) -> None:
        failed = response.status >= _LEAST_FAILURE
        stream_id, variant_id = route.stream_id, route.variant_id
        if failed:
            edition = self._edition_now(stream_id, "")
            if edition is None:
                return  # nobody watches what there is not
            if variant_id not in edition.timeline.renditions:
                variant_id = ""  # a name that somebody made up is not to be kept
        said = find_cmcd(request.headers, query)
        if not said and _is_preview(route):
            return  # pictures are asked for past the player, by one who is a viewer already
        session = self._meter.visit(stream_id, variant_id, said, request.headers, request.client, failed)
        if isinstance(route, MediaRoute):
            if isinstance(response.note, Shown):
                self._show(request, session, response, response.note)
        elif isinstance(route, SteeringRoute):
            self._meter.steered(session, find_throughput_bps(query))
        elif not failed and route.name.file_name == MULTIVARIANT and (joined_id := find_session(query)):
            self._meter.joined(session, joined_id)

    def _show(self, request: Request, session: Session, response: Response, shown: Shown) -> None:
        media, said = shown.find(), session.said
        response.sent = partial(self._sent, Visit(session, said, shown, media))
        if said:
            response.head += self._cmsd(request, session, shown, media.duration_s if media else 0.0)

    def _sent(self, visit: Visit, sending: Sending) -> None:
        self._meter.sent(visit, sending.size_bytes, sending.paced_bytes, sending.paced_s)

    def _cmsd(self, request: Request, session: Session, shown: Shown, duration_s: float) -> bytes:
        """Write the headers for a player; what is its own it only gets where no cache stands between."""
        rendition, is_live = shown.known.rendition, shown.timeline.is_live
        static = render_static(rendition.media_kind, rendition.target_bps, duration_s, is_live=is_live)
        head = f"cmsd-static: {static}\r\n"
        decision = self._decisions.find(session.stream_id, session.viewer_id)
        if decision and not any(name in request.headers for name in _PASSED_ON):
            edition = self._edition_now(session.stream_id, "")
            offered_bps = edition.advertised_bps(decision.variant_id) if edition else None
            head += f"cmsd-dynamic: {render_dynamic(max(decision.variant_bps, offered_bps or 0))}\r\n"
        return head.encode()


def _is_preview(route: StreamRoute) -> bool:
    if isinstance(route, MediaRoute):
        return isinstance(route.name, SpriteName)
    return isinstance(route, PlaylistRoute) and route.name.file_name == STORYBOARD
