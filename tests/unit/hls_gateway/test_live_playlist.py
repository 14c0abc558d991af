"""Low-latency playlists: line by line, their delta updates, and their ends."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from hls_gateway.domain.names import IFRAMES, MEDIA, PlaylistName
from hls_gateway.domain.playlist.body import EMPTY
from hls_gateway.domain.playlist.catalogue import render_playlist
from hls_gateway.domain.playlist.media import grow_media, render_media
from hls_gateway.domain.stream import Container, Ended, Entry, Record, Stream, StreamKind
from hls_gateway.domain.timeline import Timeline, append_record
from support.histories import split_histories
from support.playlists import (
    END,
    a_gap,
    a_live_stream,
    a_part,
    a_segment,
    a_ts_segment,
    a_video,
    a_whole,
    all_playlists,
    an_audio,
    read_playlist,
    timeline_of,
)

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
STREAM = a_live_stream(target_duration_s=2, part_target_s=1.0, dvr_window_s=12.0)
OTHER_INIT = "streams/talk/3f2a9c01/High/init-55667788.mp4"


def whole(msn: int, rendition_id: str = "High", **fields: Any) -> tuple[Entry, ...]:
    """A segment of two parts, behind them."""
    shared = {"program_date_time": NOON + timedelta(seconds=2 * msn), **fields}
    parts = (a_part(msn, part, rendition_id, **shared) for part in range(2))
    return (*parts, a_segment(msn, rendition_id, start_s=msn * 2.0, duration_s=2.0, **shared))


def test_a_low_latency_playlist_is_exactly() -> None:
    timeline = timeline_of(
        a_video(),
        an_audio(),
        *(entry for msn in range(40, 47) for entry in whole(msn)),
        a_part(47, 0, program_date_time=NOON + timedelta(seconds=94), duration_s=0.999999),
        *(entry for msn in range(40, 47) for entry in whole(msn, "audio")),
        stream=STREAM,
    )
    assert (
        render_media(timeline, timeline.renditions["High"])
        == """\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0,PART-HOLD-BACK=3.0
#EXT-X-PART-INF:PART-TARGET=1.0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA-SEQUENCE:41
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="init-11223344.mp4?i=3f2a9c01"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:01:22.000Z
#EXTINF:2.000000,
segment_41.m4s?i=3f2a9c01
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:01:24.000Z
#EXTINF:2.000000,
segment_42.m4s?i=3f2a9c01
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:01:26.000Z
#EXTINF:2.000000,
segment_43.m4s?i=3f2a9c01
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:01:28.000Z
#EXT-X-PART:DURATION=1.000000,URI="part_44_0.m4s?i=3f2a9c01",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.000000,URI="part_44_1.m4s?i=3f2a9c01"
#EXTINF:2.000000,
segment_44.m4s?i=3f2a9c01
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:01:30.000Z
#EXT-X-PART:DURATION=1.000000,URI="part_45_0.m4s?i=3f2a9c01",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.000000,URI="part_45_1.m4s?i=3f2a9c01"
#EXTINF:2.000000,
segment_45.m4s?i=3f2a9c01
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:01:32.000Z
#EXT-X-PART:DURATION=1.000000,URI="part_46_0.m4s?i=3f2a9c01",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.000000,URI="part_46_1.m4s?i=3f2a9c01"
#EXTINF:2.000000,
segment_46.m4s?i=3f2a9c01
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:01:34.000Z
#EXT-X-PART:DURATION=0.999999,URI="part_47_0.m4s?i=3f2a9c01",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="part_47_1.m4s?i=3f2a9c01"
#EXT-X-RENDITION-REPORT:URI="../audio/playlist.m3u8?i=3f2a9c01",LAST-MSN=46,LAST-PART=1
"""
    )


def test_a_publisher_that_came_back_is_exactly() -> None:
    """Other parameters, a part that is a gap, and a segment of which nothing was kept."""
    returned: dict[str, Any] = {"discontinuity_sequence": 4, "init_key": OTHER_INIT}
    timeline = timeline_of(
        a_video(),
        *(entry for msn in range(3) for entry in whole(msn, discontinuity_sequence=3)),
        a_gap(3, start_s=6.0, duration_s=2.0, discontinuity_sequence=3),
        a_part(4, 0, **returned),
        a_part(4, 1, gap=True, object_key="", size_bytes=0, **returned),
        stream=STREAM,
    )
    text = render_media(timeline, timeline.renditions["High"])
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:3\n" in text
    assert text.endswith("""\
