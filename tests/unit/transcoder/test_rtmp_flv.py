"""Media messages become an FLV that can be read from its first byte, on a clock that only goes forward."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.rtmp_peer import AAC_HEADER, AVC_HEADER, avc_header, picture, read_tags, sound
from transcoder.ingest.rtmp.amf import encode_amf
from transcoder.ingest.rtmp.flv import FlvWriter
from transcoder.ingest.rtmp.media_clock import LEAP_MS, MediaClock
from transcoder.ingest.rtmp.message import Message, MessageType, Refused

AUDIO, VIDEO, DATA = 8, 9, 18
AAC = Message(kind=MessageType.AUDIO, body=AAC_HEADER)
FACTS = encode_amf("onMetaData", {"width": 320})
METADATA = Message(kind=MessageType.DATA, body=encode_amf("@setDataFrame") + FACTS)


def write(*messages: Message) -> bytes:
    writer = FlvWriter()
    return b"".join(writer.take(message) for message in messages)


def tags(*messages: Message) -> list[tuple[int, int, bytes]]:
    flv = write(*messages)
    return list(read_tags(flv)) if flv else []


def video(body: str, timestamp_ms: int = 0) -> Message:
    return Message(kind=MessageType.VIDEO, timestamp_ms=timestamp_ms, body=bytes.fromhex(body))


class TestOpening:
    def test_metadata_and_headers_come_first(self) -> None:
        found = tags(AAC, avc_header(), METADATA, sound(5, b"s"), picture(7, b"k"))
        assert found == [
            (DATA, 5, FACTS),
            (AUDIO, 5, AAC_HEADER),
            (VIDEO, 5, AVC_HEADER),
            (AUDIO, 5, b"\xaf\1s"),
            (VIDEO, 7, picture(7, b"k").body),
        ]

    def test_nothing_is_written_before_a_frame(self) -> None:
        assert write(METADATA, AAC, avc_header()) == b""

    def test_newest_header_counts(self) -> None:
        newer = avc_header(body=AVC_HEADER + b"newer")
        assert tags(avc_header(), newer, picture(0, b"k"))[0] == (VIDEO, 0, newer.body)

    def test_frames_before_their_header_or_keyframe_are_left_out(self) -> None:
        found = tags(
            picture(0, b"no header"),
            sound(0, b"no header"),
            avc_header(),
            picture(40, b"no keyframe", key=False),
            picture(80, b"first"),
            picture(120, b"next", key=False),
        )
        assert [body[5:] for _, _, body in found] == [AVC_HEADER[5:], b"first", b"next"]

    def test_late_track_brings_its_header_along(self) -> None:
        found = tags(avc_header(), picture(0, b"k"), AAC, sound(30, b"s"))
        assert [kind for kind, _, _ in found] == [VIDEO, VIDEO, AUDIO, AUDIO]

    @pytest.mark.parametrize(
        ("facts", "flags"),
        [
            ({"videocodecid": 7, "width": 320}, 1),
            ({"videocodecid": 7, "audiocodecid": 10}, 5),
            ({"width": 320}, 5),
        ],
    )
    def test_flv_names_the_tracks_that_were_announced(self, facts: dict[str, int], flags: int) -> None:
        metadata = Message(kind=MessageType.DATA, body=encode_amf("onMetaData", facts))
        assert write(metadata, avc_header(), picture(0, b"k"))[4] == flags

    def test_tracks_that_came_are_named_whatever_was_announced(self) -> None:
        metadata = Message(kind=MessageType.DATA, body=encode_amf("onMetaData", {"videocodecid": 7}))
        assert write(metadata, AAC, avc_header(), picture(0, b"k"))[4] == 5

    def test_metadata_that_cannot_be_read_do_no_harm(self) -> None:
        metadata = Message(kind=MessageType.DATA, body=encode_amf("onMetaData") + b"\x11")
        assert write(metadata, avc_header(), picture(0, b"k"))[4] == 5


class TestGoingOn:
    def test_headers_that_say_nothing_new_are_left_out(self) -> None:
        found = tags(METADATA, avc_header(), picture(0, b"k"), METADATA, avc_header(), picture(40, b"k"))
        assert [kind for kind, _, _ in found] == [DATA, VIDEO, VIDEO, VIDEO]

    def test_changed_header_is_passed_on_in_its_place(self) -> None:
        newer = avc_header(0, AVC_HEADER + b"newer")
        found = tags(avc_header(), picture(0, b"k"), picture(40, b"k"), newer, picture(80, b"k"))
        assert found[3] == (VIDEO, 40, newer.body)

    @pytest.mark.parametrize(
        "message",
        [
            Message(kind=MessageType.VIDEO, body=b""),
            Message(kind=MessageType.AUDIO, body=b"\xaf"),
            video("57 01 000000"),  # a command of a server to a player
            video("17 02 000000"),  # the end of a sequence
            video("94 68766331"),  # E-RTMP: colours
            video("96 00 68766331"),  # E-RTMP: further tracks
            Message(kind=MessageType.DATA, body=encode_amf("onTextData", {"text": "hello"})),
            Message(kind=MessageType.DATA, body=b""),
        ],
    )
    def test_what_has_no_reader_is_left_out(self, message: Message) -> None:
        assert len(tags(avc_header(), picture(0, b"k"), message)) == 2

    def test_metadata_in_the_amf_3_form_is_taken(self) -> None:
        message = Message(kind=MessageType.DATA_AMF3, body=b"\0" + METADATA.body)
        assert tags(message, avc_header(), picture(0, b"k"))[0] == (DATA, 0, FACTS)


class TestCodecs:
    @pytest.mark.parametrize("codec", ["hvc1", "av01", "vp09", "avc1"])
    def test_enhanced_codecs_are_taken(self, codec: str) -> None:
        head, frame = (video(f"{kind} {codec.encode().hex()} 00") for kind in ("90", "93"))
        assert [body for _, _, body in tags(frame, head, frame)] == [head.body, frame.body]

    def test_enhanced_audio_is_taken(self) -> None:
        header, frame = (
            Message(kind=MessageType.AUDIO, body=bytes([kind]) + b"Opus\0") for kind in (0x90, 0x91)
        )
        assert [body for _, _, body in tags(header, frame)] == [header.body, frame.body]

    @pytest.mark.parametrize(
        ("message", "codec"),
        [
            (video("90 76766331 00"), "codec 'vvc1'"),
            (video("1c 00 000000"), "video codec 12"),
            (Message(kind=MessageType.AUDIO, body=b"\xdf\0"), "audio codec 13"),
            (Message(kind=MessageType.AUDIO, body=b"\x90mha1"), "codec 'mha1'"),
        ],
    )
    def test_others_are_refused_by_name(self, message: Message, codec: str) -> None:
        with pytest.raises(Refused, match=f"{codec} is not taken") as refused:
            FlvWriter().take(message)
        assert refused.value.code == "NetStream.Publish.Rejected"

    @given(st.sampled_from([8, 9, 15, 18]), st.binary(max_size=20))
    def test_any_body_is_taken_or_refused(self, kind: int, body: bytes) -> None:
        try:
            found = tags(Message(kind=kind, body=body))
        except Refused:
            return
        assert len(found) <= 1


class TestClock:
    def test_tracks_may_cross_a_little(self) -> None:
        clock = MediaClock()
        times = [(VIDEO, 100), (AUDIO, 80), (VIDEO, 140), (AUDIO, 103)]
        assert [clock.take(track, time) for track, time in times] == [100, 80, 140, 103]

    def test_track_does_not_go_back(self) -> None:
        clock = MediaClock()
        assert [clock.take(VIDEO, time) for time in (100, 90, 95, 120)] == [100, 100, 100, 120]

    def test_time_passes_32_bits(self) -> None:
        clock = MediaClock()
        begin = 2**32 - 50
        assert [clock.take(VIDEO, (begin + step) % 2**32) for step in (0, 40, 80, 120)] == [0, 40, 80, 120]

    def test_high_times_fill_the_extension(self) -> None:
        writer = FlvWriter()
        flv = writer.take(avc_header())
        for number in range(0x1000000 // 9000 + 2):
            flv += writer.take(picture(9000 * number, b"k"))
        *_, (_, time_ms, _) = read_tags(flv)
        assert time_ms > 0x1000000

    @pytest.mark.parametrize("other_ms", [0, 3_000_000_000, 1000 + 2 * LEAP_MS])
    def test_other_clock_goes_on_where_the_first_one_was(self, other_ms: int) -> None:
        clock = MediaClock()
        clock.take(VIDEO, 30_000)
        before = [clock.take(VIDEO, 30_000 + step) for step in (0, 4_000, 8_000, 12_000)][-1]
        assert clock.take(VIDEO, other_ms) == before
        assert clock.take(AUDIO, other_ms + 20) == before + 20

    def test_tracks_on_clocks_of_their_own_both_go_on(self) -> None:
        clock = MediaClock()
        times = [
            (VIDEO, 5_000_000),
            (AUDIO, 0),
            (VIDEO, 5_000_040),
            (AUDIO, 23),
            (VIDEO, 5_000_080),
            (AUDIO, 46),
        ]
        assert [clock.take(track, time) for track, time in times] == [0, 0, 40, 23, 80, 46]

    @given(st.lists(st.tuples(st.sampled_from([AUDIO, VIDEO]), st.integers(0, 2**32 - 1)), min_size=2))
    def test_no_timestamps_make_a_track_go_back_or_time_leap(self, times: list[tuple[int, int]]) -> None:
        clock = MediaClock()
        newest: list[int] = [0]
        found: dict[int, list[int]] = {AUDIO: [0], VIDEO: [0]}
        for track, time in times:
            found[track].append(clock.take(track, time))
            newest.append(clock.newest_ms)
        assert all(a <= b for track in found.values() for a, b in pairwise(track))
        assert all(0 <= b - a <= LEAP_MS for a, b in pairwise(newest))
