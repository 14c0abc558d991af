"""A feed: who may join it, when it begins, which numbers it takes; and what a body and a segment must be."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chassis.errors import InvalidArgument, NotFound, OutOfRange
from transcoder.domain.boxes import pack_box
from transcoder.domain.iframes import Picture, fmp4_iframes, ts_iframes
from transcoder.domain.live_timeline import StoredObject
from transcoder.domain.packager import MediaKind, RenditionInfo
from transcoder.domain.plan import Container
from transcoder.domain.ready_body import MOST_BOXES, split_body
from transcoder.domain.ready_feed import (
    AHEAD_COUNT,
    MAX_VARIANTS,
    PATIENCE_TARGETS,
    Feed,
    begin,
    join,
    require_number,
)
from transcoder.domain.ready_segment import require_duration, require_fitting

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
TARGET_S = 4
EMPTY = Feed(stream_id="cam", incarnation="aa", target_duration_s=TARGET_S)


def an_info(variant_id: str = "high", **changes: Any) -> RenditionInfo:
    info = RenditionInfo(
        rendition_id=variant_id,
        name=variant_id,
        media_kind=MediaKind.MUXED,
        codecs="avc1.42c00b,mp4a.40.2",
        width_pixels=160,
        height_pixels=90,
        sample_rate_hz=48_000,
        channel_count=2,
    )
    return replace(info, **changes)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def opened(number: int = 10) -> Feed:
    return join(EMPTY, an_info(), None, number, START)


class TestJoining:
    def test_variants_may_join_for_three_target_durations(self) -> None:
        feed = join(opened(), an_info("low"), None, 10, at(PATIENCE_TARGETS * TARGET_S))
        assert [variant.variant_id for variant in feed.variants] == ["high", "low"]
        with pytest.raises(NotFound) as refusal:
            join(feed, an_info("mid"), None, 11, at(PATIENCE_TARGETS * TARGET_S + 0.1))
        assert "'high', 'low'" in refusal.value.message

    def test_so_many_variants_and_no_more(self) -> None:
        feed = EMPTY
        for number in range(MAX_VARIANTS):
            feed = join(feed, an_info(f"v{number}"), None, 0, START)
        with pytest.raises(NotFound):
            join(feed, an_info("one-more"), None, 0, START)

    def test_newest_init_segment_is_remembered(self) -> None:
        old, new = (StoredObject(key=key, size_bytes=1) for key in "ab")
        feed = join(join(EMPTY, an_info(), old, 0, START), an_info(), new, 1, at(100))
        assert [variant.init for variant in feed.variants] == [new]

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"width_pixels": 320}, "320x90"),
            ({"codecs": "avc1.64001f,mp4a.40.2"}, "avc1.64001f"),
            ({"media_kind": MediaKind.VIDEO}, "video"),
            ({"channel_count": 1}, "1 channels"),
        ],
    )
    def test_variant_never_changes(self, changes: dict[str, Any], words: str) -> None:
        with pytest.raises(InvalidArgument, match=words):
            require_fitting(an_info(**changes), an_info())


class TestBeginning:
    def test_begins_with_the_lowest_number_after_one_target_duration(self) -> None:
        assert begin(opened(), [12, 9], at(TARGET_S - 0.1)).first_number is None
        begun = begin(opened(), [12, 9], at(TARGET_S))
        assert begun.first_number == 9
        assert begin(begun, [3], at(60)) == begun

    def test_does_not_begin_without_a_segment(self) -> None:
        assert begin(opened(), [], at(60)).first_number is None
        assert begin(EMPTY, [1], at(60)).first_number is None


class TestNumbers:
    @pytest.mark.parametrize("number", [20, 25 + AHEAD_COUNT - 1])
    def test_from_the_first_to_so_many_ahead_of_the_one_that_is_missing(self, number: int) -> None:
        require_number(replace(opened(), first_number=20), number, least_msn=5)

    @pytest.mark.parametrize(
        ("number", "reason"), [(19, "LATE"), (25 + AHEAD_COUNT, "TOO_FAR_AHEAD"), (10**12, "TOO_FAR_AHEAD")]
    )
    def test_others_are_refused(self, number: int, reason: str) -> None:
        with pytest.raises(OutOfRange) as refusal:
            require_number(replace(opened(), first_number=20), number, least_msn=5)
        assert refusal.value.reason == reason

    def test_before_the_beginning_numbers_lie_around_the_first(self) -> None:
        require_number(EMPTY, 10**12, least_msn=0)
        for number in (500 - AHEAD_COUNT // 2, 500 + AHEAD_COUNT // 2 - 1):
            require_number(opened(500), number, least_msn=0)
        for number in (499 - AHEAD_COUNT // 2, 500 + AHEAD_COUNT // 2):
            with pytest.raises(OutOfRange):
                require_number(opened(500), number, least_msn=0)


class TestSegments:
    @pytest.mark.parametrize("duration_s", [0.001, 4.0, 4.499])
    def test_durations_that_round_to_the_target(self, duration_s: float) -> None:
        require_duration(duration_s, TARGET_S)

    @pytest.mark.parametrize("duration_s", [0.0, 4.5, 12.0])
    def test_durations_that_do_not(self, duration_s: float) -> None:
        with pytest.raises(InvalidArgument):
            require_duration(duration_s, TARGET_S)

    def test_init_segment_is_taken_from_before_the_segment(self) -> None:
        ftyp, moov = pack_box("ftyp", b"cmfc"), pack_box("moov", b"tracks")
        media = pack_box("styp", b"msdh") + pack_box("moof", b"table") + pack_box("mdat", b"frames")
        assert split_body(ftyp + moov + media, Container.CMAF) == (ftyp + moov, media)
        assert split_body(media, Container.CMAF) == (b"", media)

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"garbage that is no box at all",
            pack_box("ftyp") + pack_box("moov"),
            pack_box("moov") + pack_box("moof") + pack_box("mdat"),
            pack_box("moof") + pack_box("mdat")[:-1],
            pack_box("free") * MOST_BOXES + pack_box("moof") + pack_box("mdat"),
        ],
    )
    def test_bodies_that_are_no_fragments(self, data: bytes) -> None:
        with pytest.raises(InvalidArgument):
            split_body(data, Container.CMAF)

    @pytest.mark.parametrize("data", [b"", b"\x47" * 187, bytes(188), b"\x47".ljust(188) + bytes(188)])
    def test_bodies_that_are_no_packets(self, data: bytes) -> None:
        with pytest.raises(InvalidArgument):
            split_body(data, Container.TS)


def packet(pid: int, *, table: bool = False) -> bytes:
    payload = b"\0\x02" if table else b"\0\0\1\xe0"
    return (b"\x47" + (0x4000 | pid).to_bytes(2, "big") + b"\x10" + payload).ljust(188, b"\xff")


def a_picture(time_s: float, packet_index: int, *, is_intra: bool) -> Picture:
    return Picture(time_s=time_s, offset_bytes=188 * packet_index, size_bytes=100, is_intra=is_intra)


def test_iframe_of_ts_reaches_from_its_tables_to_the_next_picture() -> None:
    pat, pmt, video = packet(0, table=True), packet(0x1000, table=True), packet(0x100)
    data = packet(17, table=True) + pat + pmt + video + video + pat + pmt + video + video
    pictures = [
        a_picture(0.0, 3, is_intra=True),
        a_picture(0.5, 4, is_intra=False),
        a_picture(1.0, 7, is_intra=True),
        a_picture(1.5, 8, is_intra=True),  # without tables
    ]
    ranges = [(one.offset_bytes, one.size_bytes, one.duration_s) for one in ts_iframes(data, pictures, 2.0)]
    assert ranges == [(188, 3 * 188, 1.0), (5 * 188, 3 * 188, 1.0)]


def test_iframe_of_fmp4_reaches_from_its_moof_to_its_end() -> None:
    moof, mdat = pack_box("moof", bytes(92)), pack_box("mdat", bytes(292))
    data = moof + mdat + moof + mdat
    pictures = [
        Picture(time_s=0.0, offset_bytes=108, size_bytes=50, is_intra=True),
        Picture(time_s=1.0, offset_bytes=200, size_bytes=50, is_intra=True),  # not the first of its fragment
        Picture(time_s=2.0, offset_bytes=508, size_bytes=70, is_intra=True),
    ]
    ranges = [(one.offset_bytes, one.size_bytes, one.duration_s) for one in fmp4_iframes(data, pictures, 4.0)]
    assert ranges == [(0, 158, 2.0), (400, 178, 2.0)]