segment_2.m4s?i=3f2a9c01
#EXT-X-GAP
#EXTINF:2.000000,
segment_3.m4s?i=3f2a9c01
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="init-55667788.mp4?i=3f2a9c01"
#EXT-X-PART:DURATION=1.000000,URI="part_4_0.m4s?i=3f2a9c01",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.000000,URI="part_4_1.m4s?i=3f2a9c01",GAP=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="part_4_2.m4s?i=3f2a9c01"
""")


def test_the_discontinuity_of_the_first_segment_is_told_by_its_number_alone() -> None:
    entries = [a_segment(msn, start_s=2.0 * msn, duration_s=2.0) for msn in range(3)]
    entries += [
        a_segment(msn, start_s=2.0 * msn, duration_s=2.0, discontinuity_sequence=1) for msn in range(3, 12)
    ]
    stream = a_live_stream(target_duration_s=2, part_target_s=0.0, dvr_window_s=12.0)
    texts = []
    for count in range(8, 11):
        timeline = timeline_of(a_video(), *entries[:count], stream=stream)
        texts.append(render_media(timeline, timeline.renditions["High"]))
    firsts = [re.search(r"MEDIA-SEQUENCE:(\d+)\n#EXT-X-DISCONTINUITY-SEQUENCE:(\d+)", text) for text in texts]
    assert [found and found.groups() for found in firsts] == [("2", "0"), ("3", "1"), ("4", "1")]
    assert [text.count("#EXT-X-DISCONTINUITY\n") for text in texts] == [1, 0, 0]


def test_a_window_that_slid_begins_as_if_written_anew() -> None:
    """With a break before its first segment, with a gap there, and with an init segment behind that."""
    segments: list[Entry] = []
    for msn in range(14):
        start: dict[str, Any] = {"start_s": 4.0 * msn, "discontinuity_sequence": msn // 3}
        segments.append(a_gap(msn, **start) if msn % 4 == 1 else a_segment(msn, **start))
    timeline = timeline_of(a_video(), stream=a_live_stream(part_target_s=0.0, dvr_window_s=16.0))
    body = EMPTY
    for sequence, segment in enumerate(segments, start=2):
        timeline = append_record(timeline, Record(sequence=sequence, entries=(segment,)))
        known = timeline.renditions["High"]
        body = grow_media(body, timeline, known)
        assert render_media(timeline, known, body) == render_media(timeline, known)


def test_a_live_transport_stream_has_no_parts() -> None:
    stream = a_live_stream(container=Container.TS, part_target_s=0.0, dvr_window_s=16.0)
    timeline = timeline_of(a_video(), *map(a_ts_segment, range(9)), stream=stream)
    assert (
        render_media(timeline, timeline.renditions["High"])
        == """\
#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24.0,HOLD-BACK=12.0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA-SEQUENCE:5
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXTINF:4.000000,
segment_5.ts?i=3f2a9c01
#EXTINF:4.000000,
segment_6.ts?i=3f2a9c01
#EXTINF:4.000000,
segment_7.ts?i=3f2a9c01
#EXTINF:4.000000,
segment_8.ts?i=3f2a9c01
"""
    )


def test_a_delta_update_is_exactly() -> None:
    stream = a_live_stream(dvr_window_s=60.0, part_target_s=0.0)
    timeline = timeline_of(a_video(), *map(a_segment, range(10)), stream=stream)
    text = render_media(timeline, timeline.renditions["High"], skip=True)
    assert text.startswith("""\
#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24.0,HOLD-BACK=12.0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-SKIP:SKIPPED-SEGMENTS=4
#EXTINF:4.000000,
segment_4.m4s?i=3f2a9c01
""")


def test_a_short_playlist_is_given_whole() -> None:
    timeline = timeline_of(a_video(), *map(a_segment, range(6)), stream=a_live_stream())
    known = timeline.renditions["High"]
    assert render_media(timeline, known, skip=True) == render_media(timeline, known)


@settings(max_examples=100)
@given(split_histories())
def test_a_delta_update_and_what_came_before_make_the_whole(
    history: tuple[Stream, list[Entry], list[Record]],
) -> None:
    """As a client does it: what is skipped it takes from the playlist that it had."""
    stream, _, records = history
    timeline = Timeline(stream=stream)
    before: dict[PlaylistName, str] = {}
    for record in records:
        timeline = append_record(timeline, record)
        playlists = all_playlists(timeline)
        for name, text in playlists.items():
            delta = render_playlist(timeline, name, {}, skip=True)
            assert delta
            if "#EXT-X-SKIP" in delta and name in before:
                assert merged(before[name], delta) == segments_of(text)
                assert head_of(delta) == head_of(text)
        before = playlists


# URI, duration, init segment, discontinuity sequence number, and whether it is a gap.
Facts = tuple[str, float, str | None, int, bool]


def head_of(text: str) -> list[str]:
    """What a playlist says before its segments, but for its version and what is skipped."""
    head = re.split(r"#EXT-X-MAP|#EXTINF|#EXT-X-PROG|#EXT-X-GAP|#EXT-X-DISCONTINUITY\n|#EXT-X-PART:", text)[0]
    return [line for line in head.splitlines() if not line.startswith(("#EXT-X-VERSION", "#EXT-X-SKIP"))]


def segments_of(text: str) -> dict[int, Facts]:
    """A playlist's segments by number, each with all that applies to it."""
    read = read_playlist(re.sub(r"#EXT-X-SKIP:.*\n", "", text))
    number = read.discontinuity_sequence or 0
    found = {}
    for index, one in enumerate(read.segments):
        if not one.uri:
            continue  # the parts at the edge
        number += bool(one.discontinuity and index)
        init = one.init_section and one.init_section.uri
        found[read.media_sequence + index] = (one.uri, one.duration, init, number, bool(one.gap_tag))
    return found


