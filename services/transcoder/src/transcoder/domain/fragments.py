"""Take samples out of a fragmented MP4 stream, and put them into fragments again.

Whatever fragments an encoder writes (one per GOP for recordings, one per frame for live), they are only its
way to hand samples over: we cut them anew, at our borders and with our times. Section numbers are those of
ISO/IEC 14496-12:2022.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from transcoder.domain.boxes import (
    HEADER,
    Box,
    BoxError,
    BoxReader,
    ByteRange,
    find_box,
    iter_boxes,
    pack_box,
    pack_full_box,
    unpack_version_flags,
)

TFHD_BASE_DATA_OFFSET = 0x000001
TFHD_SAMPLE_DESCRIPTION = 0x000002
TFHD_DURATION = 0x000008
TFHD_SIZE = 0x000010
TFHD_FLAGS = 0x000020
TFHD_BASE_IS_MOOF = 0x020000

TRUN_DATA_OFFSET = 0x000001
TRUN_FIRST_FLAGS = 0x000004
TRUN_DURATION = 0x000100
TRUN_SIZE = 0x000200
TRUN_FLAGS = 0x000400
TRUN_COMPOSITION_OFFSET = 0x000800
TRUN_COLUMNS = (TRUN_DURATION, TRUN_SIZE, TRUN_FLAGS, TRUN_COMPOSITION_OFFSET)
"""The bits that say which words a trun has per sample, in their order."""

SAMPLE_LIMIT = 1 << 20
"""Most samples of one run: far above any, it keeps a damaged count from eating all memory."""

SYNC_SAMPLE = 0x02000000
"""Sample flags (8.8.3.1): depends on no other sample."""
NON_SYNC_SAMPLE = 0x01010000
"""Sample flags (8.8.3.1): depends on others, and is no sync sample."""
NON_SYNC_BIT = 0x00010000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One encoded frame. Times are in units of its track's timescale."""

    decode_time: int
    duration: int
    composition_offset: int
    """Presentation time minus decode time; negative for B-frames."""
    is_sync: bool
    data: bytes


class _Entry(NamedTuple):
    """One sample's words in a trun, in the order of TRUN_COLUMNS."""

    duration: int
    size: int
    flags: int
    composition_offset: int


