"""One client's connection: requests in, answers out in the same order, within the limits.

Small answers are joined into one write. A large body is given to the transport whole and without a copy; the
transport tells when it could not send all of it, and from then on the client's pace rules: no further request
is looked at, and the server's sweep ends the connection when the client takes too little.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, cast

from hls_gateway.webserver.held import Held
from hls_gateway.webserver.messages import Answer, Later, Request, Response
from hls_gateway.webserver.progress import Progress
from hls_gateway.webserver.reader import RequestReader

if TYPE_CHECKING:
    from hls_gateway.webserver.server import WebServer

_JOIN_BYTES = 65536  # below this a copy costs less than a second buffer in the write
_QUEUE_COUNT = 16  # as many pipelined requests wait before the socket is left unread

_INT = struct.Struct("i")
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 seconds


class Connection(asyncio.Protocol):
    """One connection; made by the server, which also calls `check` every second and `finish` at its end."""

    __slots__ = (
        "_ending",
        "_held",
        "_leaving",
        "_progress",
        "_queue",
        "_reader",
        "_server",
        "_since",
        "_task",
        "_transport",
        "_unread",
        "_unsent_bytes",
        "_writable",
    )

    def __init__(self, server: WebServer) -> None:
        self._server = server
        self._reader = RequestReader(server.limits)
        self._transport = cast("asyncio.Transport", None)
        self._queue: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None  # is making an answer
        self._held: Held | None = None  # somebody else will have an answer
        self._writable: asyncio.Future[None] | None = None  # there while the client has to catch up
        self._leaving: Callable[[], None] | None = None  # lets go of what the client is catching up with
        self._progress: Progress | None = None  # of a body that somebody wants to hear of
        self._ending = False
        self._unread = False  # what the client sends now has to wait
        self._since = server.now  # when the present wait began
        self._unsent_bytes = 0

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_JOIN_BYTES, low=0)  # so that resumed means: all is sent
        peer = transport.get_extra_info("peername")
        self._reader.client = peer[0].encode() if isinstance(peer, tuple) else b""
        if not self._server.admit(self):
            self._end_with(self._server.overloaded())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - it does not matter why
        self._server.forget(self)
        self._ending = True
        if self._task:
            self._task.cancel()
        if self._held:
            self._held.drop()
            self._held = None
        self._go_on()

    def data_received(self, data: bytes) -> None:
        if self._ending:
            return
        reader = self._reader
        was_in_request = reader.in_request
        requests = reader.feed(data)
        if reader.in_request and not was_in_request:
            self._since = self._server.now
        if len(requests) == 1 and self._is_free():  # mostly
            self._answer(requests[0])
        elif requests:
            self._queue.extend(requests)
            if len(self._queue) > _QUEUE_COUNT:
                self._unread = True
                self._transport.pause_reading()
        if self._queue or reader.finished:
            self._advance()

    def eof_received(self) -> bool:
        """Answer what was asked before the client closed its side, then close ours; who waits has left."""
        if self._held:
            return False
        self.finish()
        return not self._ending

    def pause_writing(self) -> None:
        self._writable = self._server.loop.create_future()
        self._unsent_bytes = self._count_unsent()
        self._since = self._server.now
        if self._progress:
            self._progress.paused(self._server.loop.time(), self._unsent_bytes)
            self._progress.waits(self._transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        if self._progress:
            self._progress.resumed(self._server.loop.time(), self._count_unsent())
        self._go_on()

    # What the server calls.

    def check(self) -> None:
        """End the connection if its client has run out of time."""
        limits, passed_s = self._server.limits, self._server.now - self._since
        if self._writable or self._ending:
            if self._progress:
                self._progress.waits(self._transport.get_write_buffer_size())
            if passed_s > limits.stall_timeout_s:
                self._check_pace(limits.send_rate_bytes_s * passed_s)
        elif self._task or self._held:
            return  # whoever makes the answer has a deadline
        elif self._reader.in_request:
            if passed_s > limits.head_timeout_s:
                self._end_with(self._server.too_slow())
        elif passed_s > limits.idle_timeout_s:
            self._close()

    def finish(self) -> None:
        """Answer what is in hand, then end."""
        self._reader.finished = True
        self._advance()

    def abort(self) -> None:
        """End at once; what the kernel still holds for the client goes too."""
        self._ending = True
        if sock := self._transport.get_extra_info("socket"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    # Answering.

    def _go_on(self) -> None:
        """Let go of a body, as nothing is in our buffers any more or the client is gone; answer the next."""
        if self._leaving:
            self._leaving()
            self._leaving = None
        if self._writable:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None
            self._since = self._server.now
            self._advance()

    def _advance(self) -> None:
        """Answer as many of the waiting requests as can be answered now."""
        while not (self._task or self._held or self._writable or self._ending):
            if not self._queue:
                if self._reader.finished or self._unread:
                    self._rest()
                return
            self._answer(self._queue.popleft())

    def _is_free(self) -> bool:
        """Tell whether nothing is being answered, and nothing waits for that."""
        return not (self._queue or self._task or self._held or self._writable)

    def _answer(self, request: Request) -> None:
        try:
            answer = self._server.site.answer(request)
        except Exception as error:  # noqa: BLE001 - the edge of the site
            answer = self._server.site.failed(error)
        self._take(request, answer)

    def _take(self, request: Request, answer: Answer) -> None:
        if isinstance(answer, Response):
            self._send(request, answer)
        elif isinstance(answer, Held):
            self._held = answer
            answer.attach(partial(self._given, request))
        else:
            self._task = self._server.loop.create_task(self._send_later(request, answer))

    def _given(self, request: Request, answer: Answer) -> None:
        """Take the answer for which a request was held."""
        self._held = None
        self._take(request, answer)
        self._advance()

    def _rest(self) -> None:
        """Nothing is left to answer: refuse, close, or listen."""
        if self._reader.refusal:
            self._end_with(self._server.site.refuse(self._reader.refusal))
        elif self._reader.finished:
            self._close()
        elif self._unread:
            self._unread = False
            self._transport.resume_reading()

    def _send(self, request: Request, response: Response) -> None:
        last = self._reader.finished and self._is_last(request)  # a request that ends it has finished it
        body = b"" if request.method == b"HEAD" else response.body
        if response.sent:
            self._progress = Progress(self._server.loop.time())
        self._write(response.head, body, last)
        if response.release or response.sent:
            self._leaving = partial(self._let_go, response, len(body))
            if not self._writable:
                self._go_on()
        if last:
            self._close()

    def _let_go(self, response: Response, size_bytes: int) -> None:
        """Give a body back, and tell whoever wants to know how it went."""
        if response.release:
            response.release()
        if response.sent and self._progress:
            response.sent(self._progress.ended(self._server.loop.time(), size_bytes))
        self._progress = None

    async def _send_later(self, request: Request, later: Later) -> None:
        try:
            response = await later()
        except Exception as error:  # noqa: BLE001 - the edge of the site
            response = self._server.site.failed(error)
        if isinstance(response, Response) and response.pieces and request.method != b"HEAD":
            await self._send_pieces(request, response, response.pieces())
        else:
            self._take(request, response)
        self._task = None
        self._advance()

    async def _send_pieces(self, request: Request, response: Response, pieces: AsyncGenerator[bytes]) -> None:
        """Send at the client's pace; a body that breaks off breaks the connection, so that it is noticed."""
        last = self._is_last(request)
        self._progress = Progress(self._server.loop.time()) if response.sent else None
        size_bytes = 0
        try:
            self._write(response.head, b"", last)
            async with aclosing(pieces):
                async for piece in pieces:
                    size_bytes += len(piece)
                    self._transport.write(piece)
                    if self._writable:
                        await self._writable
        except Exception as error:  # noqa: BLE001 - the edge of the site
            self._server.site.failed(error)
            self.abort()
        finally:
            self._let_go(response, size_bytes)
        if last:
            self._close()

    def _write(self, head: bytes, body: bytes | memoryview, last: bool) -> None:
        server = self._server
        tail = server.last_tail if last else server.tail
        if len(body) < _JOIN_BYTES:
            self._transport.write(b"".join((head, tail, body)))
        else:
            self._transport.write(head + tail)
            self._transport.write(body)
        self._since = server.now

    def _is_last(self, request: Request) -> bool:
        """Tell whether nothing more is to be said after this."""
        reader = self._reader
        return not request.keep_alive or (reader.finished and not self._queue and not reader.refusal)

    def _check_pace(self, least_bytes: float) -> None:
        unsent_bytes = self._count_unsent()
        if self._unsent_bytes - unsent_bytes < least_bytes:
            self.abort()
        self._unsent_bytes = unsent_bytes
        self._since = self._server.now

    def _count_unsent(self) -> int:
        """Count what the client has not acknowledged: in our buffer, and in the kernel's, which is large."""
        in_kernel = bytearray(_INT.size)
        if sock := self._transport.get_extra_info("socket"):
            fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, in_kernel)
        return self._transport.get_write_buffer_size() + int(_INT.unpack(in_kernel)[0])

    def _end_with(self, response: Response) -> None:
        self._write(response.head, response.body, last=True)
        self._close()

    def _close(self) -> None:
        self._ending = True
        self._unsent_bytes = self._count_unsent()
        self._queue.clear()
        self._transport.close()
