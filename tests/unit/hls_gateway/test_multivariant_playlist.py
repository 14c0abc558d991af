"""Multivariant playlists: attributes measured from the media, line by line."""

from __future__ import annotations

from fractions import Fraction

import pytest

from hls_gateway.domain.names import MEDIA, PlaylistName
from hls_gateway.domain.playlist.catalogue import render_playlist
from hls_gateway.domain.playlist.multivariant import is_playable, render_multivariant
from hls_gateway.domain.stream import Container, Ended, Entry, MediaKind, Stream
from support.playlists import (
    END,
    a_live_stream,
    a_part,
    a_segment,
    a_stream,
    a_ts_segment,
    a_video,
    an_audio,
    iframes,
    read_playlist,
    timeline_of,
)

LOW = a_video(
    "Low",
    codecs=("avc1.64001f",),
    width_pixels=854,
    height_pixels=480,
    target_bps=1_000_000,
    peak_bps=1_500_000,
    frame_rate=Fraction(30),
)
MUXED_TS = a_video("High", media_kind=MediaKind.MUXED, codecs=("avc1.640028", "mp4a.40.2"), channel_count=2)
SEGMENTS = (
    a_segment(0, "High", size_bytes=2_000_000, iframes=iframes(100_000, 200_000)),
    a_segment(1, "High", size_bytes=2_600_000, iframes=iframes(150_000, 150_000)),
    a_segment(0, "Low", size_bytes=500_000),
    a_segment(1, "Low", size_bytes=450_000),
    a_segment(0, "audio", size_bytes=64_000),
    a_segment(1, "audio", size_bytes=66_000),
)

