"""From bytes to messages: RTMP's chunk stream (RTMP 5.3), which cuts messages up and mixes them.

Any split of the bytes gives the same messages. At most two messages' worth of bytes is held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from transcoder.ingest.rtmp.message import Message, MessageType, RtmpError

FIRST_CHUNK_BYTES = 128
"""RTMP 5.4.1: what both sides begin with."""
LEAST_CHUNK_BYTES = 64
"""Smaller chunks would only cost us time; RTMP 5.4.1 asks for 128 at least."""
CHUNK_STREAM_COUNT = 64
FLOOD_COUNT = 4096
"""Messages in bytes that are fed at once; more must be empty ones, which cost us more than their sender."""

_WHOLE, _SAME_STREAM, _STEP_ALONE, _NOTHING_NEW = range(4)
"""The four forms of a header (RTMP 5.3.1.2): each leaves out more than the one before."""
_HEADER_BYTES = (11, 7, 3, 0)
_EXTENDED = 0xFFFFFF


@dataclass(slots=True)
class _ChunkStream:
    """What the last header on a chunk stream said, and the message that comes on it."""

    kind: int = 0
    length: int = 0
    stream: int = 0
    timestamp_ms: int = 0
    step_ms: int = 0
    """What a header of type 3 adds to the timestamp (RTMP 5.3.1.2.4)."""
    extended: bool = False
    body: bytearray = field(default_factory=bytearray)
    begun: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """One chunk's header as it stands on the wire."""

    form: int
    chunk_stream: int
    fields: bytes
    """The message header without the extended timestamp."""
    extended_ms: int | None
    size: int
    """Bytes that all of it takes."""


