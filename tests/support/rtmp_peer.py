"""A publisher whose every byte a test decides: for what ffmpeg never does, and for exact counts."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from transcoder.ingest.rtmp.amf import AmfValue, decode_amf, encode_amf
from transcoder.ingest.rtmp.chunk_reader import FIRST_CHUNK_BYTES, ChunkReader
from transcoder.ingest.rtmp.chunk_writer import encode_control, encode_message
from transcoder.ingest.rtmp.handshake import HALF_BYTES
from transcoder.ingest.rtmp.message import Message, MessageType

CHUNK_BYTES = 60_000
AVC_HEADER = bytes.fromhex("1700000000 0142c00d ffe10000 00")
AAC_HEADER = bytes.fromhex("af00 1190")


def command(name: str, transaction: float, *values: object, stream: int = 0) -> Message:
    """A command message."""
    body = encode_amf(name, transaction, *values)
    return Message(kind=MessageType.COMMAND, stream=stream, body=body)


def picture(timestamp_ms: int, payload: bytes, *, key: bool = True) -> Message:
    """A frame of H.264; the payload need not be one."""
    head = bytes.fromhex("1701000000" if key else "2701000000")
    return Message(kind=MessageType.VIDEO, timestamp_ms=timestamp_ms, stream=1, body=head + payload)


def avc_header(timestamp_ms: int = 0, body: bytes = AVC_HEADER) -> Message:
    """A sequence header of H.264."""
    return Message(kind=MessageType.VIDEO, timestamp_ms=timestamp_ms, stream=1, body=body)


def sound(timestamp_ms: int, payload: bytes) -> Message:
    """A frame of AAC; the payload need not be one."""
    return Message(kind=MessageType.AUDIO, timestamp_ms=timestamp_ms, stream=1, body=b"\xaf\x01" + payload)


def read_tags(flv: bytes | bytearray) -> Iterator[tuple[int, int, bytes]]:
    """Yield kind, time in milliseconds and body of each tag of an FLV, and check how they are linked."""
    data = bytes(flv)
    assert data[:3] == b"FLV"
    assert data[9:13] == bytes(4)
    place = 13
    while place < len(data):
        size = int.from_bytes(data[place + 1 : place + 4])
        time_ms = int.from_bytes(data[place + 7 : place + 8] + data[place + 4 : place + 7])
        end = place + 11 + size
        assert data[place + 8 : place + 11] == bytes(3)
        assert int.from_bytes(data[end : end + 4]) == 11 + size
        yield data[place], time_ms, data[place + 11 : end]
        place = end + 4


class RtmpPeer:
    """One connection to an RTMP server; `rtmp_peer` opens it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._chunks = ChunkReader(1 << 20)
        self._inbox: deque[Message] = deque()
        self._chunk_bytes = FIRST_CHUNK_BYTES

    async def shake_hands(self) -> None:
        hello = bytes(8) + os.urandom(HALF_BYTES - 8)
        self._writer.write(b"\3" + hello)
        answer = await self._reader.readexactly(1 + 2 * HALF_BYTES)
        assert answer[0] == 3
        assert answer[1 + HALF_BYTES + 8 :] == hello[8:]
        self._writer.write(answer[1 : 1 + HALF_BYTES])

    async def connect(self, app: str = "live", **details: object) -> AmfValue:
        """Connect to an application; return what the server said of it."""
        await self.send(command("connect", 1, {"app": app, "tcUrl": f"rtmp://weir/{app}", **details}))
        self._writer.write(encode_control(MessageType.SET_CHUNK_SIZE, CHUNK_BYTES))
        self._chunk_bytes = CHUNK_BYTES
        return (await self.hear("_result"))[3]

    async def publish(self, name: str = "key-of-one") -> str:
        """Ask to publish; return the code of the answer."""
        await self.send(command("createStream", 2, None))
        stream = (await self.hear("_result"))[3]
        assert isinstance(stream, float)
        await self.send(command("publish", 3, None, name, "live", stream=int(stream)))
        return await self.hear_status()

    async def send(self, message: Message) -> None:
        self._writer.write(encode_message(message, self._chunk_bytes))
        await self._writer.drain()

    async def send_bytes(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def reset(self) -> None:
        """Leave without a word, as a host does that has lost its memory."""
        connected = self._writer.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def hear(self, name: str) -> list[AmfValue]:
        """Wait for a command; return all of its values."""
        async with asyncio.timeout(10):
            while True:
                message = await self.receive()
                values = decode_amf(message.body) if message.kind == MessageType.COMMAND else []
                if values and values[0] == name:
                    return values

    async def hear_status(self) -> str:
        """Wait for onStatus; return its code."""
        info = (await self.hear("onStatus"))[3]
        assert isinstance(info, dict)
        return str(info["code"])

    async def receive(self) -> Message:
        """Wait for a message.

        Raises:
            EOFError: The server has closed the connection.
        """
        while not self._inbox:
            data = await self._reader.read(1 << 16)
            if not data:
                raise EOFError
            self._inbox.extend(self._chunks.feed(data))
        return self._inbox.popleft()


@asynccontextmanager
async def rtmp_peer(port: int, buffer_bytes: int = 1 << 16) -> AsyncIterator[RtmpPeer]:
    """Open a connection for the time of a block, hands shaken.

    Args:
        port: The server's.
        buffer_bytes: How far it reads ahead, and so does the system for it.
    """
    with socket.socket() as unconnected:
        unconnected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        unconnected.setblocking(False)
        await asyncio.get_running_loop().sock_connect(unconnected, ("127.0.0.1", port))
        connected = socket.socket(fileno=unconnected.detach())
    reader, writer = await asyncio.open_connection(sock=connected, limit=buffer_bytes)
    peer = RtmpPeer(reader, writer)
    try:
        await peer.shake_hands()
        yield peer
    finally:
        writer.transport.abort()