TABLE: dict[str, tuple[Stream, tuple[Entry, ...], str]] = {
    "while it grows, BANDWIDTH is what the encoder was told never to exceed": (
        a_stream(),
        (a_video(), LOW, an_audio(), *SEGMENTS),
        """\
#EXTM3U
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Sound",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="variants/audio/playlist.m3u8?i=3f2a9c01"
#EXT-X-STREAM-INF:BANDWIDTH=1660000,AVERAGE-BANDWIDTH=1080000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=854x480,FRAME-RATE=30.000,AUDIO="audio"
variants/Low/playlist.m3u8?i=3f2a9c01
#EXT-X-STREAM-INF:BANDWIDTH=6160000,AVERAGE-BANDWIDTH=4730000,CODECS="avc1.640028,mp4a.40.2",RESOLUTION=1920x1080,FRAME-RATE=29.970,AUDIO="audio"
variants/High/playlist.m3u8?i=3f2a9c01
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=6000000,AVERAGE-BANDWIDTH=600000,CODECS="avc1.640028",RESOLUTION=1920x1080,URI="variants/High/iframes.m3u8?i=3f2a9c01"
""",
    ),
    "at the end, BANDWIDTH is purely measured": (
        a_stream(),
        (a_video(), LOW, an_audio(), *SEGMENTS, END),
        """\
#EXTM3U
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Sound",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="variants/audio/playlist.m3u8?i=3f2a9c01"
#EXT-X-STREAM-INF:BANDWIDTH=1132000,AVERAGE-BANDWIDTH=1080000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=854x480,FRAME-RATE=30.000,AUDIO="audio"
variants/Low/playlist.m3u8?i=3f2a9c01
#EXT-X-STREAM-INF:BANDWIDTH=5332000,AVERAGE-BANDWIDTH=4730000,CODECS="avc1.640028,mp4a.40.2",RESOLUTION=1920x1080,FRAME-RATE=29.970,AUDIO="audio"
variants/High/playlist.m3u8?i=3f2a9c01
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=800000,AVERAGE-BANDWIDTH=600000,CODECS="avc1.640028",RESOLUTION=1920x1080,URI="variants/High/iframes.m3u8?i=3f2a9c01"
""",
    ),
    "a picture without sound has no group": (
        a_stream(),
        (a_video(), a_segment(0), END),
        """\
#EXTM3U
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-STREAM-INF:BANDWIDTH=4000000,AVERAGE-BANDWIDTH=4000000,CODECS="avc1.640028",RESOLUTION=1920x1080,FRAME-RATE=29.970
variants/High/playlist.m3u8?i=3f2a9c01
""",
    ),
    "sound without a picture is a variant itself": (
        a_stream(),
        (an_audio(), a_segment(0, "audio", size_bytes=64_000), END),
        """\
#EXTM3U
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-STREAM-INF:BANDWIDTH=128000,AVERAGE-BANDWIDTH=128000,CODECS="mp4a.40.2"
variants/audio/playlist.m3u8?i=3f2a9c01
""",
    ),
    "transport streams carry both, and their I-frames the picture alone": (
        a_stream(container=Container.TS),
        (MUXED_TS, a_ts_segment(0, iframes=iframes(50_000, 50_000)), END),
        """\
#EXTM3U
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-STREAM-INF:BANDWIDTH=4000000,AVERAGE-BANDWIDTH=4000000,CODECS="avc1.640028,mp4a.40.2",RESOLUTION=1920x1080,FRAME-RATE=29.970
variants/High/playlist.m3u8?i=3f2a9c01
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=200000,AVERAGE-BANDWIDTH=200000,CODECS="avc1.640028",RESOLUTION=1920x1080,URI="variants/High/iframes.m3u8?i=3f2a9c01"
""",
    ),
    "two languages make one group, in which names differ": (
        a_stream(),
        (
            a_video(),
            an_audio("en", language="en"),
            an_audio("de", language="de"),
            a_segment(0),
            a_segment(0, "en", size_bytes=64_000),
            a_segment(0, "de", size_bytes=80_000),
            END,
        ),
        """\
#EXTM3U
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="en",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="variants/en/playlist.m3u8?i=3f2a9c01"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="de",LANGUAGE="de",DEFAULT=NO,AUTOSELECT=YES,CHANNELS="2",URI="variants/de/playlist.m3u8?i=3f2a9c01"
#EXT-X-STREAM-INF:BANDWIDTH=4160000,AVERAGE-BANDWIDTH=4160000,CODECS="avc1.640028,mp4a.40.2",RESOLUTION=1920x1080,FRAME-RATE=29.970,AUDIO="audio"
variants/High/playlist.m3u8?i=3f2a9c01
""",
    ),
    "two codecs of sound make two groups, and each variant comes with either": (
        a_stream(),
        (
            a_video(),
            an_audio("aac"),
            an_audio("surround", codecs=("ec-3",), channel_count=6),
            a_segment(0),
            a_segment(0, "aac", size_bytes=64_000),
            a_segment(0, "surround", size_bytes=200_000),
            END,
        ),
        """\
#EXTM3U
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Sound",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="variants/aac/playlist.m3u8?i=3f2a9c01"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio1",NAME="Sound",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="6",URI="variants/surround/playlist.m3u8?i=3f2a9c01"
#EXT-X-STREAM-INF:BANDWIDTH=4128000,AVERAGE-BANDWIDTH=4128000,CODECS="avc1.640028,mp4a.40.2",RESOLUTION=1920x1080,FRAME-RATE=29.970,AUDIO="audio"
variants/High/playlist.m3u8?i=3f2a9c01
#EXT-X-STREAM-INF:BANDWIDTH=4400000,AVERAGE-BANDWIDTH=4400000,CODECS="avc1.640028,ec-3",RESOLUTION=1920x1080,FRAME-RATE=29.970,AUDIO="audio1"
variants/High/playlist.m3u8?i=3f2a9c01
""",
    ),
}


@pytest.mark.parametrize(("stream", "entries", "text"), TABLE.values(), ids=TABLE.keys())
def test_playlist_is_exactly(stream: Stream, entries: tuple[Entry, ...], text: str) -> None:
    assert render_multivariant(timeline_of(*entries, stream=stream)) == text


@pytest.mark.parametrize("text", [text for _, _, text in TABLE.values()], ids=TABLE.keys())
def test_another_parser_finds_a_group_for_every_variant(text: str) -> None:
    read = read_playlist(text)
    assert read.is_variant
    groups = {medium.group_id for medium in read.media}
    for variant in read.playlists:
        info = variant.stream_info
        assert info.bandwidth >= info.average_bandwidth > 0
        assert info.codecs
        assert info.audio in groups or info.audio is None


def test_beside_the_recording_all_uris_are_absolute_paths() -> None:
    timeline = timeline_of(a_video(), LOW, an_audio(), *SEGMENTS)
    read = read_playlist(render_multivariant(timeline, base="/hls/talk/"))
    uris = [one.uri for one in (*read.playlists, *read.media, *read.iframe_playlists)]
    assert uris
    assert all(uri.startswith("/hls/talk/variants/") for uri in uris)


