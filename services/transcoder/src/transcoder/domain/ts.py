"""Write MPEG-2 transport stream segments (ISO/IEC 13818-1; H.264 and AAC in it: RFC 8216, 3.2).

Chunks are packed at the same time by processes that know nothing of each other, yet timestamps and continuity
counters "MUST continue uninterrupted" over all segments (RFC 8216, 3). Timestamps are absolute, so they do.
Counters have four bits: each segment fills every media PID up to a multiple of 16 packets, by stuffing its
last PES, and so begins at counter 0. The tables come once per GOP, whose number is known.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from transcoder.domain.boxes import ByteRange

PACKET_BYTES = 188
BODY_BYTES = PACKET_BYTES - 4
COUNTERS = 16
"""Values of the continuity counter."""

PAT_PID = 0x0000
PMT_PID = 0x1000
VIDEO_PID = 0x0100
AUDIO_PID = 0x0101

H264_STREAM_TYPE = 0x1B
ADTS_STREAM_TYPE = 0x0F
VIDEO_STREAM_ID = 0xE0
AUDIO_STREAM_ID = 0xC0

CLOCK_HZ = 90_000
START_TICKS = 10 * CLOCK_HZ
"""Time of second 0: room for decode times and clock references that lie before it."""
CLOCK_LEAD_TICKS = CLOCK_HZ // 2
"""The program clock runs this much behind decoding: the time that a receiver may buffer."""
TICKS_WRAP = 1 << 33
STAMP_BYTES = 5
PES_LENGTH_LIMIT = 0xFFFF
AUDIO_PES_TICKS = CLOCK_HZ // 10
"""Audio frames are gathered to about this much per PES: one by one, a fifth would be stuffing."""

ACCESS_UNIT_DELIMITER = b"\0\0\0\1\x09\xf0"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessUnit:
    """One frame as it goes into a PES: H.264 with start codes, or AAC with its ADTS header."""

    presentation_ticks: int
    """90 kHz, START_TICKS included."""
    decode_ticks: int
    is_sync: bool
    data: bytes


def to_ticks(time: int, timescale: int) -> int:
    """Convert a time to 90 kHz, to the nearest tick, and shift it by START_TICKS."""
    return START_TICKS + (2 * time * CLOCK_HZ + timescale) // (2 * timescale)


def pack_ts_segment(
    video: Sequence[AccessUnit], audio: Sequence[AccessUnit], *, has_audio: bool, first_gop: int
) -> tuple[bytes, tuple[ByteRange, ...]]:
    """Pack one segment; tell where its I-frames are.

    Args:
        video: In decode order, starting with an I-frame; empty for audio alone.
        audio: ADTS frames of the same time; may be empty.
        has_audio: Whether the rendition has audio, in this segment or in others.
        first_gop: Number of GOPs in all segments before this one (of segments, for audio alone).
    """
    writer = _Writer(has_video=bool(video), has_audio=has_audio, table_count=first_gop)
    waiting = list(_gather(audio))[::-1]
    if not video:
        writer.write_tables()
    for unit in video:
        writer.write_video(unit, is_last=unit is video[-1])
        while waiting and waiting[-1].decode_ticks <= unit.presentation_ticks:
            writer.write_audio(waiting.pop(), is_last=not waiting)
    while waiting:
        writer.write_audio(waiting.pop(), is_last=not waiting)
    return bytes(writer.data), tuple(writer.intra_ranges)


def to_annex_b(sample: bytes, nal_length_bytes: int, parameter_sets: Iterable[bytes]) -> bytes:
    """Turn a length-prefixed H.264 sample into a byte stream (ISO/IEC 14496-10, annex B).

    An access unit delimiter leads, as MPEG-TS asks (ISO/IEC 13818-1, 2.14.1); parameter sets follow, if any.
    """
    units = [ACCESS_UNIT_DELIMITER, *(b"\0\0\0\1" + unit for unit in parameter_sets)]
    place = 0
    while place < len(sample):
        start = place + nal_length_bytes
        place = start + int.from_bytes(sample[place:start], "big")
        units += (b"\0\0\0\1", sample[start:place])
    return b"".join(units)


def _gather(audio: Sequence[AccessUnit]) -> Iterator[AccessUnit]:
    """Join audio frames into PES payloads of about AUDIO_PES_TICKS."""
    group: list[AccessUnit] = []
    for unit in audio:
        if group and unit.decode_ticks - group[0].decode_ticks >= AUDIO_PES_TICKS:
            yield _join(group)
            group = []
        group.append(unit)
    if group:
        yield _join(group)


def _join(group: list[AccessUnit]) -> AccessUnit:
    return AccessUnit(
        presentation_ticks=group[0].presentation_ticks,
        decode_ticks=group[0].decode_ticks,
        is_sync=True,
        data=b"".join(unit.data for unit in group),
    )


class _Writer:
    """The packets of one segment under way."""

    def __init__(self, *, has_video: bool, has_audio: bool, table_count: int) -> None:
        self.data = bytearray()
        self.intra_ranges: list[ByteRange] = []
        self._clock_pid = VIDEO_PID if has_video else AUDIO_PID
        self._tables = _program_tables(has_video=has_video, has_audio=has_audio)
        self._table_count = table_count
        self._counters = {VIDEO_PID: 0, AUDIO_PID: 0}

    def write_tables(self) -> None:
        for pid, table in self._tables:
            body = (b"\0" + table).ljust(BODY_BYTES, b"\xff")  # the pointer field, then the table, then fill
            self.data += _packet_header(pid, self._table_count, starts=True, adapts=False) + body
        self._table_count += 1

    def write_video(self, unit: AccessUnit, *, is_last: bool) -> None:
        start = len(self.data)
        if unit.is_sync:
            self.write_tables()
        self._write_pes(VIDEO_PID, VIDEO_STREAM_ID, unit, is_last=is_last)
        if unit.is_sync:
            self.intra_ranges.append(ByteRange(start, len(self.data) - start))

    def write_audio(self, unit: AccessUnit, *, is_last: bool) -> None:
        self._write_pes(AUDIO_PID, AUDIO_STREAM_ID, unit, is_last=is_last)

    def _write_pes(self, pid: int, stream_id: int, unit: AccessUnit, *, is_last: bool) -> None:
        pes = _pes_header(stream_id, unit) + unit.data
        clock = unit.decode_ticks - CLOCK_LEAD_TICKS if pid == self._clock_pid else None
        first = _adaptation_flags(clock, is_sync=unit.is_sync)
        count = -(-(len(pes) + len(first) + bool(first)) // BODY_BYTES)
        if is_last:
            count += -(self._counters[pid] + count) % COUNTERS
        self.data += _packets(pid, self._counters[pid], pes, first, count)
        self._counters[pid] += count


def _packets(pid: int, counter: int, pes: bytes, adaptation: bytes, count: int) -> bytes:
    """Spread a PES over `count` packets (2.4.3.2), stuffing where they are more than it fills.

    Args:
        pid: Of all the packets.
        counter: The first one's continuity counter.
        pes: At least `count` bytes.
        adaptation: Content of the first packet's adaptation field; empty for none.
        count: At least as many packets as the PES needs.
    """
    packets: list[bytes] = []
    place = 0
    for index in range(count):
        content = adaptation if index == 0 else b""
        room = BODY_BYTES - len(content) - bool(content)
        size = min(room, len(pes) - place - (count - index - 1))  # leave a byte for each packet to come
        field = _adaptation_field(content, room - size)
        packets += (
            _packet_header(pid, counter + index, starts=index == 0, adapts=bool(field)),
            field,
            pes[place : place + size],
        )
        place += size
    return b"".join(packets)


def _packet_header(pid: int, counter: int, *, starts: bool, adapts: bool) -> bytes:
    """Sync byte, unit start and PID; whether an adaptation field precedes the payload; and the counter."""
    return struct.pack(">BHB", 0x47, starts << 14 | pid, (0x30 if adapts else 0x10) | counter % COUNTERS)


def _adaptation_field(content: bytes, stuffing: int) -> bytes:
    """Make an adaptation field that takes `stuffing` bytes more than its content needs (2.4.3.4)."""
    if not content and stuffing > 1:
        content, stuffing = b"\0", stuffing - 2  # no flags: the field's length and this byte are stuffing too
    elif not content:
        return b"\0" * stuffing  # a field of length 0 fills a single byte
    return bytes((len(content) + stuffing,)) + content + b"\xff" * stuffing


def _adaptation_flags(clock_ticks: int | None, *, is_sync: bool) -> bytes:
    """Say that a decoder may start here (random_access_indicator), and what time it is (PCR, 2.4.3.5)."""
    if clock_ticks is None:
        return b""
    base = clock_ticks % TICKS_WRAP
    return struct.pack(">BIH", 0x50 if is_sync else 0x10, base >> 1, (base & 1) << 15 | 0x7E00)


def _pes_header(stream_id: int, unit: AccessUnit) -> bytes:
    """Start code, length (0, unbounded, is allowed for video), PTS, and DTS where it differs (2.4.3.7)."""
    if unit.decode_ticks == unit.presentation_ticks:
        stamps = _stamp(0x20, unit.presentation_ticks)
    else:
        stamps = _stamp(0x30, unit.presentation_ticks) + _stamp(0x10, unit.decode_ticks)
    length = 3 + len(stamps) + len(unit.data)
    if stream_id == VIDEO_STREAM_ID or length > PES_LENGTH_LIMIT:
        length = 0
    flags = 0xC0 if len(stamps) > STAMP_BYTES else 0x80
    return struct.pack(">3sBHBBB", b"\0\0\1", stream_id, length, 0x84, flags, len(stamps)) + stamps


def _stamp(mark: int, ticks: int) -> bytes:
    """Write 33 bits of time as 3, 15 and 15 bits with a marker bit behind each."""
    ticks %= TICKS_WRAP
    return struct.pack(
        ">BHH", mark | ticks >> 29 & 0x0E | 1, ticks >> 14 & 0xFFFE | 1, ticks << 1 & 0xFFFE | 1
    )


@cache
def _program_tables(*, has_video: bool, has_audio: bool) -> tuple[tuple[int, bytes], ...]:
    """Make the PAT (2.4.4.4) and the PMT (2.4.4.9) of one program with one or two streams."""
    pat = _section(0x00, 1, struct.pack(">HH", 1, 0xE000 | PMT_PID))
    streams = [(H264_STREAM_TYPE, VIDEO_PID)] * has_video + [(ADTS_STREAM_TYPE, AUDIO_PID)] * has_audio
    clock_pid = streams[0][1]
    pmt = struct.pack(">HH", 0xE000 | clock_pid, 0xF000)
    pmt += b"".join(struct.pack(">BHH", kind, 0xE000 | pid, 0xF000) for kind, pid in streams)
    return (PAT_PID, pat), (PMT_PID, _section(0x02, 1, pmt))


def _section(table_id: int, number: int, body: bytes) -> bytes:
    """Wrap a table's body: id, length, number, version 0 and current, first and last section; CRC."""
    head = struct.pack(">BHHBBB", table_id, 0xB000 | len(body) + 9, number, 0xC1, 0, 0)
    return head + body + struct.pack(">I", _crc32(head + body))


def _crc32(data: bytes) -> int:
    """The CRC of annex A: polynomial 0x04C11DB7, not reflected, as zlib's is."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc
