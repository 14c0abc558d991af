"""Content steering: who is led where, and what the manifest says of it."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from hls_gateway.domain.playlist.cohort import Cohort
from hls_gateway.domain.playlist.multivariant import render_multivariant
from hls_gateway.domain.steering import Pathway, Steering, prioritize, render_manifest
from support.playlists import a_segment, a_video, an_audio, iframes, timeline_of

INCARNATION = "3f2a9c01"


def pathway(pathway_id: str, weight: float = 1.0, *, base_url: str = "", healthy: bool = True) -> Pathway:
    return Pathway(pathway_id=pathway_id, base_url=base_url, weight=weight, healthy=healthy)


EDGE = pathway("edge", 3.0)
CDN = pathway("cdn", 1.0, base_url="https://cdn.example.com:444/weir/")
TIMELINE = timeline_of(
    a_video(), an_audio(), a_segment(0, "High", iframes=iframes(1000)), a_segment(0, "audio")
)


class TestPriority:
    SESSIONS = tuple(f"session-{number}" for number in range(4000))

    def firsts(self, *pathways: Pathway) -> dict[str, str]:
        return {session: prioritize(pathways, session)[0] for session in self.SESSIONS}

    def test_each_comes_first_for_its_share(self) -> None:
        counts = Counter(self.firsts(EDGE, CDN).values())
        assert counts["edge"] / len(self.SESSIONS) == pytest.approx(0.75, abs=0.03)

    def test_the_order_of_telling_does_not_matter(self) -> None:
        assert self.firsts(EDGE, CDN) == self.firsts(CDN, EDGE)

    def test_when_one_fails_only_its_own_players_move(self) -> None:
        third = pathway("third", 1.0, base_url="https://third.example.com")
        sick = pathway("cdn", 1.0, base_url=CDN.base_url, healthy=False)
        before, after = self.firsts(EDGE, CDN, third), self.firsts(EDGE, sick, third)
        assert "cdn" not in after.values()
        assert all(after[session] == first for session, first in before.items() if first != "cdn")

    def test_without_weight_one_is_only_a_last_resort(self) -> None:
        spare = pathway("spare", 0.0, base_url="https://spare.example.com")
        assert {prioritize((spare, EDGE), session)[1] for session in self.SESSIONS} == {"spare"}

    def test_when_all_are_sick_they_are_all_there_is(self) -> None:
        sick = (pathway("a", healthy=False), pathway("b", healthy=False))
        assert sorted(prioritize(sick, "s")) == ["a", "b"]


def test_the_manifest_clones_the_origin() -> None:
    manifest = json.loads(render_manifest(TIMELINE, Steering(pathways=(EDGE, CDN)), "s-1", ttl_s=7))
    there = "https://cdn.example.com:444/weir/hls/talk/variants"
    assert sorted(manifest.pop("PATHWAY-PRIORITY")) == ["cdn", "edge"]
    assert manifest == {
        "VERSION": 1,
        "TTL": 7,
        "RELOAD-URI": "steering.json?session=s-1",
        "PATHWAY-CLONES": [
            {
                "BASE-ID": "edge",
                "ID": "cdn",
                "URI-REPLACEMENT": {
                    "HOST": "cdn.example.com:444",
                    "PER-VARIANT-URIS": {
                        "High": f"{there}/High/playlist.m3u8?i={INCARNATION}",
                        "High/iframes.m3u8": f"{there}/High/iframes.m3u8?i={INCARNATION}",
                    },
                    "PER-RENDITION-URIS": {"audio": f"{there}/audio/playlist.m3u8?i={INCARNATION}"},
                },
            }
        ],
    }


def test_the_playlist_says_where_to_ask_and_names_what_is_stable() -> None:
    text = render_multivariant(TIMELINE, cohort=Cohort(origin_id="edge", session_id="s-1"))
    assert (
        text
        == f"""\
#EXTM3U
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-CONTENT-STEERING:SERVER-URI="steering.json?session=s-1",PATHWAY-ID="edge"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Sound",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",STABLE-RENDITION-ID="audio",URI="variants/audio/playlist.m3u8?i={INCARNATION}"
#EXT-X-STREAM-INF:BANDWIDTH=10000000,AVERAGE-BANDWIDTH=8000000,CODECS="avc1.640028,mp4a.40.2",RESOLUTION=1920x1080,FRAME-RATE=29.970,AUDIO="audio",STABLE-VARIANT-ID="High",PATHWAY-ID="edge"
variants/High/playlist.m3u8?i={INCARNATION}
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=6000000,AVERAGE-BANDWIDTH=4000,CODECS="avc1.640028",RESOLUTION=1920x1080,URI="variants/High/iframes.m3u8?i={INCARNATION}",STABLE-VARIANT-ID="High/iframes.m3u8",PATHWAY-ID="edge"
"""
    )


def test_an_origin_that_nobody_names_is_the_unnamed_one() -> None:
    steering = Steering(pathways=(CDN, pathway("other", base_url="https://other.example.com")))
    assert (steering.origin_id, [one.pathway_id for one in steering.clones]) == (".", ["cdn", "other"])
    text = render_multivariant(TIMELINE, cohort=Cohort(origin_id=steering.origin_id))
    assert '#EXT-X-CONTENT-STEERING:SERVER-URI="steering.json"\n' in text
    assert "PATHWAY-ID" not in text
