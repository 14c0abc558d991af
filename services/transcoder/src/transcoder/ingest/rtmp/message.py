"""Messages of RTMP, and the two ways in which a publisher is turned away."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class MessageType(IntEnum):
    """The types that mean something to a server that takes publishers (RTMP 5.4, 7.1)."""

    SET_CHUNK_SIZE = 1
    ABORT = 2
    ACKNOWLEDGEMENT = 3
    USER_CONTROL = 4
    WINDOW_SIZE = 5
    PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    DATA_AMF3 = 15
    COMMAND_AMF3 = 17
    DATA = 18
    COMMAND = 20


MEDIA = frozenset({MessageType.AUDIO, MessageType.VIDEO, MessageType.DATA, MessageType.DATA_AMF3})


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One whole message."""

    kind: int
    """A MessageType, or a type that we do not know."""
    timestamp_ms: int = 0
    """By the sender's clock, modulo 2^32."""
    stream: int = 0
    """The message stream; 0 is the connection itself."""
    body: bytes


class RtmpError(Exception):
    """The peer does not keep to RTMP, or is over a limit: what it sends makes no sense any more."""


class Refused(Exception):
    """The peer is understood, and turned away with a status that its operator gets to see.

    Args:
        code: What programs read, such as NetStream.Publish.Denied.
        description: What people read.
    """

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
