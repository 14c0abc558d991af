"""A TCP proxy that a test can cut: the peer is alive, only nobody reaches it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Proxy:
    """Forwards connections from a port of this machine to one address, until it is cut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._is_muted = self._is_deaf = False
        self._unheard: list[asyncio.StreamWriter] = []
        self.port = 0

    def mute(self) -> None:
        """Swallow what the peer answers; what is sent to it still arrives."""
        self._is_muted = True

    async def mend(self) -> None:
        """Let connections through."""
        self._is_muted = self._is_deaf = False
        if self._server is None or not self._server.is_serving():
            await self._listen()

    async def hang(self) -> None:
        """Break all connections; new ones are let in and hear nothing, also when later ones get through."""
        await self.cut()
        self._is_deaf = True
        await self._listen()

    @property
    def unheard_count(self) -> int:
        """How many connections were let in that hear nothing."""
        return len(self._unheard)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Break all connections and refuse new ones."""
        if self._server is not None:
            self._server.close()
        for pump in self._pumps:
            pump.cancel()
        while self._unheard:
            self._unheard.pop().close()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_deaf:
            self._unheard.append(writer)
            return
        try:
            target_reader, target_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        self._start_pump(reader, target_writer)
        self._start_pump(target_reader, writer, answers=True)

    def _start_pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        task = asyncio.create_task(self._pump(reader, writer, answers=answers))
        self._pumps.add(task)
        task.add_done_callback(self._pumps.discard)
        task.add_done_callback(lambda _: writer.close())  # also if it is cancelled before its first step

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        try:
            with suppress(OSError):
                while data := await reader.read(65536):
                    if not (answers and self._is_muted):
                        writer.write(data)
                        await writer.drain()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


@asynccontextmanager
async def running_proxy(host: str, port: int) -> AsyncIterator[Proxy]:
    """Forward a free port to `host:port`, until the proxy is cut or the block ends."""
    proxy = Proxy(host, port)
    await proxy.mend()
    try:
        yield proxy
    finally:
        await proxy.cut()
