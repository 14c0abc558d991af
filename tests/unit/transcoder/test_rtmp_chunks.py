"""Messages come out of RTMP's chunks as they went in, however they are cut, mixed and abbreviated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.samples import splits
from transcoder.ingest.rtmp.chunk_reader import CHUNK_STREAM_COUNT, FLOOD_COUNT, ChunkReader
from transcoder.ingest.rtmp.chunk_writer import encode_control, encode_message
from transcoder.ingest.rtmp.handshake import HALF_BYTES, NOISE_BYTES, Handshake
from transcoder.ingest.rtmp.message import Message, MessageType, RtmpError

LIMIT_BYTES = 10_000
STEPS_MS = (0, 20, 40, 0xFFFFFE, 0xFFFFFF, 0x1000000, 0xFFFFFFFF)
CHUNK_STREAMS = (2, 3, 63, 64, 319, 320, 65_599)


@dataclass
class Line:
    """What a sender has said last on one chunk stream."""

    timestamp_ms: int = 0
    step_ms: int | None = None
    message: Message | None = None


class Sender:
    """Cuts messages into chunks, and leaves out of their headers what the draw says may be left out."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._lines: dict[int, Line] = {}

    def cut(self, number: int, message: Message, chunk_bytes: int) -> list[bytes]:
        """Return the chunks of a message on the chunk stream `number`."""
        line = self._lines.setdefault(number, Line())
        form = self._draw(st.sampled_from(list(self._forms(line, message))))
        step_ms = message.timestamp_ms if form == 0 else (message.timestamp_ms - line.timestamp_ms) % 2**32
        self._lines[number] = Line(message.timestamp_ms, step_ms, message)
        extended = step_ms.to_bytes(4) if step_ms >= 0xFFFFFF else b""
        fields = min(step_ms, 0xFFFFFF).to_bytes(3) + len(message.body).to_bytes(3) + bytes([message.kind])
        fields = (fields + message.stream.to_bytes(4, "little"))[: (11, 7, 3, 0)[form]]
        places = range(0, max(1, len(message.body)), chunk_bytes)
        pieces = [message.body[place : place + chunk_bytes] for place in places]
        first = basic_header(form, number) + fields + extended + pieces[0]
        return [first, *(basic_header(3, number) + extended + piece for piece in pieces[1:])]

    def _forms(self, line: Line, message: Message) -> Iterator[int]:
        yield 0
        before = line.message
        if before and before.stream == message.stream:
            yield 1
            if (before.kind, len(before.body)) == (message.kind, len(message.body)):
                yield 2
                if (message.timestamp_ms - line.timestamp_ms) % 2**32 == line.step_ms:
                    yield 3


def basic_header(form: int, number: int) -> bytes:
    if number < 64:
        return bytes([form << 6 | number])
    if number < 320:
        return bytes([form << 6, number - 64])
    return bytes([form << 6 | 1]) + (number - 64).to_bytes(2, "little")


@st.composite
def talks(draw: st.DrawFn) -> tuple[list[Message], bytes]:
    """Messages in the order in which they are whole, and the bytes that carry them."""
    sender = Sender(draw)
    wire, messages, times = b"", [], dict.fromkeys(CHUNK_STREAMS, 0)
    for _ in range(draw(st.integers(1, 4))):
        chunk_bytes = draw(st.integers(64, 300))
        size = Message(kind=MessageType.SET_CHUNK_SIZE, body=chunk_bytes.to_bytes(4))
        wire += b"".join(sender.cut(5, size, 64))
        waiting: list[tuple[Message, list[bytes]]] = []
        for number in draw(st.lists(st.sampled_from(CHUNK_STREAMS), unique=True, max_size=4)):
            times[number] = (times[number] + draw(st.sampled_from(STEPS_MS))) % 2**32
            message = Message(
                kind=draw(st.sampled_from([8, 9, 18, 20])),
                timestamp_ms=times[number],
                stream=draw(st.sampled_from([0, 1, 0x01020304])),
                body=bytes([number % 251]) * draw(st.sampled_from([0, 1, 64, 299, 300, 301, 1000])),
            )
            waiting.append((message, sender.cut(number, message, chunk_bytes)))
        while waiting:
            message, chunks = draw(st.sampled_from(waiting))
            wire += chunks.pop(0)
            if not chunks:
                waiting.remove((message, chunks))
                messages.append(message)
    return messages, wire


