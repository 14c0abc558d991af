"""How bytes begin: an opening is read from what comes before the first frame, and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.live_node import SOURCE
from transcoder.domain.boxes import pack_box, pack_full_box
from transcoder.domain.opening import AUDIO, VIDEO, has_opening, read_opening, remember
from transcoder.ingest.rtmp.flv import write_header, write_tag
from transcoder.ingest.rtmp.message import MessageType

AVC_HEADER, AVC_FRAME = b"\x17\x00\x00\x00\x00the SPS", b"\x17\x01\x00\x00\x00a picture"
HEVC_HEADER, HEVC_FRAME = b"\x90hvc1the SPS", b"\x91hvc1a picture"
AAC_HEADER, AAC_FRAME = b"\xaf\x00\x12\x10", b"\xaf\x01a sound"
OPUS_HEADER, OPUS_FRAME = b"\x90Opushead", b"\x91Opussound"
METADATA = b"\x02\x00\x0aonMetaData"


def flv(*tags: tuple[int, bytes], time_ms: int = 0) -> bytes:
    return write_header((8, 9)) + b"".join(write_tag(kind, time_ms, body) for kind, body in tags)


def publication(
    video: bytes = AVC_HEADER, audio: bytes = AAC_HEADER, frame: bytes = AVC_FRAME, *, time_ms: int = 0
) -> bytes:
    described = [(MessageType.DATA, METADATA), (MessageType.VIDEO, video), (MessageType.AUDIO, audio)]
    return flv(*described, (MessageType.VIDEO, frame), time_ms=time_ms)


def mov(*handlers: bytes, rest: bytes = b"") -> bytes:
    """A fragmented file's beginning, with a track for each handler."""
    tracks = [
        pack_box("trak", pack_box("mdia", pack_full_box("hdlr", 0, 0, bytes(4), handler, bytes(12))))
        for handler in handlers
    ]
    return pack_box("ftyp", b"iso6") + pack_box("moov", *tracks) + pack_box("moof", b"") + rest


BOTH = [publication(), publication(HEVC_HEADER, OPUS_HEADER, HEVC_FRAME)]


@pytest.mark.parametrize("data", BOTH)
def test_opening_of_an_flv_ends_with_its_first_frame(data: bytes) -> None:
    opening = read_opening("flv", data)
    assert opening
    assert opening.tracks == (AUDIO, VIDEO)
    for size in range(len(data)):
        early = read_opening("flv", data[:size])
        assert early is None or (early == opening and size >= len(data) - 4)  # its size stands behind a tag
    assert read_opening("flv", data + b"whatever comes then") == opening


def test_times_do_not_count() -> None:
    assert read_opening("flv", publication(time_ms=70_000)) == read_opening("flv", publication())


@pytest.mark.parametrize(
    "other",
    [
        publication(video=AVC_HEADER + b"2"),
        publication(audio=AAC_HEADER + b"2"),
        flv((MessageType.VIDEO, AVC_HEADER), (MessageType.AUDIO, AAC_HEADER), (MessageType.VIDEO, AVC_FRAME)),
    ],
)
def test_all_that_describes_counts(other: bytes) -> None:
    mine, its = read_opening("flv", publication()), read_opening("flv", other)
    assert mine
    assert its
    assert its.digest != mine.digest


@pytest.mark.parametrize(
    ("handlers", "tracks"),
    [([b"vide", b"soun"], (AUDIO, VIDEO)), ([b"soun"], (AUDIO,)), ([b"vide", b"text"], ("other", VIDEO))],
)
def test_opening_of_a_fragmented_mp4_ends_with_its_first_fragment(
    handlers: Sequence[bytes], tracks: Sequence[str]
) -> None:
    data = mov(*handlers)
    opening = read_opening("mov", data + b"\0\0")
    assert opening
    assert opening.tracks == tracks
    assert all(read_opening("mov", data[:size]) is None for size in range(len(data)))
    assert read_opening("mov", mov(*handlers, b"soun")) != opening


def test_other_containers_have_none() -> None:
    for demuxer in ("mpegts", "matroska"):
        assert not has_opening(demuxer)
        assert read_opening(demuxer, publication()) is None


def test_only_what_an_opening_describes_is_remembered() -> None:
    whole = read_opening("flv", publication())
    without_sound = read_opening("flv", flv((MessageType.VIDEO, AVC_HEADER), (MessageType.VIDEO, AVC_FRAME)))
    assert whole
    assert SOURCE.video
    assert SOURCE.audio
    known = remember(whole, SOURCE)
    assert known
    assert (known.digest, known.source) == (whole.digest, SOURCE)
    assert remember(without_sound, SOURCE) is None
    assert remember(None, SOURCE) is None


@given(st.sampled_from(["flv", "mov"]), st.binary(max_size=200), st.binary(max_size=60))
def test_no_bytes_break_it(demuxer: str, data: bytes, more: bytes) -> None:
    for begun in (data, BOTH[0][:40] + data, mov(b"vide")[:50] + data):
        opening = read_opening(demuxer, begun)
        assert opening is None or read_opening(demuxer, begun + more) == opening
