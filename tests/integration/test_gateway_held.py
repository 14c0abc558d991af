"""Held requests on the web server itself: who leaves is let go of, and who asked gets the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from hls_gateway.domain.blocking import Place
from hls_gateway.domain.names import MEDIA, PlaylistName
from hls_gateway.editions.edition import Edition
from hls_gateway.editions.waiting_room import WaitingRoom
from hls_gateway.http_held import HeldReload
from hls_gateway.webserver.content import Content
from hls_gateway.webserver.limits import Limits
from hls_gateway.webserver.messages import Refusal, Request, Response, render_head
from hls_gateway.webserver.server import WebServer

PLACE = Place("High", 1)


class WaitingSite:
    """Everybody waits, in one room."""

    def __init__(self) -> None:
        self.room: WaitingRoom[Edition[Content]] = WaitingRoom(60.0)
        self.held: list[HeldReload] = []

    def answer(self, request: Request) -> HeldReload:
        held = HeldReload(request, self.room, PLACE, PlaylistName(MEDIA, "High"), skip=False)
        self.room.enter(PLACE, held)
        self.held.append(held)
        return held

    def refuse(self, refusal: Refusal) -> Response:
        return Response(refusal.status, render_head(refusal.status, ()))

    def failed(self, error: Exception) -> Response:
        raise error


@asynccontextmanager
async def serving(site: WaitingSite) -> AsyncIterator[int]:
    server = WebServer(site, Limits())
    port = await server.listen("127.0.0.1", 0)
    try:
        yield port
    finally:
        await server.stop(0.1)


async def ask(port: int, site: WaitingSite) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    async with asyncio.timeout(20):
        count = site.room.waiter_count
        while site.room.waiter_count == count:  # noqa: ASYNC110 - the room rings no bell for who enters
            await asyncio.sleep(0)
    return reader, writer


async def test_a_client_that_leaves_waits_no_more() -> None:
    site = WaitingSite()
    async with serving(site) as port:
        _, leaves = await ask(port, site)
        _, stays = await ask(port, site)
        leaves.transport.abort()
        async with asyncio.timeout(20):
            while site.room.waiter_count == 2:  # noqa: ASYNC110 - nor for who leaves
                await asyncio.sleep(0.01)
        assert [held.is_waiting for held in site.held] == [False, True]
        stays.close()


async def test_an_answer_that_comes_when_nobody_waits_is_not_even_made() -> None:
    site = WaitingSite()
    async with serving(site) as port:
        reader, writer = await ask(port, site)
        (held,) = site.held
        made: list[str] = []

        def answer() -> Response:
            made.append("answer")
            return Response(HTTPStatus.OK, render_head(HTTPStatus.OK, (("content-length", "0"),)))

        held.settle(answer)
        held.settle(answer)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert made == ["answer"]
        writer.close()