class ChunkReader:
    """Puts the messages of one peer together.

    Args:
        message_bytes: Longest message that is taken; may be changed as one goes.
    """

    def __init__(self, message_bytes: int) -> None:
        self.message_bytes = message_bytes
        self._chunk_bytes = FIRST_CHUNK_BYTES
        self._chunk_streams: dict[int, _ChunkStream] = {}
        self._rest = b""
        self._current: _ChunkStream | None = None
        self._left_bytes = 0
        self._held_bytes = 0

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take bytes; yield the messages that are whole now, those about chunks themselves left out.

        All of them must be taken before more is fed.

        Raises:
            RtmpError: They are no chunks, or exceed a limit.
        """
        data = self._rest + data
        position = 0
        count = 0
        while True:
            if not self._current:
                header = self._parse_header(data, position)
                if not header:
                    break
                position += header.size
                self._current = self._begin(header)
            position += self._take_body(self._current, data, position)
            if self._left_bytes:
                break
            message = self._end_chunk(self._current)
            self._current = None
            count += 1  # of chunks, some of which are obeyed here: a read of honest ones has a thousand
            if count > FLOOD_COUNT:
                raise RtmpError("a flood of empty messages")
            if message:
                yield message
        self._rest = data[position:]

    def _parse_header(self, data: bytes, position: int) -> _Header | None:
        """Read a chunk's header; None while it is not whole."""
        basic = _parse_basic_header(data, position)
        if not basic:
            return None
        form, chunk_stream, basic_size = basic
        begin = position + basic_size
        end = begin + _HEADER_BYTES[form]
        fields = data[begin:end]
        extended_size = 4 if len(data) >= end and self._is_extended(form, chunk_stream, fields) else 0
        if len(data) < end + extended_size:
            return None
        return _Header(
            form=form,
            chunk_stream=chunk_stream,
            fields=fields,
            extended_ms=int.from_bytes(data[end : end + 4]) if extended_size else None,
            size=end + extended_size - position,
        )

    def _is_extended(self, form: int, chunk_stream: int, fields: bytes) -> bool:
        if form != _NOTHING_NEW:
            return int.from_bytes(fields[:3]) == _EXTENDED
        known = self._chunk_streams.get(chunk_stream)
        return known is not None and known.extended  # RTMP 5.3.1.3: then those of type 3 have it too

    def _begin(self, header: _Header) -> _ChunkStream:
        """Enter a chunk's header, and see how much of its message it brings."""
        stream = self._chunk_stream(header)
        if not stream.begun:
            _enter(stream, header)
            stream.begun = True
            if stream.length > self.message_bytes:
                raise RtmpError(f"a message of {stream.length} bytes; {self.message_bytes} are taken at most")
        elif header.form != _NOTHING_NEW:
            raise RtmpError("a message begins in the midst of another one on the same chunk stream")
        self._left_bytes = min(self._chunk_bytes, stream.length - len(stream.body))
        return stream

    def _chunk_stream(self, header: _Header) -> _ChunkStream:
        known = self._chunk_streams.get(header.chunk_stream)
        if known:
            return known
        # RTMP 5.3.1.2.1 wants type 0 first; librtmp, and so OBS, may begin with type 1.
        if header.form > _SAME_STREAM:
            raise RtmpError(f"chunk stream {header.chunk_stream} begins with a header of type {header.form}")
        if len(self._chunk_streams) >= CHUNK_STREAM_COUNT:
            raise RtmpError(f"more than {CHUNK_STREAM_COUNT} chunk streams")
        return self._chunk_streams.setdefault(header.chunk_stream, _ChunkStream())

    def _take_body(self, stream: _ChunkStream, data: bytes, position: int) -> int:
        piece = data[position : position + self._left_bytes]
        stream.body += piece
        self._left_bytes -= len(piece)
        self._held_bytes += len(piece)
        if self._held_bytes > 2 * self.message_bytes:
            raise RtmpError(f"unfinished messages hold more than {2 * self.message_bytes} bytes")
        return len(piece)

    def _end_chunk(self, stream: _ChunkStream) -> Message | None:
        """Take a chunk for whole; return its message if that is whole, too, and not for ourselves."""
        if len(stream.body) < stream.length:
            return None
        message = Message(
            kind=stream.kind,
            timestamp_ms=stream.timestamp_ms,
            stream=stream.stream,
            body=bytes(stream.body),
        )
        self._drop_body(stream)
        return None if self._obey(message) else message

    def _obey(self, message: Message) -> bool:
        """Do what a message says about the chunks behind it; False if it says nothing of them."""
        value = int.from_bytes(message.body[:4])
        if message.kind == MessageType.SET_CHUNK_SIZE:
            self._chunk_bytes = _check_chunk_size(value)
        elif message.kind == MessageType.ABORT:
            if aborted := self._chunk_streams.get(value):
                self._drop_body(aborted)
        else:
            return False
        return True

    def _drop_body(self, stream: _ChunkStream) -> None:
        self._held_bytes -= len(stream.body)
        stream.body = bytearray()
        stream.begun = False


def _parse_basic_header(data: bytes, position: int) -> tuple[int, int, int] | None:
    """Read a header's type, its chunk stream, and how long that took (RTMP 5.3.1.1); None if not whole."""
    if len(data) <= position:
        return None
    form, number = data[position] >> 6, data[position] & 0x3F
    if number > 1:
        return form, number, 1
    size = number + 2
    if len(data) < position + size:
        return None
    return form, 64 + int.from_bytes(data[position + 1 : position + size], "little"), size


def _enter(stream: _ChunkStream, header: _Header) -> None:
    """Take over what a header says at the beginning of a message (RTMP 5.3.1.2)."""
    if header.form != _NOTHING_NEW:
        field_ms = int.from_bytes(header.fields[:3])
        stream.extended = field_ms == _EXTENDED
        stream.step_ms = field_ms
    if header.extended_ms is not None:
        stream.step_ms = header.extended_ms
    if header.form <= _SAME_STREAM:
        stream.length = int.from_bytes(header.fields[3:6])
        stream.kind = header.fields[6]
    if header.form == _WHOLE:
        stream.stream = int.from_bytes(header.fields[7:11], "little")
        stream.timestamp_ms = stream.step_ms
    else:
        stream.timestamp_ms = (stream.timestamp_ms + stream.step_ms) & 0xFFFFFFFF


def _check_chunk_size(size: int) -> int:
    if not LEAST_CHUNK_BYTES <= size < 1 << 31:
        raise RtmpError(f"chunks of {size} bytes; {LEAST_CHUNK_BYTES} to {(1 << 31) - 1} are taken")
    return size
