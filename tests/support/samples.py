"""Fragmented MP4 without an encoder: init segments and samples as tests wish them."""

from __future__ import annotations

import struct
from itertools import pairwise

from hypothesis import strategies as st

from transcoder.domain.boxes import pack_box, pack_full_box
from transcoder.domain.fragments import Sample

SPS = bytes.fromhex("67640014acd9414196a10000030001000003003c8f14299600")
PPS = bytes.fromhex("68efbcb0")


def avc1_entry(*, width: int = 320, height: int = 180) -> bytes:
    """A sample entry of H.264, High profile, level 2.0."""
    record = bytes([1, 0x64, 0, 0x14, 0xFF, 0xE1]) + struct.pack(">H", len(SPS)) + SPS
    record += bytes([1]) + struct.pack(">H", len(PPS)) + PPS
    fields = bytes(24) + struct.pack(">2H", width, height) + bytes(50)
    return pack_box("avc1", fields, pack_box("avcC", record))


def mp4a_entry(*, rate_index: int = 4, channels: int = 2) -> bytes:
    """A sample entry of AAC-LC; rate index 4 is 44.1 kHz, 3 is 48 kHz."""
    specific = struct.pack(">BBH", 5, 2, 2 << 11 | rate_index << 7 | channels << 3)
    decoder = struct.pack(">BBB", 4, 13 + len(specific), 0x40) + bytes(12) + specific
    stream = struct.pack(">BBHB", 3, 3 + len(decoder), 0, 0) + decoder
    return pack_box("mp4a", bytes(28), pack_full_box("esds", 0, 0, stream))


def make_init(entry: bytes, *, timescale: int, track_id: int = 1) -> bytes:
    """An init segment of one track."""
    stsd = pack_full_box("stsd", 0, 0, struct.pack(">I", 1), entry)
    mdhd = pack_full_box("mdhd", 0, 0, struct.pack(">5I", 0, 0, timescale, 0, 0))
    media = pack_box("mdia", mdhd, pack_box("minf", pack_box("stbl", stsd)))
    track = pack_box(
        "trak", pack_full_box("tkhd", 0, 0, struct.pack(">3I", 0, 0, track_id), bytes(68)), media
    )
    extends = pack_box("mvex", pack_full_box("trex", 0, 0, struct.pack(">5I", track_id, 1, 0, 0, 0)))
    return pack_box("ftyp", b"iso6", bytes(4)) + pack_box("moov", track, extends)


def make_samples(count: int, *, duration: int, gop: int = 1, offset: int = 0, start: int = 0) -> list[Sample]:
    """Samples one behind the other, each with its own content; every `gop`th is an I-frame."""
    return [
        Sample(
            decode_time=start + number * duration,
            duration=duration,
            composition_offset=offset,
            is_sync=number % gop == 0,
            data=struct.pack(">II", 4, number),
        )
        for number in range(count)
    ]


def make_jpeg(number: int, *, width: int = 40, height: int = 16, tables: bytes = b"\xff\xd9" * 32) -> bytes:
    """A picture as ffmpeg frames it, with a number in the place of what it shows; its tables hold markers."""
    quantisation = b"\xff\xdb" + struct.pack(">HB", 67, 0) + tables
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes.fromhex("012200021101031101")
    scan = b"\xff\xda" + struct.pack(">HB", 12, 3) + bytes.fromhex("010002110311003f00")
    return b"\xff\xd8" + quantisation + frame + scan + struct.pack(">HH", number, 0xFF00) + b"\xff\xd9"


@st.composite
def sample_runs(draw: st.DrawFn) -> list[Sample]:
    """Any samples that follow each other without a gap."""
    time = draw(st.integers(0, 1 << 40))
    samples: list[Sample] = []
    for _ in range(draw(st.integers(1, 8))):
        sample = Sample(
            decode_time=time,
            duration=draw(st.integers(1, 10_000)),
            composition_offset=draw(st.integers(-10_000, 10_000)),
            is_sync=draw(st.booleans()),
            data=draw(st.binary(max_size=50)),
        )
        samples.append(sample)
        time += sample.duration
    return samples


@st.composite
def splits(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Any way to cut bytes into pieces."""
    places = sorted(draw(st.sets(st.integers(0, len(data)), max_size=20)) | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]
