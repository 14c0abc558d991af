"""I-frame playlists, line by line."""

from __future__ import annotations

from hls_gateway.domain.playlist.body import EMPTY
from hls_gateway.domain.playlist.iframes import grow_iframes, has_iframes, render_iframes
from hls_gateway.domain.stream import Container, StreamKind
from support.playlists import (
    END,
    a_gap,
    a_segment,
    a_stream,
    a_ts_segment,
    a_video,
    an_audio,
    iframes,
    read_playlist,
    timeline_of,
)


def test_each_iframe_is_a_byte_range_of_its_segment() -> None:
    timeline = timeline_of(
        a_video(),
        a_segment(0, iframes=iframes(40_000, 41_000)),
        a_segment(1, iframes=iframes(42_000), duration_s=2.0),
        END,
    )
    assert (
        render_iframes(timeline, timeline.renditions["High"])
        == """\
#EXTM3U
#EXT-X-VERSION:5
#EXT-X-TARGETDURATION:4
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-I-FRAMES-ONLY
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-MAP:URI="init-11223344.mp4?i=3f2a9c01"
#EXTINF:2.000000,
#EXT-X-BYTERANGE:40000@100
segment_0.m4s?i=3f2a9c01
#EXTINF:2.000000,
#EXT-X-BYTERANGE:41000@50100
segment_0.m4s?i=3f2a9c01
#EXTINF:2.000000,
#EXT-X-BYTERANGE:42000@100
segment_1.m4s?i=3f2a9c01
#EXT-X-ENDLIST
"""
    )


def test_transport_streams_need_version_4_only() -> None:
    stream = a_stream(container=Container.TS)
    timeline = timeline_of(a_video(), a_ts_segment(0, iframes=iframes(40_000)), stream=stream)
    text = render_iframes(timeline, timeline.renditions["High"])
    assert "#EXT-X-VERSION:4\n" in text
    assert "#EXT-X-MAP" not in text
    assert "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-START:TIME-OFFSET=0,PRECISE=YES\n" in text


def test_a_gap_keeps_the_time_of_what_follows() -> None:
    entries = (a_segment(0, iframes=iframes(9)), a_gap(1), a_segment(2, iframes=iframes(9)))
    timeline = timeline_of(a_video(), *entries, stream=a_stream(kind=StreamKind.EVENT))
    text = render_iframes(timeline, timeline.renditions["High"])
    assert "#EXT-X-GAP\n#EXTINF:4.000000,\nsegment_1.m4s?i=3f2a9c01\n" in text


def test_another_parser_reads_back_the_ranges() -> None:
    timeline = timeline_of(a_video(), a_segment(0, iframes=iframes(40_000, 41_000)), END)
    read = read_playlist(render_iframes(timeline, timeline.renditions["High"]))
    assert read.is_i_frames_only
    assert [one.byterange for one in read.segments] == ["40000@100", "41000@50100"]


def test_only_what_has_iframes_has_the_playlist() -> None:
    picture = timeline_of(a_video(), a_segment(0, iframes=iframes(9)))
    sound = timeline_of(an_audio(), a_segment(0, "audio"))
    assert has_iframes(picture.renditions["High"])
    assert not has_iframes(sound.renditions["audio"])


def test_a_live_playlist_shows_one_picture_of_each_segment_under_its_number() -> None:
    timeline = timeline_of(
        a_video(),
        *(a_segment(msn, iframes=iframes(40_000, 41_000)) for msn in range(812, 820)),
        a_gap(820),
        a_segment(821),
        stream=a_stream(kind=StreamKind.LIVE, dvr_window_s=16.0),
    )
    assert (
        render_iframes(timeline, timeline.renditions["High"])
        == """\
#EXTM3U
#EXT-X-VERSION:5
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24.0,HOLD-BACK=12.0
#EXT-X-I-FRAMES-ONLY
#EXT-X-MEDIA-SEQUENCE:818
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="init-11223344.mp4?i=3f2a9c01"
#EXTINF:4.000000,
#EXT-X-BYTERANGE:40000@100
segment_818.m4s?i=3f2a9c01
#EXTINF:4.000000,
#EXT-X-BYTERANGE:40000@100
segment_819.m4s?i=3f2a9c01
#EXT-X-GAP
#EXTINF:4.000000,
segment_820.m4s?i=3f2a9c01
#EXT-X-GAP
#EXTINF:4.000000,
segment_821.m4s?i=3f2a9c01
"""
    )


def test_a_recorded_stream_shows_every_picture_once_it_has_ended() -> None:
    entries = (
        a_video(),
        a_segment(0, iframes=iframes(40_000, 41_000)),
        a_segment(1, iframes=iframes(42_000)),
    )
    stream = a_stream(kind=StreamKind.LIVE, record=True)
    live, whole = timeline_of(*entries, stream=stream), timeline_of(*entries, END, stream=stream)
    body = grow_iframes(EMPTY, live, live.renditions["High"])
    text = render_iframes(whole, whole.renditions["High"], body)
    assert text == render_iframes(whole, whole.renditions["High"])
    assert (text.count("BYTERANGE"), "PLAYLIST-TYPE:VOD" in text) == (3, True)
