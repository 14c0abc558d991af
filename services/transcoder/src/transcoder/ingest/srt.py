"""SRT ingest: one port for all streams, the stream id says which.

ffmpeg's libsrt takes one caller per port and does not tell its stream id. So each caller gets a listener of
its own on this machine, and this module stands between the two: it hands datagrams on as they are, looks into
the handshake for the stream key, and holds its second half back until the publisher is let in.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

from chassis.errors import WeirError
from chassis.lifecycle import end_tasks
from chassis.telemetry import log
from transcoder.domain.srt_handshake import is_conclusion, is_handshake, read_stream_id
from transcoder.ingest.publication import PublishClaim, Publishers

PROTOCOL = "srt"
# Anybody can send a handshake, and pretend to be many: each costs a process until it is let in or given up.
WAITING_COUNT = 16
PUBLISHERS_COUNT = 64
HANDSHAKE_S = 5.0
# What the system keeps for us while we are busy, if it may; its default is 0.1 s of a good picture.
_WAITING_BYTES = 2 << 20

Address = tuple[str, int]
Listen = Callable[[int], AsyncGenerator[bytes]]
"""Takes one caller on a port of this machine, and yields what it sends as MPEG-TS."""


@asynccontextmanager
async def srt_server(host: str, port: int, publishers: Publishers, listen: Listen) -> AsyncIterator[int]:
    """Take publishers for the time of a block, which gets the port."""
    server = _Server(publishers, listen)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=(host, port))
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WAITING_BYTES)
    server.answer_through(transport)
    try:
        yield int(transport.get_extra_info("sockname")[1])
    finally:
        await server.stop()
        transport.close()


class _Server(asyncio.DatagramProtocol):
    """The port, and who calls on it."""

    def __init__(self, publishers: Publishers, listen: Listen) -> None:
        self._publishers = publishers
        self._listen = listen
        self._callers: dict[Address, _Caller] = {}
        self._transport: asyncio.DatagramTransport | None = None

    def answer_through(self, transport: asyncio.DatagramTransport) -> None:
        """Take the port's transport; nobody is answered before."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        caller = self._callers.get(addr)
        if caller is None and is_handshake(data) and self._has_room() and self._transport:
            caller = self._callers[addr] = _Caller(self._transport, addr)
            caller.task = asyncio.create_task(self._serve(caller, addr))
        if caller:
            caller.take(data)

    def _has_room(self) -> bool:
        publishers_count = sum(caller.is_admitted for caller in self._callers.values())
        waiting_count = len(self._callers) - publishers_count
        return publishers_count < PUBLISHERS_COUNT and waiting_count < WAITING_COUNT

    async def stop(self) -> None:
        """Send all publishers away."""
        tasks = [caller.task for caller in self._callers.values() if caller.task]
        if tasks:
            await end_tasks(*tasks)

    async def _serve(self, caller: _Caller, addr: Address) -> None:
        peer = f"{addr[0]}:{addr[1]}"
        try:
            await caller.publish(self._publishers, self._listen, peer)
        except (WeirError, TimeoutError) as error:
            log.info("srt publisher sent away", peer=peer, error=str(error))
        finally:
            del self._callers[addr]


class _Caller:
    """One caller, and the listener that it talks to through us."""

    def __init__(self, transport: asyncio.DatagramTransport, addr: Address) -> None:
        self.task: asyncio.Task[None] | None = None
        self._transport = transport
        self._addr = addr
        self._listener: asyncio.DatagramTransport | None = None
        self._stream_id: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.is_admitted = False

    def take(self, data: bytes) -> None:
        """Hand a datagram on; what is dropped here, the caller sends again."""
        if not self.is_admitted and is_conclusion(data):
            if not self._stream_id.done():
                self._stream_id.set_result(read_stream_id(data))
            return
        if self._listener:
            self._listener.sendto(data)

    async def publish(self, publishers: Publishers, listen: Listen, peer: str) -> None:
        """See a caller through.

        Raises:
            WeirError: It is not let in, or its session fails.
            TimeoutError: It does not finish its handshake.
        """
        port = await self._connect()
        try:
            async with aclosing(_Begun(listen(port))) as pieces:
                async with asyncio.timeout(HANDSHAKE_S):
                    stream_key = await self._stream_id
                claim = PublishClaim(protocol=PROTOCOL, peer=peer, stream_key=stream_key)
                session = await publishers.admit(claim)
                self.is_admitted = True
                await session.run("mpegts", pieces)
        finally:
            if self._listener:
                self._listener.close()

    async def _connect(self) -> int:
        """Choose a port for the listener, and speak to it from a port of the caller's own."""
        loop = asyncio.get_running_loop()
        chosen, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        port = int(chosen.get_extra_info("sockname")[1])
        chosen.close()
        self._listener, _ = await loop.create_datagram_endpoint(
            lambda: _Answers(self._transport, self._addr), remote_addr=("127.0.0.1", port)
        )
        return port


class _Answers(asyncio.DatagramProtocol):
    """Hands a listener's datagrams on to its caller."""

    def __init__(self, transport: asyncio.DatagramTransport, addr: Address) -> None:
        self._transport = transport
        self._addr = addr

    def datagram_received(self, data: bytes, addr: Address) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport.sendto(data, self._addr)

    def error_received(self, exc: Exception) -> None:
        """Wait: the listener is not there yet, or no longer."""


class _Begun:
    """Pieces whose source begins at once, not when the first of them is asked for."""

    def __init__(self, pieces: AsyncGenerator[bytes]) -> None:
        self._pieces = pieces
        self._first: asyncio.Task[bytes] | None = asyncio.create_task(anext(pieces))

    def __aiter__(self) -> _Begun:
        return self

    async def __anext__(self) -> bytes:
        if self._first is None:
            return await anext(self._pieces)
        first = await asyncio.shield(self._first)
        self._first = None
        return first

    async def aclose(self) -> None:
        if self._first:
            await end_tasks(self._first)
        await self._pieces.aclose()
