"""Media playlists: what a timeline becomes, line by line, and read back by another's parser."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hls_gateway.domain.playlist.body import EMPTY
from hls_gateway.domain.playlist.media import grow_media, render_media
from hls_gateway.domain.stream import Container, Ended, Entry, Stream, StreamKind
from support.playlists import (
    END,
    a_gap,
    a_segment,
    a_stream,
    a_ts_segment,
    a_video,
    an_audio,
    read_playlist,
    timeline_of,
)

NOON = datetime(2026, 11, 22, 12, 0, 0, 123_456, tzinfo=UTC)
LIVE = a_stream(kind=StreamKind.LIVE)
INIT = "streams/talk/3f2a9c01/High/init-{}.mp4"


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


TABLE = {
    "a recording that is still transcoded is an EVENT that begins at its beginning": (
        a_stream(),
        (a_video(), a_segment(0, duration_s=4.004), a_segment(1, duration_s=3.970633)),
        """\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:4
#EXT-X-PLAYLIST-TYPE:EVENT
#EXT-X-START:TIME-OFFSET=0,PRECISE=YES
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-MAP:URI="init-11223344.mp4?i=3f2a9c01"
#EXTINF:4.004000,
segment_0.m4s?i=3f2a9c01
#EXTINF:3.970633,
segment_1.m4s?i=3f2a9c01
""",
    ),
    "a whole recording is VOD with its end": (
        a_stream(),
        (a_video(), a_segment(0), a_segment(1, duration_s=1.5), END),
        """\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:4
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-MAP:URI="init-11223344.mp4?i=3f2a9c01"
#EXTINF:4.000000,
segment_0.m4s?i=3f2a9c01
#EXTINF:1.500000,
segment_1.m4s?i=3f2a9c01
#EXT-X-ENDLIST
""",
    ),
    "transport streams need neither a map nor its version": (
        a_stream(container=Container.TS),
        (a_video(), a_ts_segment(0), END),
        """\
#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:4
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA-SEQUENCE:0
#EXTINF:4.000000,
segment_0.ts?i=3f2a9c01
#EXT-X-ENDLIST
""",
    ),
    "an event never loses its beginning and says so to the end": (
        a_stream(kind=StreamKind.EVENT, container=Container.TS),
        (a_video(), a_ts_segment(0, program_date_time=NOON), END),
        """\
#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:4
#EXT-X-PLAYLIST-TYPE:EVENT
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24.0,HOLD-BACK=12.0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:00.123Z
#EXTINF:4.000000,
segment_0.ts?i=3f2a9c01
#EXT-X-ENDLIST
""",
    ),
    "a sliding window has no type, and tells what has left it": (
        LIVE,
        (
            a_video(),
            a_segment(812, program_date_time=at(0), discontinuity_sequence=3),
            a_segment(813, program_date_time=at(4), discontinuity_sequence=3),
        ),
        """\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24.0,HOLD-BACK=12.0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA-SEQUENCE:812
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-MAP:URI="init-11223344.mp4?i=3f2a9c01"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:00.123Z
#EXTINF:4.000000,
segment_812.m4s?i=3f2a9c01
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:04.123Z
#EXTINF:4.000000,
segment_813.m4s?i=3f2a9c01
""",
    ),
    "a discontinuity and a new init segment stand before the first segment that has them": (
        LIVE,
        (
            a_video(),
            a_segment(5, program_date_time=at(0)),
            a_segment(6, program_date_time=at(9), discontinuity_sequence=1, init_key=INIT.format("55667788")),
            a_segment(
                7, program_date_time=at(13), discontinuity_sequence=1, init_key=INIT.format("55667788")
            ),
        ),
        """\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24.0,HOLD-BACK=12.0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA-SEQUENCE:5