def whole(form: int, number: int, kind: int, length: int, *, timestamp_ms: int = 0) -> bytes:
    """A header alone."""
    fields = timestamp_ms.to_bytes(3) + length.to_bytes(3) + bytes([kind]) + bytes(4)
    return basic_header(form, number) + fields[: (11, 7, 3, 0)[form]]


@given(talks(), st.data())
def test_messages_survive_any_cut_of_the_bytes(
    talk: tuple[list[Message], bytes], data: st.DataObject
) -> None:
    messages, wire = talk
    reader = ChunkReader(LIMIT_BYTES)
    found = [message for piece in data.draw(splits(wire)) for message in reader.feed(piece)]
    assert found == messages


@given(st.binary(max_size=400), st.data())
def test_any_bytes_give_messages_or_an_rtmp_error(noise: bytes, data: st.DataObject) -> None:
    def read(pieces: list[bytes]) -> tuple[list[Message], str]:
        reader = ChunkReader(LIMIT_BYTES)
        found = []
        try:
            for piece in pieces:
                for message in reader.feed(piece):
                    found.append(message)  # noqa: PERF402 - it keeps those before an error
        except RtmpError as error:
            return found, str(error)
        return found, ""

    assert read([noise]) == read(data.draw(splits(noise)))


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 600), st.integers(64, 200))
def test_what_we_write_is_read_back(timestamp_ms: int, length: int, chunk_bytes: int) -> None:
    reader = ChunkReader(LIMIT_BYTES)
    assert list(reader.feed(encode_control(MessageType.SET_CHUNK_SIZE, chunk_bytes))) == []
    message = Message(kind=20, timestamp_ms=timestamp_ms, stream=7, body=bytes(length))
    assert list(reader.feed(encode_message(message, chunk_bytes))) == [message]


def test_header_of_type_three_repeats_the_step() -> None:
    reader = ChunkReader(LIMIT_BYTES)
    wire = whole(0, 4, 8, 1, timestamp_ms=1000) + b"a"
    wire += whole(2, 4, 8, 1, timestamp_ms=23) + b"b" + whole(3, 4, 8, 1) + b"c" + whole(3, 4, 8, 1) + b"d"
    assert [message.timestamp_ms for message in reader.feed(wire)] == [1000, 1023, 1046, 1069]


def test_librtmp_may_begin_a_chunk_stream_with_type_one() -> None:
    (message,) = ChunkReader(LIMIT_BYTES).feed(whole(1, 2, 4, 2) + b"xy")
    assert (message.kind, message.stream, message.body) == (4, 0, b"xy")


def test_abort_drops_what_came_of_a_message() -> None:
    reader = ChunkReader(LIMIT_BYTES)
    assert list(reader.feed(whole(0, 6, 9, 200) + bytes(128))) == []
    abort = Message(kind=MessageType.ABORT, body=(6).to_bytes(4))
    assert list(reader.feed(encode_message(abort))) == []
    (message,) = reader.feed(whole(0, 6, 9, 3) + b"new")
    assert message.body == b"new"