def merged(before: str, delta: str) -> dict[int, Facts]:
    """Put a delta update onto the playlist before it."""
    known, read = segments_of(before), read_playlist(delta)
    count = int(re.findall(r"SKIPPED-SEGMENTS=(\d+)", delta)[0])
    first = read.media_sequence
    result = {msn: known[msn] for msn in range(first, first + count)}
    last = known[first + count - 1]
    # What was in force where the client left off goes on, unless the first segment behind it breaks with it.
    breaks = re.search(r"SKIPPED-SEGMENTS=\d+\n#EXT-X-DISCONTINUITY\n", delta) is not None
    more = breaks + last[3] - (read.discontinuity_sequence or 0)
    for msn, (uri, duration_s, init, number, is_gap) in segments_of(delta).items():
        result[msn + count] = (uri, duration_s, init or last[2], number + more, is_gap)
    return result


class TestEnds:
    ENTRIES = (a_video(), *(entry for msn in range(6) for entry in whole(msn)), a_part(6, 0))

    @pytest.mark.parametrize("end", [END, Ended(rendition_id="High")])
    def test_a_stream_that_has_ended_lists_its_last_window_without_parts(self, end: Ended) -> None:
        timeline = timeline_of(*self.ENTRIES, end, stream=STREAM)
        text = render_media(timeline, timeline.renditions["High"])
        assert text.endswith("segment_5.m4s?i=3f2a9c01\n#EXT-X-ENDLIST\n")
        assert not re.search(r"EXT-X-PART:|PRELOAD-HINT|RENDITION-REPORT|PLAYLIST-TYPE", text)
        assert render_media(timeline, timeline.renditions["High"], skip=True) == text

    def test_a_recorded_one_becomes_vod(self) -> None:
        stream = a_live_stream(target_duration_s=2, dvr_window_s=6.0, record=True)
        timeline = timeline_of(*self.ENTRIES, END, stream=stream)
        text = render_media(timeline, timeline.renditions["High"])
        assert text.startswith("""\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-MAP""")
        assert (text.count("#EXTINF"), text.count("EXT-X-PART")) == (6, 0)

    def test_a_rendition_that_has_ended_is_reported_no_more(self) -> None:
        entries = (an_audio(), *(entry for msn in range(6) for entry in whole(msn, "audio")))
        timeline = timeline_of(*self.ENTRIES, *entries, Ended(rendition_id="audio"), stream=STREAM)
        assert "REPORT" not in render_media(timeline, timeline.renditions["High"])

    def test_an_event_lists_parts_and_loses_nothing(self) -> None:
        stream = a_live_stream(kind=StreamKind.EVENT, target_duration_s=2)
        timeline = timeline_of(a_video(), *(e for msn in range(90) for e in whole(msn)), stream=stream)
        text = render_media(timeline, timeline.renditions["High"])
        assert "#EXT-X-PLAYLIST-TYPE:EVENT\n" in text
        assert (text.count("#EXTINF"), text.count("#EXT-X-PART:")) == (90, 6)


def test_another_parser_reads_a_low_latency_playlist() -> None:
    timeline = timeline_of(
        a_video(), *(e for msn in range(8) for e in a_whole(msn)), a_part(8, 0), stream=a_live_stream()
    )
    read = read_playlist(render_media(timeline, timeline.renditions["High"]))
    assert read.server_control.can_block_reload == "YES"
    assert (read.server_control.part_hold_back, read.part_inf.part_target) == (3.0, 1.0)
    assert [len(segment.parts) for segment in read.segments] == [0, 0, 0, 0, 0, 4, 4, 4, 1]
    assert (read.preload_hint.hint_type, read.preload_hint.uri) == ("PART", "part_8_1.m4s?i=3f2a9c01")


def test_pictures_are_offered_of_live_streams_too() -> None:
    assert PlaylistName(IFRAMES, "High") not in all_playlists(timeline_of(*TestEnds.ENTRIES, stream=STREAM))
    assert PlaylistName(MEDIA, "High") in all_playlists(timeline_of(*TestEnds.ENTRIES, stream=STREAM))