class _Run(NamedTuple):
    """A trun: where its samples' bytes start, counted from the moof; when they start; their words."""

    data_offset: int
    decode_time: int
    entries: list[_Entry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What the moov tells of the one track in the stream."""

    track_id: int
    timescale: int
    sample_entry: Box
    """The first of the stsd: avc1 or mp4a (8.5.2)."""
    default: _Entry


class FragmentReader:
    """Turn an fMP4 stream of one track, fed in pieces of any size, into its init segment and its samples."""

    def __init__(self) -> None:
        self.init = b""
        """The init segment, ftyp and moov, once `track` is known."""
        self.track: Track | None = None
        self._boxes = BoxReader()
        self._moof_bytes = 0
        self._runs: list[_Run] = []

    def feed(self, data: bytes) -> list[Sample]:
        """Take the next piece; return the samples of the fragments that it completes.

        Raises:
            BoxError: It is no fragmented MP4 of one track whose data lie behind their moof.
        """
        try:
            return [sample for box in self._boxes.feed(data) for sample in self._take(box)]
        except (struct.error, IndexError) as error:
            raise BoxError(f"a box is shorter than its fields: {error}") from error

    def finish(self) -> None:
        """Check that the stream has ended where it may.

        Raises:
            BoxError: It ends within a box, or before the data of a moof.
        """
        if self._boxes.held_bytes or self._runs:
            raise BoxError("the stream ends within a fragment")

    def _take(self, box: Box) -> Iterator[Sample]:
        match box.kind:
            case "ftyp":
                self.init = bytes(box.whole)
            case "moov":
                self.init += bytes(box.whole)
                self.track = read_track(box.payload)
            case "moof":
                self._moof_bytes = len(box.whole)
                self._runs = self._read_moof(box.payload)
            case "mdat":
                yield from self._cut(box)

    def _read_moof(self, moof: memoryview) -> list[_Run]:
        if self.track is None:
            raise BoxError("a moof comes before the moov")
        return _read_traf(find_box(moof, "traf").payload, self.track)

    def _cut(self, mdat: Box) -> Iterator[Sample]:
        payload_offset = self._moof_bytes + len(mdat.whole) - len(mdat.payload)
        for run in self._runs:
            yield from _cut_samples(run, mdat.payload, run.data_offset - payload_offset)
        self._runs = []


def read_track(moov: memoryview) -> Track:
    """Read the first track's id, timescale, sample entry, and the defaults of its fragments."""
    trak = find_box(moov, "trak").payload
    stsd = find_box(trak, "mdia", "minf", "stbl", "stsd").payload
    trex = find_box(moov, "mvex", "trex").payload
    entry = next(iter_boxes(stsd[8:]), None)
    if entry is None:
        raise BoxError("stsd is empty")
    return Track(
        track_id=_read_after_times(find_box(trak, "tkhd").payload),
        timescale=_read_after_times(find_box(trak, "mdia", "mdhd").payload),
        sample_entry=entry,
        default=_Entry._make((*struct.unpack_from(">3I", trex, 12), 0)),  # 8.8.3
    )


def _read_after_times(payload: memoryview) -> int:
    """Read the word behind creation and modification time: tkhd's id (8.3.2), mdhd's timescale (8.4.2)."""
    version, _ = unpack_version_flags(payload)
    (value,) = struct.unpack_from(">I", payload, 20 if version else 12)
    return int(value)


def _read_traf(traf: memoryview, track: Track) -> list[_Run]:
    """Read a track fragment: its defaults, its start (tfdt, 8.8.12), and each of its runs."""
    default = _read_tfhd(find_box(traf, "tfhd").payload, track.default)
    tfdt = find_box(traf, "tfdt").payload
    version, _ = unpack_version_flags(tfdt)
    (time,) = struct.unpack_from(">Q" if version else ">I", tfdt, 4)
    runs: list[_Run] = []
    for box in iter_boxes(traf):
        if box.kind == "trun":
            runs.append(_read_trun(box.payload, default, time))
            time += sum(entry.duration for entry in runs[-1].entries)
    return runs


def _read_tfhd(payload: memoryview, default: _Entry) -> _Entry:
    """Read what holds for samples of which a trun says nothing (8.8.7)."""
    _, flags = unpack_version_flags(payload)
    if flags & TFHD_BASE_DATA_OFFSET:
        raise BoxError("tfhd has a base data offset: fragments must be addressed from their moof")
    words = list(struct.unpack(f">{(len(payload) - 8) // 4}I", payload[8:]))[::-1]
    if flags & TFHD_SAMPLE_DESCRIPTION:
        words.pop()
    return _Entry(
        duration=words.pop() if flags & TFHD_DURATION else default.duration,
        size=words.pop() if flags & TFHD_SIZE else default.size,
        flags=words.pop() if flags & TFHD_FLAGS else default.flags,
        composition_offset=0,
    )


def _read_trun(payload: memoryview, default: _Entry, decode_time: int) -> _Run:
    """Read a run of samples (8.8.8)."""
    _, flags = unpack_version_flags(payload)
    count, data_offset, first_flags = struct.unpack_from(">IiI", payload.tobytes() + bytes(4), 4)
    if not flags & TRUN_DATA_OFFSET or count > SAMPLE_LIMIT:
        raise BoxError(f"trun has {count} samples and flags {flags:#x}: needs a data offset")
    table = payload[16 if flags & TRUN_FIRST_FLAGS else 12 :]
    row = _row(flags)
    rows = row.iter_unpack(table[: count * row.size]) if row.size else [()] * count
    names = [name for name, bit in zip(_Entry._fields, TRUN_COLUMNS, strict=True) if flags & bit]
    entries = [default._replace(**dict(zip(names, words, strict=True))) for words in rows]
    if len(entries) < count:
        raise BoxError(f"trun has {len(entries)} of its {count} samples")
    if flags & TRUN_FIRST_FLAGS and entries:
        entries[0] = entries[0]._replace(flags=first_flags)
    return _Run(data_offset, decode_time, entries)


def _row(flags: int) -> struct.Struct:
    """Lay out the words that a trun has per sample; offsets are signed (version 1, and so written in 0)."""
    columns = [bit for bit in TRUN_COLUMNS if flags & bit]
    return struct.Struct(">" + "".join("i" if bit == TRUN_COMPOSITION_OFFSET else "I" for bit in columns))


def _cut_samples(run: _Run, data: memoryview, place: int) -> Iterator[Sample]:
    """Cut a run's samples out of its mdat, from `place` on."""
    time = run.decode_time
    for entry in run.entries:
        if not 0 <= place <= len(data) - entry.size:
            raise BoxError(f"a sample of {entry.size} bytes does not lie within its mdat")
        yield Sample(
            decode_time=time,
            duration=entry.duration,
            composition_offset=entry.composition_offset,
            is_sync=not entry.flags & NON_SYNC_BIT,
            data=bytes(data[place : place + entry.size]),
        )
        time += entry.duration
        place += entry.size


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
    default = _Entry(entries[-1].duration, 0, entries[-1].flags, 0)
    mfhd = pack_full_box("mfhd", 0, 0, struct.pack(">I", sequence_number))
    tfhd_words = struct.pack(">3I", track_id, default.duration, default.flags)
    tfhd = pack_full_box("tfhd", 0, TFHD_BASE_IS_MOOF | TFHD_DURATION | TFHD_FLAGS, tfhd_words)
    tfdt = pack_full_box("tfdt", 1, 0, struct.pack(">Q", samples[0].decode_time))

    def pack_moof(data_offset: int) -> bytes:
        trun = _pack_trun(entries, default, data_offset)
        return pack_box("moof", mfhd, pack_box("traf", tfhd, tfdt, trun))

    data_offset = len(pack_moof(0)) + HEADER.size
    return pack_moof(data_offset) + pack_box("mdat", *(sample.data for sample in samples))


def _entry_of(sample: Sample) -> _Entry:
    flags = SYNC_SAMPLE if sample.is_sync else NON_SYNC_SAMPLE
    return _Entry(sample.duration, len(sample.data), flags, sample.composition_offset)


def _pack_trun(entries: Sequence[_Entry], default: _Entry, data_offset: int) -> bytes:
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
    row = _row(flags)
    return pack_full_box("trun", 1, flags, head, *(row.pack(*words) for words in zip(*columns, strict=True)))
