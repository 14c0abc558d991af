"""Playlists over HTTP, from a distributor's Watch to the socket."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from weir.timeline.v1 import timeline_pb2 as pb

from support.gateway import (
    INCARNATION,
    Scene,
    audio,
    ended,
    publish,
    running_gateway,
    running_scene,
    segment,
    stream,
    until,
    video,
)
from support.playlists import read_playlist
from support.ports import free_ports
from support.timeline_peer import TimelinePeer, running_peer

MASTER = "/hls/talk/master.m3u8"
HIGH = "/hls/talk/variants/High/playlist.m3u8"


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with running_scene(tmp_path) as running:
        yield running


async def test_playlist_grows_with_the_timeline_and_ends_with_it(scene: Scene) -> None:
    await publish(scene, [video(), segment(0)])
    first = await scene.get(HIGH)
    assert (first.status, first.headers["content-type"]) == (200, "application/vnd.apple.mpegurl")
    assert "EVENT" in first.text
    scene.peer.append("talk", segment(1))
    await until(scene, HIGH, "segment_1.m4s")
    scene.peer.append("talk", ended())
    await until(scene, HIGH, "#EXT-X-ENDLIST")
    assert "#EXT-X-PLAYLIST-TYPE:VOD" in (await scene.get(HIGH)).text
    assert len(scene.peer.watches) == 1


async def test_every_uri_of_every_playlist_is_answered(scene: Scene) -> None:
    iframe = pb.IFrame(offset_bytes=0, size_bytes=500, duration_s=4.0)
    await publish(
        scene,
        [video(), audio(), segment(0, iframes=[iframe]), segment(0, "audio")],
        [segment(1, iframes=[iframe]), segment(1, "audio"), ended()],
    )
    for master, base in ((MASTER, "/hls/talk/"), ("/api/v1/recordings/talk/stream/master.m3u8", "")):
        read = read_playlist((await scene.get(master)).text)
        lists = [one.uri for one in (*read.playlists, *read.media, *read.iframe_playlists)]
        assert len(lists) == 3
        for uri in lists:
            answer = await scene.get(base + uri)
            assert answer.status == 200
            folder = (base + uri).rpartition("/")[0]
            media = read_playlist(answer.text)
            for one in media.segments:
                assert (await scene.get(f"{folder}/{one.uri}")).status == 200
                assert (await scene.get(f"{folder}/{one.init_section.uri}")).status == 200


async def test_headers_of_a_playlist(scene: Scene) -> None:
    await publish(scene, [video(), *(segment(number) for number in range(40))])
    plain = await scene.get(HIGH)
    packed = await scene.get(HIGH, accept_encoding="br, gzip;q=0.5")
    assert gzip.decompress(packed.body) == plain.body
    assert packed.headers["content-encoding"] == "gzip"
    for answer in (plain, packed):
        assert answer.headers["cache-control"] == "public, max-age=2"  # half of 4 s
        assert answer.headers["vary"] == "accept-encoding"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "etag" in answer.headers["access-control-expose-headers"]
        assert answer.headers["date"].endswith(" GMT")
    again = await scene.get(HIGH, if_none_match=plain.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    head = await scene.get(HIGH, method="HEAD")
    assert (head.status, head.headers["content-length"]) == (200, str(len(plain.body)))
    part = await scene.get(HIGH, range="bytes=0-6")
    assert (part.status, part.body) == (206, b"#EXTM3U")


async def test_unknown_stream_is_404_for_a_second_at_most(scene: Scene) -> None:
    answers = [await scene.get("/hls/nobody/master.m3u8") for _ in range(3)]
    for answer in answers:
        assert (answer.status, answer.headers["cache-control"]) == (404, "public, max-age=1")
        assert answer.headers["access-control-allow-origin"] == "*"
        error = json.loads(answer.body)
        assert error["code"] == 5
        assert error["details"][0]["reason"] == "NO_STREAM"
    assert len(scene.peer.watches) == 1  # the distributor is not asked each time


async def test_a_stream_that_appears_is_found_after_that_second(scene: Scene) -> None:
    assert (await scene.get(MASTER)).status == 404
    await publish(scene, [video(), segment(0)])
    await until(scene, MASTER, "#EXTM3U")


async def test_nothing_to_play_yet_is_404(scene: Scene) -> None:
    scene.peer.create(stream())
    answer = await scene.get(MASTER)
    assert (answer.status, json.loads(answer.body)["details"][0]["reason"]) == (404, "NO_PLAYLIST")
    scene.peer.append("talk", video(), audio(), segment(0))
    await until(scene, HIGH, "segment_0")
    assert (await scene.get(MASTER)).status == 404  # the sound is announced, but not there
    scene.peer.append("talk", segment(0, "audio"))
    await until(scene, MASTER, 'AUDIO="audio"')


async def test_many_first_requests_make_one_watch(scene: Scene) -> None:
    await publish(scene, [video(), segment(0)])
    answers = await asyncio.gather(*(scene.get(HIGH) for _ in range(50)))
    assert {answer.status for answer in answers} == {200}
    assert len(scene.peer.watches) == 1


async def test_a_deleted_stream_is_404(scene: Scene) -> None:
    await publish(scene, [video(), segment(0)])
    assert (await scene.get(MASTER)).status == 200
    scene.peer.delete("talk")
    await until(scene, MASTER, "NO_STREAM")


async def test_a_new_incarnation_takes_over_and_the_old_stays_for_its_viewers(scene: Scene) -> None:
    await publish(scene, [video(), segment(0), ended()])
    assert INCARNATION in (await scene.get(MASTER)).text
    scene.peer.create(stream(incarnation="b00b1e5"))
    scene.peer.append("talk", video("Low", target_bps=1), segment(0, "Low", duration_s=2.0))
    await until(scene, MASTER, "variants/Low/playlist.m3u8?i=b00b1e5")
    assert (await scene.get(HIGH)).status == 404
    old = await scene.get(f"{HIGH}?i={INCARNATION}")
    assert (old.status, "#EXT-X-ENDLIST" in old.text) == (200, True)
    assert (await scene.get(f"/hls/talk/variants/High/segment_0.m4s?i={INCARNATION}")).status == 200
    assert (await scene.get("/hls/talk/variants/Low/playlist.m3u8?i=b00b1e5")).status == 200
    assert (await scene.get("/hls/talk/variants/Low/playlist.m3u8?i=dead")).status == 404


async def test_an_old_incarnation_is_looked_up_when_it_is_not_held(scene: Scene) -> None:
    await publish(scene, [video(), segment(0), ended()])
    scene.peer.create(stream(incarnation="b00b1e5"))
    old = await scene.get(f"{HIGH}?i={INCARNATION}")
    assert (old.status, "#EXT-X-ENDLIST" in old.text) == (200, True)


class TestDistributorAway:
    async def test_what_is_held_is_served_and_goes_on_afterwards(self, tmp_path: Path) -> None:
        async with running_peer() as peer:
            address = f"127.0.0.1:{peer.port}"
            scene_of = running_gateway(tmp_path, peer)
            scene = await scene_of.__aenter__()
            await publish(scene, [video(), segment(0)])
            assert (await scene.get(HIGH)).status == 200
        try:
            assert (await scene.get(HIGH)).status == 200
            async with running_peer(peer, address=address):
                sequence = peer.append("talk", segment(1)).sequence
                await until(scene, HIGH, "segment_1.m4s")
                resumed = peer.watches[-1]
                assert resumed.after_sequence == sequence - 1
        finally:
            await scene_of.__aexit__(None, None, None)

    async def test_another_replica_takes_over(self, tmp_path: Path) -> None:
        first, second = free_ports(2)
        replicas = f"ipv4:127.0.0.1:{first},127.0.0.1:{second}"
        async with AsyncExitStack() as stack:
            dying = await stack.enter_async_context(AsyncExitStack())
            peer = await dying.enter_async_context(running_peer(address=f"127.0.0.1:{first}"))
            scene = await stack.enter_async_context(
                running_gateway(tmp_path, peer, distributor_address=replicas)
            )
            await publish(scene, [video(), segment(0)])
            assert (await scene.get(HIGH)).status == 200
            await stack.enter_async_context(running_peer(peer, address=f"127.0.0.1:{second}"))
            await dying.aclose()
            peer.append("talk", segment(1))
            await until(scene, HIGH, "segment_1.m4s")

    async def test_what_is_not_held_is_503_with_retry_after(self, tmp_path: Path) -> None:
        async with running_peer() as peer:
            pass
        async with running_gateway(tmp_path, peer, lookup_timeout_s=0.2) as scene:
            answer = await scene.get(MASTER)
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert answer.headers["cache-control"] == "no-store"
            assert json.loads(answer.body)["details"][0]["reason"] == "TIMELINE_AWAY"
            assert (await scene.get("/readyz")).status == 200  # others may ask for what is held

    async def test_a_distributor_that_says_nothing_is_503_too(self, tmp_path: Path) -> None:
        async with running_scene(tmp_path, lookup_timeout_s=0.2) as scene:
            scene.peer.silent = True
            assert (await scene.get(MASTER)).status == 503
            scene.peer.silent = False
            await publish(scene, [video(), segment(0)])
            await until(scene, HIGH, "segment_0")

    async def test_too_many_lookups_at_once_are_503(self, tmp_path: Path) -> None:
        async with running_scene(tmp_path, lookup_count=2, lookup_timeout_s=0.5) as scene:
            scene.peer.silent = True
            answers = await asyncio.gather(*(scene.get(f"/hls/s{number}/master.m3u8") for number in range(5)))
            reasons = sorted(json.loads(answer.body)["details"][0]["reason"] for answer in answers)
            assert reasons == ["TIMELINE_AWAY"] * 2 + ["TOO_MANY_LOOKUPS"] * 3


async def test_a_broken_timeline_is_read_anew(scene: Scene) -> None:
    await publish(scene, [video(), segment(0)])
    assert (await scene.get(HIGH)).status == 200
    ledger = scene.peer.ledger("talk")
    scene.peer.append("talk", segment(5))  # nobody can have appended that: something was lost on the way
    ledger.records[-1].record.entries[0].segment.msn = 1
    await until(scene, HIGH, "segment_1.m4s")
    assert scene.peer.watches[-1].after_sequence == 0


async def test_idle_streams_are_let_go_and_found_again(tmp_path: Path) -> None:
    async with running_scene(tmp_path, stream_idle_s=0.4) as scene:
        await publish(scene, [video(), segment(0)])
        assert (await scene.get(HIGH)).status == 200
        await watcher_count(scene.peer, 0)
        assert (await scene.get(HIGH)).status == 200
        assert len(scene.peer.watches) == 2


@pytest.mark.parametrize("limit", [{"stream_count": 2}, {"segment_count": 2}])
async def test_the_least_recently_used_streams_go_first(tmp_path: Path, limit: dict[str, int]) -> None:
    async with running_scene(tmp_path, **limit) as scene:
        for name in ("a", "b", "c"):
            scene.peer.create(stream(name, target_duration_s=1))
            scene.peer.append(name, video(), segment(0))
            assert (await scene.get(f"/hls/{name}/master.m3u8")).status == 200
        await watcher_count(scene.peer, 2)
        assert (await scene.get("/hls/a/master.m3u8")).status == 200
        assert [watch.stream_id for watch in scene.peer.watches] == ["a", "b", "c", "a"]


async def test_above_the_bound_of_memory_streams_in_use_go_too(tmp_path: Path) -> None:
    async with running_scene(tmp_path, timeline_memory_bytes=1024 * 1024) as scene:
        for number in range(40):
            scene.peer.create(stream(f"s{number}"))
            scene.peer.append(f"s{number}", video(), segment(0))
            assert (await scene.get(f"/hls/s{number}/master.m3u8")).status == 200
        await watcher_count(scene.peer, 30)


async def watcher_count(peer: TimelinePeer, count: int) -> None:
    async with asyncio.timeout(20):
        while peer.watcher_count != count:  # noqa: ASYNC110 - nothing tells when the gateway hangs up
            await asyncio.sleep(0.02)
