"""The viewer who trusts nobody reads all that playlists name, of a server with a script."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.follower import following
from support.scripted import Response, ScriptedHttp

MASTER = """\
#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=200000
variants/Low/playlist.m3u8?i=1
"""
PLAYLIST = """\
#EXTM3U
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-MAP:URI="init_1.mp4?i=1"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:00.000Z
#EXTINF:2.0,
segment_0.m4s?i=1
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:02.000Z
#EXTINF:2.0,
segment_1.m4s?i=1
#EXT-X-ENDLIST
"""
LOW = "/hls/film/variants/Low"


@pytest.fixture
def peer() -> Iterator[ScriptedHttp]:
    """A server with one stream that has ended; its media are empty."""
    peer = ScriptedHttp("gateway")
    peer.scripts["/hls/film/master.m3u8"] = lambda _: Response(body=MASTER.encode())
    peer.scripts[f"{LOW}/playlist.m3u8"] = lambda _: Response(body=PLAYLIST.encode())
    yield peer
    peer.stop()


def count_reads(peer: ScriptedHttp, name: str) -> int:
    """How often something of the rendition was asked for."""
    return sum(request.path == f"{LOW}/{name}?i=1" for request in peer.requests)


def test_all_that_a_playlist_names_is_read(peer: ScriptedHttp) -> None:
    with following(f"http://127.0.0.1:{peer.port}", "film") as follower:
        follower.wait_ended(within_s=20)
    assert all(count_reads(peer, name) for name in ("init_1.mp4", "segment_0.m4s", "segment_1.m4s"))


@pytest.mark.parametrize("status", [204, 404, 410])
@pytest.mark.parametrize("name", ["init_1.mp4", "segment_1.m4s"])
def test_what_is_named_and_cannot_be_read_is_a_fault(peer: ScriptedHttp, name: str, status: int) -> None:
    peer.scripts[f"{LOW}/{name}"] = lambda _: Response(status=status)
    with (
        pytest.raises(AssertionError, match=rf"{name}\?i=1 was announced and answered {status}"),
        following(f"http://127.0.0.1:{peer.port}", "film") as follower,
    ):
        follower.wait_ended(within_s=20)


def test_an_init_segment_is_read_again_while_its_server_is_away(peer: ScriptedHttp) -> None:
    statuses = iter([503, 503])
    peer.scripts[f"{LOW}/init_1.mp4"] = lambda _: Response(status=next(statuses, 200))
    with following(f"http://127.0.0.1:{peer.port}", "film") as follower:
        follower.wait_ended(within_s=20)
    assert count_reads(peer, "init_1.mp4") >= 3
    assert [retry for retry in follower.retries if "init_1.mp4" in retry]
