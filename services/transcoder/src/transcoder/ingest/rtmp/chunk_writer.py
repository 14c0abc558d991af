"""From messages to bytes: what a server says is short, so each message goes out with a whole header."""

from __future__ import annotations

import struct

from transcoder.ingest.rtmp.message import Message, MessageType

CHUNK_BYTES = 4096
"""Size of the chunks that we send, once we have said so."""

_EXTENDED = 0xFFFFFF
_CONTROL_CHUNK_STREAM, _COMMAND_CHUNK_STREAM = 2, 3


def encode_message(message: Message, chunk_bytes: int = CHUNK_BYTES) -> bytes:
    """Cut a message into chunks of at most `chunk_bytes`, on the chunk stream that is for its kind."""
    # RTMP 5.3.1.1: chunk stream 2 is for what RTMP itself says
    chunk_stream = _CONTROL_CHUNK_STREAM if message.kind < MessageType.AUDIO else _COMMAND_CHUNK_STREAM
    extended = struct.pack(">I", message.timestamp_ms) if message.timestamp_ms >= _EXTENDED else b""
    head = struct.pack(">I", min(message.timestamp_ms, _EXTENDED))[1:]
    head += struct.pack(">I", len(message.body))[1:] + bytes([message.kind])
    head += struct.pack("<I", message.stream)
    pieces = [message.body[place : place + chunk_bytes] for place in range(0, len(message.body), chunk_bytes)]
    first = bytes([chunk_stream]) + head + extended
    return first + (bytes([0xC0 | chunk_stream]) + extended).join(pieces)


def encode_control(kind: MessageType, value: int) -> bytes:
    """Make a message of RTMP itself that carries one number (RTMP 5.4)."""
    extra = b"\2" if kind == MessageType.PEER_BANDWIDTH else b""  # 2: dynamic (RTMP 5.4.5)
    return encode_message(Message(kind=kind, body=struct.pack(">I", value) + extra))
