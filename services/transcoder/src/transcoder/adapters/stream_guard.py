"""A relay between one ffmpeg and the server of a URL: ffmpeg reaches nobody but whom we have judged.

The host is looked up once, and connected to at the very address that was judged; a name that means another
address a moment later is of no use to anybody. TLS ends here, so that an RTSP server can be read along with.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from chassis.errors import Unavailable, WeirError
from chassis.lifecycle import end_tasks
from transcoder.adapters.local_port import local_port
from transcoder.adapters.public_hosts import resolve_public
from transcoder.domain.pull_url import PullUrl
from transcoder.domain.rtsp_replies import RtspReplies

_PIECE_BYTES = 64 * 1024
_CONNECT_S = 10.0
_CONNECTIONS_COUNT = 4  # ffmpeg needs one, and another when it has to show who it is


class StreamGuard:
    """Make it with `stream_guard`."""

    def __init__(self, url: PullUrl, addresses: Sequence[str], trust: ssl.SSLContext | None) -> None:
        self.port = 0
        self.failure: WeirError | None = None
        """Why the server cannot be had, if it was seen here: ffmpeg only sees a connection that ends."""
        self._url = url
        self._addresses = addresses
        self._trust = trust

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of ffmpeg's."""
        try:
            await self._forward(reader, writer)
        except WeirError as error:
            self.failure = error

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await self._connect()
        sending = asyncio.create_task(_copy(reader, there_writer))
        try:
            await _copy(there_reader, writer, RtspReplies() if "rtsp" in self._url.scheme else None)
        finally:
            there_writer.close()  # first: who waits for the task may be told to stop waiting
            await end_tasks(sending)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        name = self._url.host if self._trust else None
        why: Exception = TimeoutError("no answer")
        for address in self._addresses:
            try:
                async with asyncio.timeout(_CONNECT_S):
                    return await asyncio.open_connection(
                        address, self._url.port, ssl=self._trust, server_hostname=name
                    )
            except (OSError, TimeoutError) as error:  # what TLS refuses is an OSError as well
                why = error
        raise Unavailable(f"the source cannot be reached: {_reason(why)}", reason="SOURCE_AWAY") from why


@asynccontextmanager
async def stream_guard(
    url: PullUrl, *, allow_private: bool, trust: ssl.SSLContext | None = None
) -> AsyncIterator[StreamGuard]:
    """Relay a port of this machine to a URL's server for the time of a block.

    Args:
        url: Of RTMP or RTSP, in the clear or by TLS.
        allow_private: Also to addresses inside our networks.
        trust: By whom servers' certificates must be signed; None: those whom the system trusts.

    Raises:
        InvalidArgument: PRIVATE_ADDRESS.
        Unavailable: The host is not found.
    """
    addresses = await resolve_public(url.host, url.port, allow_private=allow_private)
    if url.is_encrypted and trust is None:
        trust = ssl.create_default_context()
    guard = StreamGuard(url, addresses, trust if url.is_encrypted else None)
    async with local_port(
        guard.serve, head_bytes=_PIECE_BYTES, connections_count=_CONNECTIONS_COUNT
    ) as guard.port:
        yield guard


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, replies: RtspReplies | None = None
) -> None:
    with suppress(OSError):
        while data := await reader.read(_PIECE_BYTES):
            if replies:
                replies.feed(data)
            writer.write(data)
            await writer.drain()


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno).lower()
    return str(error)
