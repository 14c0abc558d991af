"""Put samples into movie fragments, with our borders and times (ISO/IEC 14496-12:2022, 8.8)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise

from transcoder.domain.boxes import HEADER, ByteRange, pack_box, pack_full_box
from transcoder.domain.fragment_layout import (
    NON_SYNC_SAMPLE,
    SYNC_SAMPLE,
    TFHD_BASE_IS_MOOF,
    TFHD_DURATION,
    TFHD_FLAGS,
    TRUN_COLUMNS,
    TRUN_DATA_OFFSET,
    TRUN_FIRST_FLAGS,
    TRUN_FLAGS,
    Entry,
    row_layout,
)
from transcoder.domain.fragments import Sample


def pack_gops(
    samples: Sequence[Sample], *, track_id: int, first_sequence_number: int
) -> tuple[bytes, tuple[ByteRange, ...]]:
    """Put samples into one fragment per GOP; tell where each one's moof and I-frame are."""
    starts = [index for index, sample in enumerate(samples) if sample.is_sync] + [len(samples)]
    data = bytearray()
    ranges: list[ByteRange] = []
    for number, (start, end) in enumerate(pairwise(starts), start=first_sequence_number):
        gop = samples[start:end]
        fragment = pack_fragment(gop, track_id=track_id, sequence_number=number)
        ranges.append(ByteRange(len(data), len(fragment) - sum(len(sample.data) for sample in gop[1:])))
        data += fragment
    return bytes(data), tuple(ranges)


def pack_fragment(samples: Sequence[Sample], *, track_id: int, sequence_number: int) -> bytes:
    """Put samples that follow each other without a gap into one moof and its mdat.

    The first sample's bytes stand first in the mdat: a player that wants the I-frame alone fetches the range
    from the start of the moof to the end of that sample.

    Args:
        samples: At least one.
        track_id: As in the init segment.
        sequence_number: From 1, grows from fragment to fragment of the track (8.8.5).
    """
    entries = [_entry_of(sample) for sample in samples]
    default = Entry(entries[-1].duration, 0, entries[-1].flags, 0)
    mfhd = pack_full_box("mfhd", 0, 0, struct.pack(">I", sequence_number))
    tfhd_words = struct.pack(">3I", track_id, default.duration, default.flags)
    tfhd = pack_full_box("tfhd", 0, TFHD_BASE_IS_MOOF | TFHD_DURATION | TFHD_FLAGS, tfhd_words)
    tfdt = pack_full_box("tfdt", 1, 0, struct.pack(">Q", samples[0].decode_time))

    def pack_moof(data_offset: int) -> bytes:
        trun = _pack_trun(entries, default, data_offset)
        return pack_box("moof", mfhd, pack_box("traf", tfhd, tfdt, trun))

    data_offset = len(pack_moof(0)) + HEADER.size
    return pack_moof(data_offset) + pack_box("mdat", *(sample.data for sample in samples))


def _entry_of(sample: Sample) -> Entry:
    flags = SYNC_SAMPLE if sample.is_sync else NON_SYNC_SAMPLE
    return Entry(sample.duration, len(sample.data), flags, sample.composition_offset)


def _pack_trun(entries: Sequence[Entry], default: Entry, data_offset: int) -> bytes:
    """Write the columns that say more than the defaults; the first sample's flags have their own word."""
    flags = TRUN_DATA_OFFSET
    columns: list[tuple[int, ...]] = []
    for bit, values, usual in zip(TRUN_COLUMNS, zip(*entries, strict=True), default, strict=True):
        if any(value != usual for value in values[bit == TRUN_FLAGS :]):
            flags |= bit
            columns.append(values)
    head = struct.pack(">Ii", len(entries), data_offset)
    if not flags & TRUN_FLAGS:
        flags |= TRUN_FIRST_FLAGS
        head += struct.pack(">I", entries[0].flags)
    row = row_layout(flags)
    return pack_full_box("trun", 1, flags, head, *(row.pack(*words) for words in zip(*columns, strict=True)))