#EXT-X-MAP:URI="init-11223344.mp4?i=3f2a9c01"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:00.123Z
#EXTINF:4.000000,
segment_5.m4s?i=3f2a9c01
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="init-55667788.mp4?i=3f2a9c01"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:09.123Z
#EXTINF:4.000000,
segment_6.m4s?i=3f2a9c01
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:13.123Z
#EXTINF:4.000000,
segment_7.m4s?i=3f2a9c01
""",
    ),
    "a gap keeps its place and number, and the map in force": (
        LIVE,
        (a_video(), a_segment(5), a_gap(6), a_segment(7)),
        """\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24.0,HOLD-BACK=12.0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA-SEQUENCE:5
#EXT-X-MAP:URI="init-11223344.mp4?i=3f2a9c01"
#EXTINF:4.000000,
segment_5.m4s?i=3f2a9c01
#EXT-X-GAP
#EXTINF:4.000000,
segment_6.m4s?i=3f2a9c01
#EXTINF:4.000000,
segment_7.m4s?i=3f2a9c01
""",
    ),
    "a rendition may end before the stream does": (
        LIVE,
        (a_video(), a_segment(5), Ended(rendition_id="High")),
        """\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24.0,HOLD-BACK=12.0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA-SEQUENCE:5
#EXT-X-MAP:URI="init-11223344.mp4?i=3f2a9c01"
#EXTINF:4.000000,
segment_5.m4s?i=3f2a9c01
#EXT-X-ENDLIST
""",
    ),
}


@pytest.mark.parametrize(("stream", "entries", "text"), TABLE.values(), ids=TABLE.keys())
def test_playlist_is_exactly(stream: Stream, entries: tuple[Entry, ...], text: str) -> None:
    timeline = timeline_of(*entries, stream=stream)
    assert render_media(timeline, timeline.renditions["High"]) == text


@pytest.mark.parametrize(("stream", "entries", "text"), TABLE.values(), ids=TABLE.keys())
def test_another_parser_reads_back_what_was_announced(
    stream: Stream, entries: tuple[Entry, ...], text: str
) -> None:
    known = timeline_of(*entries, stream=stream).renditions["High"]
    read = read_playlist(text)
    assert read.target_duration == stream.target_duration_s
    assert read.media_sequence == known.segments[0].msn
    assert read.is_endlist == (END in entries or Ended(rendition_id="High") in entries)
    assert [one.duration for one in read.segments] == pytest.approx(
        [one.duration_s for one in known.segments]
    )
    assert [one.gap_tag is not None for one in read.segments] == [one.gap for one in known.segments]
    for got, given in zip(read.segments, known.segments, strict=True):
        assert got.uri.startswith(f"segment_{given.msn}.")
        assert (got.init_section is not None) == bool(
            given.init_key or (given.gap and stream.container == "m4s")
        )
        if given.program_date_time:
            assert abs(got.program_date_time - given.program_date_time) < timedelta(milliseconds=1)


def test_audio_playlist_names_audio_segments() -> None:
    timeline = timeline_of(an_audio(), a_segment(0, "audio"), END)
    text = render_media(timeline, timeline.renditions["audio"])
    assert text.endswith("#EXTINF:4.000000,\nsegment_0.m4s?i=3f2a9c01\n#EXT-X-ENDLIST\n")


def test_target_duration_is_the_streams_whatever_segments_last() -> None:
    stream = a_stream(target_duration_s=6)
    timeline = timeline_of(a_video(), replace(a_segment(0), duration_s=1.0), stream=stream)
    assert "#EXT-X-TARGETDURATION:6\n" in render_media(timeline, timeline.renditions["High"])


def test_a_window_that_slid_is_written_as_if_anew() -> None:
    before = timeline_of(a_video(), a_segment(5), a_segment(6), stream=LIVE)
    after = timeline_of(a_video(), a_segment(6), a_segment(7), stream=LIVE)
    body = grow_media(EMPTY, before, before.renditions["High"])
    known = after.renditions["High"]
    assert render_media(after, known, body) == render_media(after, known)


def test_time_zones_are_written_as_utc() -> None:
    local = datetime.fromisoformat("2026-11-22T14:30:00.999999+02:00")
    timeline = timeline_of(a_video(), a_segment(0, program_date_time=local), stream=LIVE)
    text = render_media(timeline, timeline.renditions["High"])
    assert "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:30:00.999Z\n" in text
