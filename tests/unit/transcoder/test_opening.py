"""How an FLV begins: its opening is what describes the tracks, once a frame of each of them has come."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.flv import told_rate
from support.live_node import SOURCE
from transcoder.domain.opening import AUDIO, DESCRIBED_BYTES, TAGS_COUNT, VIDEO, read_opening, remember
from transcoder.ingest.rtmp.flv import write_header, write_tag

Tag = tuple[int, bytes]
METADATA = (
    18,
    b"\x02\x00\x0aonMetaData\x08\0\0\0\1" + told_rate(30) + b"\0\0\x09",
)
AVC_HEADER, AVC_FRAME = (9, b"\x17\x00\x00\x00\x00the SPS"), (9, b"\x17\x01\x00\x00\x00a picture")
HEVC_HEADER, HEVC_FRAME = (9, b"\x90hvc1the SPS"), (9, b"\x91hvc1a picture")
AAC_HEADER, AAC_FRAME = (8, b"\xaf\x00\x12\x10"), (8, b"\xaf\x01a sound")
OPUS_HEADER, OPUS_FRAME = (8, b"\x90Opushead"), (8, b"\x91Opussound")
AVC = (METADATA, AVC_HEADER, AAC_HEADER, AVC_FRAME, AVC_FRAME, AAC_FRAME)
HEVC = (METADATA, HEVC_HEADER, OPUS_HEADER, OPUS_FRAME, HEVC_FRAME)


def flv(*tags: Tag, time_ms: int = 0) -> bytes:
    return write_header((8, 9)) + b"".join(write_tag(kind, time_ms, body) for kind, body in tags)


@pytest.mark.parametrize("tags", [AVC, HEVC])
def test_opening_is_there_with_a_frame_of_each_track(tags: tuple[Tag, ...]) -> None:
    data = flv(*tags)
    opening = read_opening(data)
    assert opening
    assert opening.tracks == (AUDIO, VIDEO)
    assert opening.frame_rate == 30
    last_bytes = 4  # its size stands behind a tag
    assert all(read_opening(data[:size]) is None for size in range(len(data) - last_bytes))
    assert read_opening(data + b"whatever comes then") == opening


def test_a_track_that_is_described_but_does_not_come_leaves_it_open() -> None:
    assert read_opening(flv(METADATA, AVC_HEADER, AAC_HEADER, *[AVC_FRAME] * 20)) is None


def test_times_do_not_count_and_more_frames_do_not_either() -> None:
    assert read_opening(flv(*AVC, time_ms=70_000)) == read_opening(flv(*AVC))
    assert read_opening(flv(*AVC[:3], AAC_FRAME, AVC_FRAME)) == read_opening(flv(*AVC))


@pytest.mark.parametrize(
    "other",
    [
        flv(METADATA, (9, b"\x17\x00another"), AAC_HEADER, AVC_FRAME, AAC_FRAME),
        flv(METADATA, AVC_HEADER, (8, b"\xaf\x00another"), AVC_FRAME, AAC_FRAME),
        flv(AVC_HEADER, AAC_HEADER, AVC_FRAME, AAC_FRAME),
        flv(METADATA, AAC_HEADER, AVC_HEADER, AVC_FRAME, AAC_FRAME),
    ],
)
def test_all_that_describes_counts(other: bytes) -> None:
    mine, its = read_opening(flv(*AVC)), read_opening(other)
    assert mine
    assert its
    assert its.digest != mine.digest


def test_what_describes_for_too_long_is_no_opening() -> None:
    much = (18, bytes(DESCRIBED_BYTES + 1))
    many = [(18, b"more")] * TAGS_COUNT
    assert read_opening(flv(much, *AVC)) is None
    assert read_opening(flv(*many, *AVC)) is None


def test_only_what_an_opening_describes_is_remembered() -> None:
    whole = read_opening(flv(*AVC))
    without_sound = read_opening(flv(METADATA, AVC_HEADER, AVC_FRAME))
    without_rate = read_opening(flv(*AVC[1:]))
    assert whole
    assert SOURCE.video
    known = remember(whole, SOURCE)
    assert known
    assert (known.digest, known.source) == (whole.digest, SOURCE)
    varying = replace(SOURCE, video=replace(SOURCE.video, constant_frame_rate=False))
    slow = replace(SOURCE, video=replace(SOURCE.video, frame_rate=Fraction(15)))
    for opening, source in [
        (None, SOURCE),
        (without_sound, SOURCE),
        (without_rate, SOURCE),
        (whole, varying),
        (whole, slow),
    ]:
        assert remember(opening, source) is None


@given(st.binary(max_size=200), st.binary(max_size=60))
def test_no_bytes_break_it(data: bytes, more: bytes) -> None:
    for begun in (data, flv(*AVC)[:80] + data):
        opening = read_opening(begun)
        assert opening is None or read_opening(begun + more) == opening