@pytest.mark.parametrize(
    ("targets_kbps", "order"),
    [
        ((500, 1000, 2000, 4000), [2000, 500, 1000, 4000]),
        ((800, 1400, 2800, 5000), [1400, 800, 2800, 5000]),
        ((3000, 6000), [3000, 6000]),
        ((500,), [500]),
    ],
)
def test_the_variant_to_begin_with_stands_first(targets_kbps: tuple[int, ...], order: list[int]) -> None:
    entries: list[Entry] = []
    for kbps in targets_kbps:
        entries += [a_video(str(kbps), target_bps=kbps * 1000), a_segment(0, str(kbps))]
    read = read_playlist(render_multivariant(timeline_of(*entries)))
    assert [int(one.uri.split("/")[1]) for one in read.playlists] == order


class TestPlayable:
    def test_nothing_announced_is_not_playable(self) -> None:
        assert not is_playable(timeline_of())

    def test_a_rendition_without_segments_holds_the_others_back(self) -> None:
        assert not is_playable(timeline_of(a_video(), an_audio(), a_segment(0)))
        assert is_playable(timeline_of(a_video(), an_audio(), a_segment(0), a_segment(0, "audio")))

    def test_at_the_end_what_there_is_must_do(self) -> None:
        timeline = timeline_of(a_video(), an_audio(), a_segment(0), END)
        assert is_playable(timeline)
        assert "audio" not in render_multivariant(timeline)
        assert not is_playable(timeline_of(a_video(), END))

    def test_a_rendition_that_ended_is_measured_while_others_grow(self) -> None:
        timeline = timeline_of(a_video(), LOW, *SEGMENTS[:4], Ended(rendition_id="Low"))
        read = read_playlist(render_multivariant(timeline))
        assert [one.stream_info.bandwidth for one in read.playlists] == [1_000_000, 6_000_000]


class TestLive:
    STREAM = a_live_stream()

    def test_it_is_there_as_soon_as_every_rendition_has_a_segment(self) -> None:
        begun = timeline_of(a_video(), LOW, a_segment(0), a_part(0, 0, "Low"), stream=self.STREAM)
        assert not is_playable(begun)
        assert is_playable(timeline_of(a_video(), LOW, a_segment(0), a_segment(0, "Low"), stream=self.STREAM))

    def test_a_rendition_that_joins_later_is_not_waited_for(self) -> None:
        timeline = timeline_of(a_video(), *map(a_segment, range(3)), LOW, stream=self.STREAM)
        assert is_playable(timeline)
        assert "Low" not in render_multivariant(timeline)

    def test_a_rendition_that_was_given_up_is_offered_no_more(self) -> None:
        """While the others are live: a player that changed to it would be at its end."""
        given_up = Ended(rendition_id="High")
        live = timeline_of(a_video(), LOW, *SEGMENTS[:4], given_up, stream=self.STREAM)
        assert [one.uri for one in read_playlist(render_multivariant(live)).playlists] == [
            "variants/Low/playlist.m3u8?i=3f2a9c01"
        ]
        assert "High" not in render_multivariant(live)
        over = timeline_of(a_video(), LOW, *SEGMENTS[:4], given_up, END, stream=self.STREAM)
        assert "High" not in render_multivariant(over)  # it does not show all of the recording

    def test_a_rendition_that_was_given_up_has_no_playlist_that_would_show_an_end(self) -> None:
        given_up = Ended(rendition_id="High")
        timeline = timeline_of(a_video(), LOW, *SEGMENTS[:4], given_up, stream=self.STREAM)
        assert render_playlist(timeline, PlaylistName(MEDIA, "High"), {}) is None
        assert render_playlist(timeline, PlaylistName(MEDIA, "Low"), {})

    def test_bandwidth_bounds_what_is_still_to_come(self) -> None:
        timeline = timeline_of(a_video(), *SEGMENTS[:2], stream=self.STREAM)
        (variant,) = read_playlist(render_multivariant(timeline)).playlists
        assert variant.stream_info.bandwidth == 6_000_000
        assert variant.stream_info.average_bandwidth == 4_600_000


def test_what_would_break_out_of_a_quoted_string_is_replaced() -> None:
    nasty = an_audio("audio", name='a"b\r\n#EXT-X-ENDLIST\x85c')
    text = render_multivariant(timeline_of(a_video(), nasty, a_segment(0), a_segment(0, "audio")))
    assert 'NAME="a\'b  #EXT-X-ENDLIST c"' in text
    assert len(text.splitlines()) == 5
