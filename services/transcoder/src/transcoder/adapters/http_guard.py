"""A proxy between one ffmpeg and the web: what a playlist names is held to the rules for its own URL.

A playlist may name any address, and so may a redirect. ffmpeg asks the proxy for each of them, which looks
the host up, refuses it if it lies inside our networks, and connects to the very address that it has judged.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from chassis.errors import WeirError
from chassis.lifecycle import end_tasks
from chassis.telemetry import log
from transcoder.adapters.local_port import local_port
from transcoder.adapters.public_hosts import resolve_public

_HEAD_BYTES = 64 * 1024
_PIECE_BYTES = 64 * 1024
_HEAD_S = 10.0
_CONNECTIONS_COUNT = 64  # ffmpeg keeps one or two for each rendition that it reads
_REFUSED = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@asynccontextmanager
async def http_guard(*, allow_private: bool) -> AsyncIterator[str]:
    """Run a proxy on a port of this machine for the time of a block, which gets its URL."""
    guard = _Guard(allow_private=allow_private)
    async with local_port(guard.serve, head_bytes=_HEAD_BYTES, connections_count=_CONNECTIONS_COUNT) as port:
        yield f"http://127.0.0.1:{port}"


class _Guard:
    """The connections of one ffmpeg."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        try:
            with suppress(OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
                await self._forward(reader, writer)
        except WeirError as error:
            log.warning("pulled source refused", error=error.message)
            with suppress(OSError):
                writer.write(_REFUSED)
                await writer.drain()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_HEAD_S):
            head = await reader.readuntil(b"\r\n\r\n")
            line, _, headers = head.partition(b"\r\n")
            method, target, version = line.decode("latin-1").split(" ")
            is_tunnel = method == "CONNECT"
            parts = urlsplit(f"//{target}" if is_tunnel else target)
            there_reader, there_writer = await self._connect(parts.hostname or "", parts.port or 80)
        try:
            if is_tunnel:
                writer.write(_ESTABLISHED)
            else:
                path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
                there_writer.write(f"{method} {path} {version}\r\n".encode("latin-1") + _closing(headers))
            await _relay((reader, there_writer), (there_reader, writer))
        finally:
            there_writer.close()

    async def _connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        addresses = await resolve_public(host, port, allow_private=self._allow_private)
        return await asyncio.open_connection(addresses[0], port)


def _closing(headers: bytes) -> bytes:
    """Ask for one answer per connection: the next request may be for another host."""
    dropped = (b"connection:", b"proxy-")
    lines = headers.split(b"\r\n")
    kept = [line for line in lines if line and not line.lower().startswith(dropped)]
    return b"\r\n".join([*kept, b"connection: close", b"", b""])


async def _relay(*ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    """Copy both ways until the answer has ended."""
    there, back = (asyncio.create_task(_copy(*way)) for way in ways)
    try:
        await back
    finally:
        await end_tasks(there, back)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_PIECE_BYTES):
            writer.write(data)
            await writer.drain()
