"""Packets, PES and tables of MPEG-2 transport streams (section numbers: ISO/IEC 13818-1:2023)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache

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
TICKS_WRAP = 1 << 33
STAMP_BYTES = 5
PES_LENGTH_LIMIT = 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessUnit:
    """What goes into a PES: one frame of H.264 with start codes, or frames of AAC with ADTS headers."""

    presentation_ticks: int
    """90 kHz."""
    decode_ticks: int
    is_sync: bool
    data: bytes


def pack_packets(pid: int, counter: int, pes: bytes, adaptation: bytes, count: int) -> bytes:
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
            packet_header(pid, counter + index, starts=index == 0, adapts=bool(field)),
            field,
            pes[place : place + size],
        )
        place += size
    return b"".join(packets)


def packet_header(pid: int, counter: int, *, starts: bool, adapts: bool) -> bytes:
    """Sync byte, unit start and PID; whether an adaptation field precedes the payload; and the counter."""
    return struct.pack(">BHB", 0x47, starts << 14 | pid, (0x30 if adapts else 0x10) | counter % COUNTERS)


def _adaptation_field(content: bytes, stuffing: int) -> bytes:
    """Make an adaptation field that takes `stuffing` bytes more than its content needs (2.4.3.4)."""
    if not content and stuffing > 1:
        content, stuffing = b"\0", stuffing - 2  # no flags: the field's length and this byte are stuffing too
    elif not content:
        return b"\0" * stuffing  # a field of length 0 fills a single byte
    return bytes((len(content) + stuffing,)) + content + b"\xff" * stuffing


def clock_flags(clock_ticks: int | None, *, is_sync: bool) -> bytes:
    """Say that a decoder may start here (random_access_indicator), and what time it is (PCR, 2.4.3.5)."""
    if clock_ticks is None:
        return b""
    base = clock_ticks % TICKS_WRAP
    return struct.pack(">BIH", 0x50 if is_sync else 0x10, base >> 1, (base & 1) << 15 | 0x7E00)


def pack_pes(stream_id: int, unit: AccessUnit) -> bytes:
    """Make a PES (2.4.3.7): PTS, and DTS where it differs; for video the length may be 0, unbounded."""
    if unit.decode_ticks == unit.presentation_ticks:
        stamps = _stamp(0x20, unit.presentation_ticks)
    else:
        stamps = _stamp(0x30, unit.presentation_ticks) + _stamp(0x10, unit.decode_ticks)
    length = 3 + len(stamps) + len(unit.data)
    if stream_id == VIDEO_STREAM_ID or length > PES_LENGTH_LIMIT:
        length = 0
    flags = 0xC0 if len(stamps) > STAMP_BYTES else 0x80
    head = struct.pack(">3sBHBBB", b"\0\0\1", stream_id, length, 0x84, flags, len(stamps))
    return head + stamps + unit.data


def _stamp(mark: int, ticks: int) -> bytes:
    """Write 33 bits of time as 3, 15 and 15 bits with a marker bit behind each."""
    ticks %= TICKS_WRAP
    return struct.pack(
        ">BHH", mark | ticks >> 29 & 0x0E | 1, ticks >> 14 & 0xFFFE | 1, ticks << 1 & 0xFFFE | 1
    )


@cache
def program_tables(*, has_video: bool, has_audio: bool) -> tuple[tuple[int, bytes], ...]:
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
