"""A small HTTP/1.1 server for a site whose answers mostly stand ready in memory.

asyncio.Protocol on whatever loop runs (uvloop), httptools for the syntax. A site turns a Request into a
Response, or into a way to make one later. Once a second the server looks after all of its connections: a
timer for each would cost more than its answers.
"""

from __future__ import annotations

import asyncio
import ssl
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol

from hls_gateway.webserver.connection import Connection
from hls_gateway.webserver.limits import Limits
from hls_gateway.webserver.messages import Answer, Refusal, Request, Response

_BACKLOG_COUNT = 4096


class Site(Protocol):
    """What is served."""

    def answer(self, request: Request) -> Answer:
        """Answer a request, at once where possible; what comes later must have a deadline."""

    def refuse(self, refusal: Refusal) -> Response:
        """Say why a request is not even looked at."""

    def failed(self, error: Exception) -> Response:
        """Log what nobody expected, and say that something went wrong."""


class WebServer:
    """Listens, keeps count of connections, and sweeps out the slow ones."""

    def __init__(self, site: Site, limits: Limits, tls: ssl.SSLContext | None = None) -> None:
        self.limits = limits
        self._tls = tls
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time()
        self.tail = self.last_tail = b""  # what ends a head: Date, and whether the connection ends too
        self.site = site
        self._connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None
        self._all_gone = asyncio.Event()
        self._sweep()

    @property
    def connection_count(self) -> int:
        return len(self._connections)

    async def listen(self, host: str, port: int) -> int:
        """Begin to serve; returns the port, which matters when 0 was asked for."""
        self._listener = await self.loop.create_server(
            lambda: Connection(self), host, port, backlog=_BACKLOG_COUNT, ssl=self._tls
        )
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self, grace_s: float) -> None:
        """Take no more connections, answer what was asked, and break off what lasts longer than `grace_s`."""
        if self._listener:
            self._listener.close()
        for connection in tuple(self._connections):
            connection.finish()
        try:
            async with asyncio.timeout(grace_s):
                while self._connections:
                    self._all_gone.clear()
                    await self._all_gone.wait()
        except TimeoutError:
            for connection in tuple(self._connections):
                connection.abort()
        self._tick.cancel()

    # What connections call.

    def admit(self, connection: Connection) -> bool:
        """Count a connection in; False if there are too many."""
        if len(self._connections) >= self.limits.connection_count:
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: Connection) -> None:
        """Count a connection out."""
        self._connections.discard(connection)
        if not self._connections:
            self._all_gone.set()

    def too_slow(self) -> Response:
        """Say that a request did not arrive in time."""
        message = f"the request was not whole after {self.limits.head_timeout_s:g} s"
        return self.site.refuse(
            Refusal(status=HTTPStatus.REQUEST_TIMEOUT, reason="REQUEST_TIMEOUT", message=message)
        )

    def overloaded(self) -> Response:
        """Say that there are too many connections."""
        message = f"{self.limits.connection_count} connections are open already: try again"
        return self.site.refuse(
            Refusal(status=HTTPStatus.SERVICE_UNAVAILABLE, reason="TOO_MANY_CONNECTIONS", message=message)
        )

    # From time to time.

    def _sweep(self) -> None:
        self.now = self.loop.time()
        date = f"date: {formatdate(usegmt=True)}\r\n"  # RFC 9110 6.6.1
        self.tail = f"{date}\r\n".encode()
        self.last_tail = f"{date}connection: close\r\n\r\n".encode()
        for connection in tuple(self._connections):
            connection.check()
        self._tick = self.loop.call_later(self.limits.sweep_s, self._sweep)
