"""Multivariant playlists for groups of viewers: order, caps and scores."""

from __future__ import annotations

import re

import pytest

from chassis.errors import InvalidArgument
from hls_gateway.domain.playlist.cohort import EVERYBODY, Cohort
from hls_gateway.domain.playlist.multivariant import advertised_bps, render_multivariant
from hls_gateway.routes import find_cohort, find_session, find_throughput_bps
from support.playlists import a_segment, a_video, an_audio, iframes, timeline_of

RUNGS = {
    "VeryLow": (500_000, 240),
    "Low": (1_000_000, 480),
    "Medium": (2_000_000, 720),
    "High": (4_000_000, 1080),
}
TIMELINE = timeline_of(
    an_audio(),
    a_segment(0, "audio"),
    *(a_video(name, target_bps=bps, height_pixels=height) for name, (bps, height) in RUNGS.items()),
    *(a_segment(0, name, iframes=iframes(1000)) for name in RUNGS),
)


def shown(cohort: Cohort) -> list[tuple[str, str]]:
    """Give the variants in their order, with their scores."""
    text = render_multivariant(TIMELINE, cohort=cohort)
    found = re.findall(r"#EXT-X-STREAM-INF:(.*)\nvariants/(\w+)/playlist", text)
    iframe_ids = re.findall(r'URI="variants/(\w+)/iframes', text)
    assert sorted(iframe_ids) == sorted(variant_id for _, variant_id in found)
    scores = [re.findall(r"SCORE=([0-9.]+)", attributes) for attributes, _ in found]
    return [(variant_id, "".join(score)) for (_, variant_id), score in zip(found, scores, strict=True)]


@pytest.mark.parametrize(
    ("cohort", "variants"),
    [
        (EVERYBODY, [("Medium", ""), ("VeryLow", ""), ("Low", ""), ("High", "")]),
        (Cohort(first_id="High"), [("High", "4.0"), ("VeryLow", "1.0"), ("Low", "2.0"), ("Medium", "3.0")]),
        (Cohort(max_bps=1_999_999), [("Low", "2.0"), ("VeryLow", "1.0")]),
        (Cohort(max_height_pixels=720, max_bps=1_000_000), [("Low", "2.0"), ("VeryLow", "1.0")]),
        (Cohort(max_height_pixels=480, first_id="VeryLow"), [("VeryLow", "1.0"), ("Low", "2.0")]),
        (Cohort(max_bps=1), [("VeryLow", "1.0")]),
        (Cohort(max_bps=500_000, first_id="High"), [("VeryLow", "1.0")]),
        (Cohort(first_id="unheard-of", max_bps=1_000_000), [("Low", "2.0"), ("VeryLow", "1.0")]),
    ],
)  # fmt: skip
def test_a_cohort_has_its_variants_in_its_order(cohort: Cohort, variants: list[tuple[str, str]]) -> None:
    assert shown(cohort) == variants


def test_sound_plays_along_for_every_cohort() -> None:
    assert "TYPE=AUDIO" in render_multivariant(TIMELINE, cohort=Cohort(max_bps=1))


def test_a_variant_is_offered_under_its_bandwidth() -> None:
    text = render_multivariant(TIMELINE)
    (bandwidth,) = re.findall(r"BANDWIDTH=(\d+),AVERAGE[^\n]*\nvariants/Low/", text)
    assert advertised_bps(TIMELINE, "Low") == int(bandwidth)
    assert advertised_bps(TIMELINE, "unheard-of") is None


@pytest.mark.parametrize(
    ("query", "cohort"),
    [
        (b"", EVERYBODY),
        (b"i=3f2a&CMCD=sid%3D%22x%22&x=1", EVERYBODY),
        (b"session=s-1&first=Low", Cohort(first_id="Low", session_id="s-1")),
        (b"max_bps=2000000&max_height=720", Cohort(max_bps=2_000_000, max_height_pixels=720)),
        (b"first=&max_bps=", EVERYBODY),
    ],
)
def test_a_query_says_for_whom_it_is(query: bytes, cohort: Cohort) -> None:
    assert find_cohort(query) == cohort


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (b"max_bps=fast", "max_bps is 'fast': it must be a whole number from 1 to 2000000000"),
        (b"max_bps=0", "max_bps is '0'"),
        (b"max_bps=2000000001", "max_bps is '2000000001'"),
        (b"max_height=-1", "max_height is '-1': it must be a whole number from 1 to 100000"),
        (b"first=../x", "first is '../x'"),
        (b"session=a%20b", "session is 'a%20b'"),
    ],
)
def test_a_malformed_wish_is_refused(query: bytes, message: str) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(message)):
        find_cohort(query)


def test_a_steered_player_shows_its_session_and_its_throughput() -> None:
    query = b"session=s-1&_HLS_pathway=cdn&_HLS_throughput=5140000"
    assert (find_session(query), find_throughput_bps(query)) == ("s-1", 5_140_000.0)
    for value in (b"", b"0", b"NaN", b"-1", b"1e9", b"9" * 16):
        assert find_throughput_bps(b"_HLS_throughput=" + value) is None
