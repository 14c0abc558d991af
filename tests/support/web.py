"""A web server that misbehaves as a test asks it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def web_server(**handlers: Handler) -> AsyncIterator[str]:
    """Serve each handler under its name for as long as the block lasts; yields the server's URL."""
    app = web.Application()
    for name, handler in handlers.items():
        app.router.add_get(f"/{name}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def whole(data: bytes) -> Handler:
    """Answer with the data and its length."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=data)

    return answer


def broken(data: bytes, *, declared: int) -> Handler:
    """Declare more bytes than come, then close."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": str(declared)})
        await response.prepare(request)
        await response.write(data)
        assert request.transport
        request.transport.close()
        return response

    return answer


def endless(piece: bytes) -> Handler:
    """Go on for ever, in chunks."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        while True:
            await response.write(piece)
            await asyncio.sleep(0)

    return answer


def slow(data: bytes, *, seconds: float) -> Handler:
    """Send the first half, and the second one later."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": str(len(data))})
        await response.prepare(request)
        await response.write(data[: len(data) // 2])
        await asyncio.sleep(seconds)
        await response.write(data[len(data) // 2 :])
        return response

    return answer


def silent(data: bytes) -> Handler:
    """Send a little, then nothing."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": "1000000"})
        await response.prepare(request)
        await response.write(data)
        await asyncio.sleep(60)
        return response

    return answer


def without_length(data: bytes) -> Handler:
    """Answer as HTTP/1.0 does: the end of the connection is the end of the body."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"connection": "close"})
        response._length_check = False
        response.force_close()
        await response.prepare(request)
        await response.write(data)
        return response

    return answer


def redirect(location: str, status: int = 302) -> Handler:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"location": location})

    return answer


def status(code: int) -> Handler:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=code)

    return answer
