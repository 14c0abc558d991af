"""Take samples out of a fragmented MP4 stream.

Whatever fragments an encoder writes (one per GOP for recordings, of some frames for live), they are only its
way to hand samples over: we cut them anew, at our borders and with our times. Section numbers are those of
ISO/IEC 14496-12:2022.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from transcoder.domain.boxes import (
    Box,
    BoxError,
    BoxReader,
    find_box,
    first_box,
    iter_boxes,
    unpack_version_flags,
)
from transcoder.domain.fragment_layout import (
    NON_SYNC_BIT,
    SAMPLE_LIMIT,
    TFHD_BASE_DATA_OFFSET,
    TFHD_DURATION,
    TFHD_FLAGS,
    TFHD_SAMPLE_DESCRIPTION,
    TFHD_SIZE,
    TRUN_COLUMNS,
    TRUN_DATA_OFFSET,
    TRUN_FIRST_FLAGS,
    Entry,
    row_layout,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One encoded frame. Times are in units of its track's timescale."""

    decode_time: int
    duration: int
    composition_offset: int
    """Presentation time minus decode time; negative for B-frames."""
    is_sync: bool
    data: bytes


class _Run(NamedTuple):
    """A trun: where its samples' bytes start, counted from the moof; when they start; their words."""

    data_offset: int
    decode_time: int
    entries: list[Entry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What the moov tells of the one track in the stream."""

    track_id: int
    timescale: int
    sample_entry: Box
    """The first of the stsd: avc1 or mp4a (8.5.2)."""
    default: Entry


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
        default=Entry._make((*struct.unpack_from(">3I", trex, 12), 0)),  # 8.8.3
    )


def _read_after_times(payload: memoryview) -> int:
    """Read the word behind creation and modification time: tkhd's id (8.3.2), mdhd's timescale (8.4.2)."""
    version, _ = unpack_version_flags(payload)
    (value,) = struct.unpack_from(">I", payload, 20 if version else 12)
    return int(value)


def _read_traf(traf: memoryview, track: Track) -> list[_Run]:
    """Read a track fragment: its defaults, its start (tfdt, 8.8.12), and each of its runs."""
    boxes = list(iter_boxes(traf))
    default = _read_tfhd(first_box(boxes, "tfhd").payload, track.default)
    tfdt = first_box(boxes, "tfdt").payload
    version, _ = unpack_version_flags(tfdt)
    (time,) = struct.unpack_from(">Q" if version else ">I", tfdt, 4)
    runs: list[_Run] = []
    for box in boxes:
        if box.kind == "trun":
            runs.append(_read_trun(box.payload, default, time))
            time += sum(entry.duration for entry in runs[-1].entries)
    return runs


def _read_tfhd(payload: memoryview, default: Entry) -> Entry:
    """Read what holds for samples of which a trun says nothing (8.8.7)."""
    _, flags = unpack_version_flags(payload)
    if flags & TFHD_BASE_DATA_OFFSET:
        raise BoxError("tfhd has a base data offset: fragments must be addressed from their moof")
    words = list(struct.unpack(f">{(len(payload) - 8) // 4}I", payload[8:]))[::-1]
    if flags & TFHD_SAMPLE_DESCRIPTION:
        words.pop()
    return Entry(
        duration=words.pop() if flags & TFHD_DURATION else default.duration,
        size=words.pop() if flags & TFHD_SIZE else default.size,
        flags=words.pop() if flags & TFHD_FLAGS else default.flags,
        composition_offset=0,
    )


def _read_trun(payload: memoryview, default: Entry, decode_time: int) -> _Run:
    """Read a run of samples (8.8.8)."""
    _, flags = unpack_version_flags(payload)
    count, data_offset, first_flags = struct.unpack_from(">IiI", payload.tobytes() + bytes(4), 4)
    if not flags & TRUN_DATA_OFFSET or count > SAMPLE_LIMIT:
        raise BoxError(f"trun has {count} samples and flags {flags:#x}: needs a data offset")
    table = payload[16 if flags & TRUN_FIRST_FLAGS else 12 :]
    row = row_layout(flags)
    rows = row.iter_unpack(table[: count * row.size]) if row.size else [()] * count
    names = [name for name, bit in zip(Entry._fields, TRUN_COLUMNS, strict=True) if flags & bit]
    entries = [default._replace(**dict(zip(names, words, strict=True))) for words in rows]
    if len(entries) < count:
        raise BoxError(f"trun has {len(entries)} of its {count} samples")
    if flags & TRUN_FIRST_FLAGS and entries:
        entries[0] = entries[0]._replace(flags=first_flags)
    return _Run(data_offset, decode_time, entries)


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
