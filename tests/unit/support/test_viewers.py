"""The simulated viewers' own rules: when a stall is one, which rung is taken, how CMCD is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls_gateway.domain.cmcd import find_cmcd, parse_cmcd
from support.seen import read_seen
from support.viewers_clock import PlaybackClock, Stall
from support.viewers_words import (
    Line,
    Offer,
    Words,
    choose_offer,
    first_msn,
    read_offers,
    read_told_kbps,
    reload_after_s,
    render_headers,
    render_query,
)

MASTER = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Sound",URI="variants/audio/playlist.m3u8?i=1"
#EXT-X-STREAM-INF:BANDWIDTH=900000,CODECS="avc1.64000d,mp4a.40.2",AUDIO="audio"
variants/High/playlist.m3u8?i=1
#EXT-X-STREAM-INF:BANDWIDTH=200000,CODECS="avc1.64000d,mp4a.40.2",AUDIO="audio"
variants/Low/playlist.m3u8?i=1
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=8000,URI="variants/Low/iframes.m3u8?i=1"
"""
HIGH, LOW = read_offers(MASTER)


def a_playlist(count: int, *, end: str = "", first: int = 7) -> str:
    head = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
    return head + "".join(f"#EXTINF:2.0,\n{first + place}.ts\n" for place in range(count)) + end


def test_media_is_played_as_time_passes() -> None:
    clock = PlaybackClock(begin_s=2.0)
    clock.advance(100.0)
    clock.add(101.0, 1.0)
    assert clock.is_dry(102.0)
    clock.add(103.0, 3.0)
    assert clock.startup_s == 3.0
    assert clock.held_s(105.0) == 2.0
    assert clock.stalls_since(0.0, 107.0) == []


def test_a_stall_begins_with_the_last_frame_and_ends_with_enough_media() -> None:
    clock = PlaybackClock(begin_s=2.0)
    clock.add(100.0, 4.0)
    assert clock.stalls_since(0.0, 105.0) == [Stall(104.0, 1.0)]  # it goes on
    clock.add(106.0, 1.0)
    clock.add(107.0, 1.0)
    assert clock.stalls == clock.stalls_since(106.5, 108.0) == [Stall(104.0, 3.0)]
    assert clock.stalls_since(107.5, 108.0) == []
    assert (clock.held_s(108.0), clock.played_s) == (1.0, 5.0)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=30))
def test_time_is_played_stalled_or_waited_and_nothing_else(steps: list[tuple[int, int]]) -> None:
    clock, now = PlaybackClock(begin_s=1.0), 100.0
    clock.advance(now)
    for pause, media in steps:
        now += pause
        clock.add(now, float(media))
    stalled_s = sum(stall.duration_s for stall in clock.stalls_since(0.0, now))
    assert clock.played_s + stalled_s + (clock.startup_s or 0.0) == pytest.approx(now - 100.0)
    assert clock.played_s + clock.held_s(now) == pytest.approx(sum(media for _, media in steps))


def test_variants_are_read_with_their_sound_and_without_trick_play() -> None:
    assert [offer.name for offer in (HIGH, LOW)] == ["High", "Low"]
    assert LOW.uris == ("variants/Low/playlist.m3u8?i=1", "variants/audio/playlist.m3u8?i=1")


@pytest.mark.parametrize(
    ("throughput_bps", "told_kbps", "chosen"),
    [
        (1_125_000, None, HIGH),
        (1_124_000, None, LOW),
        (10_000, None, LOW),
        (9_000_000, 899, LOW),
        (9_000_000, 900, HIGH),
    ],
)
def test_the_best_rung_is_taken_that_the_line_carries_and_the_server_suggests(
    throughput_bps: float, told_kbps: int | None, chosen: Offer
) -> None:
    assert choose_offer((HIGH, LOW), throughput_bps, told_kbps) == chosen


def test_a_recording_begins_at_its_start_and_a_live_stream_three_targets_before_its_end() -> None:
    assert first_msn(read_seen(a_playlist(9, end="#EXT-X-ENDLIST\n"))) == 7
    assert first_msn(read_seen(a_playlist(9))) == 13
    assert first_msn(read_seen(a_playlist(2))) == 7


def test_a_playlist_without_news_is_read_again_after_half_a_target() -> None:
    old, new = read_seen(a_playlist(3)), read_seen(a_playlist(4))
    assert [reload_after_s(new, before) for before in (None, old, new)] == [2.0, 2.0, 1.0]


WORDS: Words = {"sid": "viewer-1", "cid": "film", "bl": 9400, "mtp": 1200, "ot": "v", "br": 900, "d": 4000}


def test_the_gateway_reads_what_viewers_say() -> None:
    query = render_query({**WORDS, "su": False, "bs": True}).encode()
    headers = {
        name.lower().encode(): said.encode() for name, said in render_headers({**WORDS, "bs": True}).items()
    }
    for cmcd in (parse_cmcd(query), parse_cmcd(find_cmcd(headers, b""))):
        assert (cmcd.session_id, cmcd.buffer_s, cmcd.throughput_bps) == ("viewer-1", 9.4, 1_200_000)
        assert (cmcd.starved, cmcd.startup, cmcd.duration_s, cmcd.bad_count) == (True, False, 4.0, 0)


def test_what_the_server_suggests_is_read_of_cmsd() -> None:
    assert read_told_kbps('"weir";mb=681') == 681
    assert read_told_kbps("") is None


def test_a_thin_line_takes_its_time() -> None:
    assert (Line(bps=8000).takes_s(2000), Line().takes_s(2000)) == (2.0, 0.0)
