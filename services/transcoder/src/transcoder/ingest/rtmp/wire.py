"""One publisher's socket, read only as fast as its bytes are wanted.

asyncio's streams read ahead, and forget what they hold once a write has failed. An encoder that has sent all
it had and left does not read our last answers, and still everything that it sent must arrive.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from transcoder.ingest.rtmp.message import RtmpError

_READ_BYTES = 1 << 16
_FAREWELL_S = 1.0


class Wire:
    """A connected socket.

    Args:
        connected: The socket, not blocking; closed by `close`.
        send_timeout_s: Time in which the peer must take what is sent.
    """

    def __init__(self, connected: socket.socket, send_timeout_s: float) -> None:
        self._socket = connected
        self._loop = asyncio.get_running_loop()
        self._send_timeout_s = send_timeout_s
        self.received_bytes = 0

    async def read(self) -> bytes:
        """Wait for bytes; none once the peer is gone, however it went."""
        await asyncio.sleep(0)  # a peer that is always ahead of us must not keep the loop for itself
        try:
            data = await self._loop.sock_recv(self._socket, _READ_BYTES)
        except OSError:
            return b""
        self.received_bytes += len(data)
        return data

    async def send(self, data: bytes) -> None:
        """Send all of it; that the peer is gone is seen when it is read from.

        Raises:
            RtmpError: The peer does not take it.
        """
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await self._loop.sock_sendall(self._socket, data)
        except TimeoutError as error:
            raise RtmpError(f"took no answer for {self._send_timeout_s:g} s") from error
        except OSError:
            pass

    async def wait_for_leave(self) -> None:
        """Say that no more comes, and let the peer leave first: a reset would overtake what was sent last."""
        with suppress(OSError):  # TimeoutError is one
            self._socket.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(_FAREWELL_S):
                while await self.read():
                    pass

    def close(self) -> None:
        self._socket.close()
