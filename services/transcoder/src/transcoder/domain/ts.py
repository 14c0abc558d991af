"""Write MPEG-2 transport stream segments (ISO/IEC 13818-1; H.264 and AAC in it: RFC 8216, 3.2).

Chunks are packed at the same time by processes that know nothing of each other, yet timestamps and continuity
counters "MUST continue uninterrupted" over all segments (RFC 8216, 3). Timestamps are absolute, so they do.
Counters have four bits: each segment fills every media PID up to a multiple of 16 packets, by stuffing its
last PES, and so begins at counter 0. The tables come once per GOP, whose number is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from transcoder.domain.boxes import ByteRange
from transcoder.domain.ts_packets import (
    AUDIO_PID,
    AUDIO_STREAM_ID,
    BODY_BYTES,
    CLOCK_HZ,
    COUNTERS,
    VIDEO_PID,
    VIDEO_STREAM_ID,
    AccessUnit,
    clock_flags,
    pack_packets,
    pack_pes,
    packet_header,
    program_tables,
)

START_TICKS = 10 * CLOCK_HZ
"""Time of second 0: room for decode times and clock references that lie before it."""
CLOCK_LEAD_TICKS = CLOCK_HZ // 2
"""The program clock runs this much behind decoding: the time that a receiver may buffer."""
AUDIO_PES_TICKS = CLOCK_HZ // 10
"""Audio frames are gathered to about this much per PES: one by one, a fifth would be stuffing."""

ACCESS_UNIT_DELIMITER = b"\0\0\0\1\x09\xf0"


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
        self._tables = program_tables(has_video=has_video, has_audio=has_audio)
        self._table_count = table_count
        self._counters = {VIDEO_PID: 0, AUDIO_PID: 0}

    def write_tables(self) -> None:
        for pid, table in self._tables:
            body = (b"\0" + table).ljust(BODY_BYTES, b"\xff")  # the pointer field, then the table, then fill
            self.data += packet_header(pid, self._table_count, starts=True, adapts=False) + body
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
        pes = pack_pes(stream_id, unit)
        clock = unit.decode_ticks - CLOCK_LEAD_TICKS if pid == self._clock_pid else None
        first = clock_flags(clock, is_sync=unit.is_sync)
        count = -(-(len(pes) + len(first) + bool(first)) // BODY_BYTES)
        if is_last:
            count += -(self._counters[pid] + count) % COUNTERS
        self.data += pack_packets(pid, self._counters[pid], pes, first, count)
        self._counters[pid] += count
