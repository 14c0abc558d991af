"""A second way to a suite, as an edge elsewhere is one: it passes on whatever it is asked for."""

from __future__ import annotations

from aiohttp import ClientSession, web

from support.ports import free_base

_HEALTH = "/healthz"
_HOP_BY_HOP = frozenset({"transfer-encoding", "connection", "content-length"})


class SecondWay:
    """Listens on a port of its own from `open` to `close`."""

    def __init__(self) -> None:
        self._port = free_base()
        self._runner: web.AppRunner | None = None
        self._site = ""
        self.is_well = True
        """What it says of itself."""

    @property
    def url(self) -> str:
        """Another host than the suite's, for a browser."""
        return f"http://localhost:{self._port}"

    def lead_to(self, site: str) -> None:
        """Lead to a suite's public address from now on."""
        self._site = site

    async def open(self) -> None:
        """Listen; until it leads anywhere, it says how it is and nothing else."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()

    async def close(self) -> None:
        """Refuse connections from now on."""
        if self._runner:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if request.path == _HEALTH:
            return web.Response(status=200 if self.is_well else 503)
        asked = {name: text for name, text in request.headers.items() if name.lower() != "host"}
        async with (
            ClientSession(self._site, auto_decompress=False) as session,
            session.request(request.method, request.rel_url, headers=asked) as origin,
        ):
            kept = {name: text for name, text in origin.headers.items() if name.lower() not in _HOP_BY_HOP}
            return web.Response(status=origin.status, body=await origin.read(), headers=kept)