class TestLimits:
    def test_announced_length(self) -> None:
        with pytest.raises(RtmpError, match="10001 bytes"):
            list(ChunkReader(LIMIT_BYTES).feed(whole(0, 3, 20, LIMIT_BYTES + 1)))

    def test_all_that_is_unfinished(self) -> None:
        reader = ChunkReader(1000)
        with pytest.raises(RtmpError, match="unfinished"):
            for number in range(3, 30):
                list(reader.feed(whole(0, number, 9, 1000) + bytes(128)))

    def test_what_was_whole_counts_no_more(self) -> None:
        reader = ChunkReader(1000)
        wire = encode_message(Message(kind=9, body=bytes(900)), 128)
        assert len([message for _ in range(10) for message in reader.feed(wire)]) == 10

    def test_chunk_streams(self) -> None:
        reader = ChunkReader(LIMIT_BYTES)
        with pytest.raises(RtmpError, match="chunk streams"):
            for number in range(100, 101 + CHUNK_STREAM_COUNT):
                list(reader.feed(whole(0, number, 9, 0)))

    def test_messages_at_once(self) -> None:
        reader = ChunkReader(LIMIT_BYTES)
        list(reader.feed(whole(0, 4, 9, 0)))
        assert len(list(reader.feed(whole(3, 4, 9, 0) * FLOOD_COUNT))) == FLOOD_COUNT
        with pytest.raises(RtmpError, match="flood"):
            list(reader.feed(whole(3, 4, 9, 0) * (FLOOD_COUNT + 1)))

    def test_messages_that_the_reader_itself_obeys(self) -> None:
        abort = whole(0, 2, MessageType.ABORT, 0)
        with pytest.raises(RtmpError, match="flood"):
            list(ChunkReader(LIMIT_BYTES).feed(abort + whole(3, 2, MessageType.ABORT, 0) * FLOOD_COUNT))

    @pytest.mark.parametrize("size", [0, 1, 63, 1 << 31, 0xFFFFFFFF])
    def test_chunk_sizes(self, size: int) -> None:
        with pytest.raises(RtmpError, match="chunks of"):
            list(ChunkReader(LIMIT_BYTES).feed(encode_control(MessageType.SET_CHUNK_SIZE, size)))

    def test_giant_chunk_size_costs_nothing(self) -> None:
        reader = ChunkReader(LIMIT_BYTES)
        list(reader.feed(encode_control(MessageType.SET_CHUNK_SIZE, (1 << 31) - 1)))
        (message,) = reader.feed(whole(0, 4, 9, 5000) + bytes(5000))
        assert len(message.body) == 5000

    @pytest.mark.parametrize("form", [2, 3])
    def test_header_that_refers_to_none(self, form: int) -> None:
        with pytest.raises(RtmpError, match="begins with a header of type"):
            list(ChunkReader(LIMIT_BYTES).feed(whole(form, 4, 9, 5) + bytes(5)))

    def test_message_within_a_message(self) -> None:
        reader = ChunkReader(LIMIT_BYTES)
        with pytest.raises(RtmpError, match="in the midst"):
            list(reader.feed((whole(0, 4, 9, 200) + bytes(128)) * 2))


class TestHandshake:
    @given(st.data())
    def test_any_cut_gives_the_same_answer(self, data: st.DataObject) -> None:
        hello, echo = b"\1\2\3\4" + bytes(4) + b"h" * NOISE_BYTES, b"e" * HALF_BYTES
        handshake, answer = Handshake(b"n" * NOISE_BYTES), b""
        for piece in data.draw(splits(b"\3" + hello + echo + b"rest")):
            answer += handshake.feed(piece)
        assert answer == b"\3" + bytes(8) + b"n" * NOISE_BYTES + b"\1\2\3\4" + bytes(4) + b"h" * NOISE_BYTES
        assert (handshake.is_done, handshake.rest) == (True, b"rest")

    @pytest.mark.parametrize("first", [b"GET / HTTP/1.1", b"\x06", b"\x16\x03\x01"])
    def test_other_protocols_are_known_by_their_first_byte(self, first: bytes) -> None:
        with pytest.raises(RtmpError, match="not with RTMP's version 3"):
            Handshake(bytes(NOISE_BYTES)).feed(first)
