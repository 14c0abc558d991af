"""A small RTSP server, as a camera has one: it plays what ffmpeg packs into RTP, within the connection.

Its conversation is scripted, its packets are real. It may ask for a password, or send its clients elsewhere.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import imageio_ffmpeg

_SOURCES = (
    *("-re", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=30"),
    *("-re", "-f", "lavfi", "-i", "sine=sample_rate=48000"),
)
_CODECS = {
    "v": ("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "15"),
    "a": ("-c:a", "pcm_mulaw", "-ar", "8000"),  # as cameras have it
}
SDP_S = 15.0
_FLOWS_COUNT = 4  # of picture and sound each: RTP, RTCP


@dataclass(slots=True, kw_only=True)
class Manners:
    """How the server behaves, and what it was asked."""

    redirect_to: str = ""
    """Where it sends everybody who asks for a description."""
    user: str = ""
    """"name:password" that it asks for; empty: nothing."""
    requests: list[str] = field(default_factory=list)
    """First lines of requests."""


@asynccontextmanager
async def rtsp_server(
    folder: Path, manners: Manners, trust: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve for the time of a block, which gets the port; by TLS if there is a certificate."""
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        task.add_done_callback(lambda _: writer.close())  # also if it is cancelled before its first step
        tasks.add(task)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with AsyncExitStack() as stack:
            await _Visit(folder, manners, writer, stack).converse(reader)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=trust)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Visit:
    """One connection."""

    def __init__(
        self, folder: Path, manners: Manners, writer: asyncio.StreamWriter, stack: AsyncExitStack
    ) -> None:
        self._folder = folder
        self._manners = manners
        self._writer = writer
        self._stack = stack
        self._plays = False

    async def converse(self, reader: asyncio.StreamReader) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                first = await reader.readexactly(1)
                if first == b"$":  # a report of what arrived
                    await reader.readexactly(int.from_bytes((await reader.readexactly(3))[1:]))
                else:
                    await self._answer((first + await reader.readuntil(b"\r\n\r\n")).decode())

    async def _answer(self, head: str) -> None:
        method, url, _ = head.split(" ", 2)
        self._manners.requests.append(f"{method} {url}")
        match method:
            case "OPTIONS":
                self._send(head, "200 OK", {"Public": "DESCRIBE, SETUP, PLAY, TEARDOWN"})
            case "DESCRIBE" if self._manners.redirect_to:
                self._send(head, "302 Found", {"Location": self._manners.redirect_to})
            case "DESCRIBE" if not self._is_known(head):
                self._send(head, "401 Unauthorized", {"WWW-Authenticate": 'Basic realm="camera"'})
            case "DESCRIBE":
                self._send(head, "200 OK", {"Content-Type": "application/sdp"}, await self._describe())
            case "SETUP":
                self._send(head, "200 OK", {"Transport": _transport(head), "Session": "12345678"})
            case "PLAY":
                self._send(head, "200 OK", {"Session": "12345678", "Range": "npt=0.000-"})
                self._plays = True
            case _:
                self._send(head, "200 OK", {})

    def _is_known(self, head: str) -> bool:
        token = base64.b64encode(self._manners.user.encode()).decode()
        return not self._manners.user or f"Basic {token}" in head

    def _send(self, head: str, status: str, fields: Mapping[str, str], body: bytes = b"") -> None:
        (number,) = re.findall(r"(?im)^CSeq: (\d+)", head)
        lines = [f"RTSP/1.0 {status}", f"CSeq: {number}", *(f"{key}: {fields[key]}" for key in fields)]
        lines += [f"Content-Length: {len(body)}"] if body else []
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + body)

    async def _describe(self) -> bytes:
        """Let ffmpeg begin, and return what it says of its packets."""
        ports = [await self._open_flow(channel) for channel in range(_FLOWS_COUNT)]
        sdp = self._folder / "camera.sdp"
        sdp.unlink(missing_ok=True)
        outputs: list[str] = []
        for track, kind in enumerate(_CODECS):
            port, reports = ports[2 * track : 2 * track + 2]
            outputs += [*("-map", f"{track}:{kind}"), *_CODECS[kind], *("-f", "rtp")]
            outputs += [f"rtp://127.0.0.1:{port}?rtcpport={reports}"]
        process = await asyncio.create_subprocess_exec(
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", *_SOURCES),
            *("-sdp_file", str(sdp), *outputs),
            stdout=asyncio.subprocess.DEVNULL,
        )
        self._stack.push_async_callback(process.wait)
        self._stack.callback(process.kill)
        head, *tracks = (await self._read_sdp(sdp)).split("m=")
        controlled = (f"m={text.rstrip()}\r\na=control:track{n}\r\n" for n, text in enumerate(tracks))
        return (head + "".join(controlled)).encode()

    async def _read_sdp(self, path: Path) -> str:
        """Wait until ffmpeg has written what it says of all tracks."""
        async with asyncio.timeout(SDP_S):
            while True:
                text = path.read_text() if path.exists() else ""
                if text.count("m=") == len(_CODECS):
                    return text
                await asyncio.sleep(0.02)

    async def _open_flow(self, channel: int) -> int:
        """Take one flow of packets; they go out on a channel once somebody plays."""

        def take(packet: bytes) -> None:
            if self._plays and not self._writer.is_closing():
                self._writer.write(b"$" + bytes([channel]) + len(packet).to_bytes(2) + packet)

        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Flow(take), ("127.0.0.1", 0))
        self._stack.callback(transport.close)
        return int(transport.get_extra_info("sockname")[1])


class _Flow(asyncio.DatagramProtocol):
    """A flow of datagrams."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._take(data)


def _transport(head: str) -> str:
    (found,) = re.findall(r"(?im)^Transport: (.*?)\r", head)
    return str(found)
