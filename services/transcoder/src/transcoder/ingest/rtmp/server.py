"""The RTMP server: one port for all streams."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis.telemetry import STREAM, log
from transcoder.ingest.publication import Publishers
from transcoder.ingest.rtmp.connection import Connection
from transcoder.ingest.rtmp.limits import RtmpLimits
from transcoder.ingest.rtmp.message import Refused, RtmpError
from transcoder.ingest.rtmp.wire import Wire

_BACKLOG_COUNT = 256
_DEFAULT_LIMITS = RtmpLimits()
_ACCEPT_PAUSE_S = 0.5
_SEND_BUFFER_BYTES = 1 << 16  # what we say is short, and a peer that does not listen shall be noticed
# What ends connections every day; everything else is our own mistake.
_ORDINARY = (RtmpError, Refused)


@asynccontextmanager
async def rtmp_server(
    host: str, port: int, publishers: Publishers, limits: RtmpLimits = _DEFAULT_LIMITS
) -> AsyncIterator[int]:
    """Take publishers for the time of a block, which gets the port.

    When the block is left, publishers are disconnected, and their sessions bring to an end what came so far.

    Args:
        host: Where to listen.
        port: 0 for any.
        publishers: Lets publishers in.
        limits: What they may take.
    """
    connections = _Connections(publishers, limits)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server(
        (host, port), family=family, backlog=_BACKLOG_COUNT, dualstack_ipv6=host == "::"
    ) as listener:
        listener.setblocking(False)
        accepting = asyncio.create_task(connections.accept_from(listener))
        try:
            yield int(listener.getsockname()[1])
        finally:
            accepting.cancel()
            await asyncio.wait([accepting])
            listener.close()
            await connections.stop()


class _Connections:
    """All connections that are open, each in a task of its own; the oldest first."""

    def __init__(self, publishers: Publishers, limits: RtmpLimits) -> None:
        self._publishers = publishers
        self._limits = limits
        self._open: dict[asyncio.Task[None], Connection] = {}

    async def accept_from(self, listener: socket.socket) -> None:
        """Serve whoever connects, for ever."""
        while True:
            try:
                connected, address = await asyncio.get_running_loop().sock_accept(listener)
            except OSError as error:  # a peer that left already, or no file descriptor is free
                log.warning("rtmp connection not accepted", error=str(error))
                await asyncio.sleep(_ACCEPT_PAUSE_S)
            else:
                self._take(connected, address)

    def _take(self, connected: socket.socket, address: tuple[str, int]) -> None:
        """Begin to serve a connection, if there is room for it."""
        if len(self._open) >= self._limits.connection_count and not self._make_room():
            connected.close()
            return
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        wire = Wire(connected, self._limits.send_timeout_s)
        connection = Connection(wire, _name_peer(*address[:2]), self._publishers, self._limits)
        task = asyncio.create_task(connection.serve(), name=f"rtmp {connection.peer}")
        self._open[task] = connection
        task.add_done_callback(self._forget)

    async def stop(self) -> None:
        """End all connections: at once, or once their sessions have ended."""
        for task, connection in self._open.items():
            if connection.is_publishing:
                connection.stop()
            else:
                task.cancel()
        await self._wait(self._limits.stop_timeout_s)
        for task in self._open:
            task.cancel()
        await self._wait(None)

    async def _wait(self, timeout_s: float | None) -> None:
        if self._open:
            await asyncio.wait(self._open, timeout=timeout_s)

    def _make_room(self) -> bool:
        """Give up the oldest connection that publishes nothing; tell whether there was one."""
        for task, connection in self._open.items():
            if not connection.is_publishing and not task.cancelling():
                return task.cancel()
        return False

    def _forget(self, task: asyncio.Task[None]) -> None:
        connection = self._open.pop(task)
        error = None if task.cancelled() else task.exception()
        fields = {
            STREAM: connection.stream_id,
            "peer": connection.peer,
            "received_bytes": connection.received_bytes,
        }
        if error is None or isinstance(error, _ORDINARY):
            tell = log.info if connection.received_bytes else log.debug  # a health check only connects
            tell("rtmp connection ended", reason=_say(error), **fields)
        else:
            log.error("rtmp connection failed", exc_info=error, **fields)


def _name_peer(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _say(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ") if error else ""
