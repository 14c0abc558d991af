"""Live streams over HTTP: who waits, who is refused, and who is released by what."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from weir.timeline.v1 import timeline_pb2 as pb

from support.crowd import asking
from support.distributor import open_writer, running_distributor
from support.gateway import (
    INCARNATION,
    Answer,
    Scene,
    audio,
    ended,
    live_segment,
    live_stream,
    part,
    read_answer,
    running_gateway,
    running_scene,
    store,
    store_part,
    until,
    video,
    whole,
)
from support.gateway_process import gateway_process, resident_bytes, until_read
from support.nats import NatsServer
from support.playlists import read_playlist
from support.ports import free_ports
from support.timeline_peer import TimelinePeer, running_peer

HIGH = "/hls/talk/variants/High"
PLAYLIST = f"{HIGH}/playlist.m3u8"
HELD_S = 0.15  # what is not answered by then is held: answers take a millisecond


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with running_scene(tmp_path) as running:
        running.peer.create(live_stream())
        running.peer.append("talk", video(), *whole(0), *whole(1), part(2, 0))
        await until(running, PLAYLIST, "part_2_0.m4s")
        yield running


async def hold(request: Awaitable[Answer]) -> asyncio.Task[Answer]:
    """Send a request, and see that it is not answered."""
    task = asyncio.ensure_future(request)
    done, _ = await asyncio.wait([task], timeout=HELD_S)
    assert not done, task.result()
    return task


def wholes(first_msn: int, end_msn: int) -> list[pb.Entry]:
    """Announce segments one after the other, each behind its parts."""
    return [entry for msn in range(first_msn, end_msn) for entry in whole(msn)]


class TestReload:
    async def test_a_reload_waits_for_its_part_and_for_nothing_less(self, scene: Scene) -> None:
        waiting = await hold(scene.get(f"{PLAYLIST}?_HLS_msn=2&_HLS_part=2"))
        scene.peer.append("talk", part(2, 1), audio())
        await until(scene, PLAYLIST, "part_2_1.m4s")
        assert not waiting.done()
        scene.peer.append("talk", part(2, 2))
        answer = await waiting
        assert (answer.status, answer.headers["cache-control"]) == (200, "public, max-age=12")
        assert 'URI="part_2_2.m4s' in answer.text
        assert 'PRELOAD-HINT:TYPE=PART,URI="part_2_3.m4s' in answer.text

    async def test_without_a_part_it_waits_for_the_whole_segment(self, scene: Scene) -> None:
        waiting = await hold(scene.get(f"{PLAYLIST}?_HLS_msn=2"))
        scene.peer.append("talk", part(2, 1))
        await until(scene, PLAYLIST, "part_2_1.m4s")
        assert not waiting.done()
        scene.peer.append("talk", live_segment(2))
        assert "segment_2.m4s" in (await waiting).text

    async def test_a_part_behind_the_last_is_the_next_segments_first(self, scene: Scene) -> None:
        waiting = await hold(scene.get(f"{PLAYLIST}?_HLS_msn=2&_HLS_part=2"))
        scene.peer.append("talk", part(2, 1), live_segment(2))
        await until(scene, PLAYLIST, "segment_2.m4s")
        assert not waiting.done()
        scene.peer.append("talk", part(3, 0))
        assert "part_3_0.m4s" in (await waiting).text

    @pytest.mark.parametrize("query", ["_HLS_msn=0", "_HLS_msn=1&_HLS_part=1", "_HLS_msn=2&_HLS_part=0"])
    async def test_what_is_there_is_answered_at_once_and_whole(self, scene: Scene, query: str) -> None:
        answer = await scene.get(f"{PLAYLIST}?{query}")
        assert (answer.status, answer.headers["cache-control"]) == (200, "public, max-age=12")
        assert read_playlist(answer.text).segments[0].uri == "segment_0.m4s?i=3f2a9c01"
        plain = await scene.get(PLAYLIST)
        assert (plain.text, plain.headers["cache-control"]) == (answer.text, "public, max-age=1")

    @pytest.mark.parametrize(
        ("query", "field", "rule"),
        [
            ("_HLS_msn=4", "_HLS_msn", "at most 3"),
            ("_HLS_msn=2&_HLS_part=4", "_HLS_part", "at most 3 in segment 2"),
            ("_HLS_msn=3&_HLS_part=3", "_HLS_part", "at most 2 in segment 3"),
            ("_HLS_part=1", "_HLS_part", "needs _HLS_msn"),
            ("_HLS_msn=two", "_HLS_msn", "whole number"),
        ],
    )
    async def test_what_is_too_far_or_malformed_is_400(
        self, scene: Scene, query: str, field: str, rule: str
    ) -> None:
        answer = await scene.get(f"{PLAYLIST}?{query}")
        error = json.loads(answer.body)
        assert (answer.status, answer.headers["cache-control"], error["code"]) == (400, "no-store", 3)
        assert rule in error["message"]
        assert error["details"][0]["metadata"] == {"field": field}

    async def test_a_first_request_waits_too(self, scene: Scene) -> None:
        async with running_gateway(scene.folder, scene.peer) as other:
            waiting = await hold(other.get(f"{PLAYLIST}?_HLS_msn=2&_HLS_part=1"))
            scene.peer.append("talk", part(2, 1))
            assert "part_2_1.m4s" in (await waiting).text

    async def test_pictures_wait_for_whole_segments(self, scene: Scene) -> None:
        picture = [pb.IFrame(offset_bytes=1, size_bytes=2, duration_s=2.0)]
        scene.peer.append("talk", part(2, 1), live_segment(2, iframes=picture))
        await until(scene, f"{HIGH}/iframes.m3u8", "segment_2.m4s")
        waiting = await hold(scene.get(f"{HIGH}/iframes.m3u8?_HLS_msn=3&_HLS_part=0"))
        scene.peer.append("talk", part(3, 0), live_segment(3, iframes=picture))
        assert "segment_3.m4s" in (await waiting).text

    async def test_requests_behind_a_held_one_are_answered_in_order(self, scene: Scene) -> None:
        async with scene.connection() as (reader, writer):
            for target in (f"{PLAYLIST}?_HLS_msn=2&_HLS_part=1", "/healthz"):
                writer.write(f"GET {target} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            first = await hold(read_answer(reader))
            scene.peer.append("talk", part(2, 1))
            assert "part_2_1.m4s" in (await first).text
            assert "alive" in (await read_answer(reader)).text

    async def test_every_held_request_is_logged_when_asked_for(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        async with running_scene(tmp_path, request_log="all") as scene:
            scene.peer.create(live_stream())
            scene.peer.append("talk", video(), *whole(0))
            await until(scene, PLAYLIST, "segment_0")
            waiting = await hold(scene.get(f"{PLAYLIST}?_HLS_msn=1&_HLS_part=0"))
            scene.peer.append("talk", part(1, 0))
            assert (await waiting).status == 200
        lines = [line for line in capsys.readouterr().out.splitlines() if "_HLS_part=0" in line]
        assert len(lines) == 1
        assert "200" in lines[0]


class TestRelease:
    async def test_the_end_releases_everybody(self, scene: Scene) -> None:
        reload = await hold(scene.get(f"{PLAYLIST}?_HLS_msn=3&_HLS_part=1"))
        hint = await hold(scene.get(f"{HIGH}/part_2_1.m4s?i={INCARNATION}"))
        scene.peer.append("talk", ended())
        answer = await reload
        assert answer.text.endswith("segment_1.m4s?i=3f2a9c01\n#EXT-X-ENDLIST\n")
        assert (await hint).status == 404
        at_once = await scene.get(f"{PLAYLIST}?_HLS_msn=9")
        assert at_once.text == answer.text, "behind the end nobody waits, whatever is asked for"

    async def test_deletion_releases_everybody_and_media_live_on(self, scene: Scene) -> None:
        data = await store(scene, live_segment(1))
        assert (await scene.get(f"{HIGH}/segment_1.m4s?i={INCARNATION}")).body == data
        waiting = await hold(scene.get(f"{PLAYLIST}?_HLS_msn=2"))
        scene.peer.delete("talk")
        assert (await waiting).status == 404
        assert (await scene.get(f"{PLAYLIST}?i={INCARNATION}")).status == 404
        assert (await scene.get(f"{HIGH}/segment_1.m4s?i={INCARNATION}")).body == data

    async def test_a_stream_made_anew_releases_who_waited_for_the_old_one(self, scene: Scene) -> None:
        waiting = await hold(scene.get(f"{PLAYLIST}?_HLS_msn=2"))
        scene.peer.create(live_stream(incarnation="77"))
        scene.peer.append("talk", video(), *whole(0))
        error = json.loads((await waiting).body)
        assert error["details"][0]["reason"] == "REPLACED"
        await until(scene, PLAYLIST, "i=77")
        assert (await scene.get(f"{PLAYLIST}?i={INCARNATION}&_HLS_msn=2")).status == 404
        assert (await scene.get(f"{PLAYLIST}?i={INCARNATION}")).status == 200

    async def test_a_stall_of_three_targets_is_503(self, tmp_path: Path) -> None:
        async with running_scene(tmp_path) as scene:
            scene.peer.create(live_stream(target_duration_s=1, part_target_s=0.5))
            scene.peer.append("talk", video(), live_segment(0, duration_s=1.0))
            await until(scene, PLAYLIST, "segment_0")
            start = asyncio.get_running_loop().time()
            answer = await scene.get(f"{PLAYLIST}?_HLS_msn=1")
            assert 2.9 < asyncio.get_running_loop().time() - start < 4.0
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert "three target durations" in answer.text
            assert answer.headers["x-envoy-ratelimited"] == "true", "Envoy is not to ask another gateway"
            assert (await scene.get(PLAYLIST)).status == 200, "who does not wait is served"

    async def test_a_gateway_that_stops_sends_those_who_wait_elsewhere(self, scene: Scene) -> None:
        async with AsyncExitStack() as stack:
            other = await stack.enter_async_context(
                running_gateway(scene.folder, scene.peer, shutdown_grace_s=5.0)
            )
            await until(other, PLAYLIST, "part_2_0.m4s")
            waiting = await hold(other.get(f"{PLAYLIST}?_HLS_msn=2"))
            start = asyncio.get_running_loop().time()
            await stack.aclose()
            answer = await waiting
            assert (answer.status, "STOPPING" in answer.text) == (503, True)
            assert asyncio.get_running_loop().time() - start < 2.0

    async def test_who_waits_survives_a_restart_of_the_distributor(self, tmp_path: Path) -> None:
        peer, (port,) = TimelinePeer(), free_ports(1)  # type: ignore[abstract]
        peer.create(live_stream())
        peer.append("talk", video(), *whole(0))
        async with AsyncExitStack() as first:
            await first.enter_async_context(running_peer(peer, address=f"127.0.0.1:{port}"))
            async with running_gateway(tmp_path, peer) as scene:
                await until(scene, PLAYLIST, "segment_0")
                waiting = await hold(scene.get(f"{PLAYLIST}?_HLS_msn=1&_HLS_part=0"))
                await first.aclose()
                assert "segment_0" in (await scene.get(PLAYLIST)).text
                async with running_peer(peer, address=f"127.0.0.1:{port}"):
                    peer.append("talk", part(1, 0))
                    assert "part_1_0.m4s" in (await waiting).text

    async def test_of_what_a_gateway_cannot_have_heard_another_one_is_to_be_asked(
        self, tmp_path: Path
    ) -> None:
        peer, (port,) = TimelinePeer(), free_ports(1)  # type: ignore[abstract]
        peer.create(live_stream())
        peer.append("talk", video(), *whole(0))
        unheard = (f"{HIGH}/segment_1.m4s?i={INCARNATION}", f"{PLAYLIST}?_HLS_msn=9")
        async with AsyncExitStack() as first:
            await first.enter_async_context(running_peer(peer, address=f"127.0.0.1:{port}"))
            async with running_gateway(tmp_path, peer) as scene:
                await until(scene, PLAYLIST, "segment_0")
                assert [(await scene.get(url)).status for url in unheard] == [404, 400]
                await first.aclose()
                for url in unheard:
                    answer = await scene.get(url)
                    assert (answer.status, "TIMELINE_BEHIND" in answer.text) == (503, True)
                    assert "x-envoy-ratelimited" not in answer.headers, "Envoy asks another gateway then"
                async with running_peer(peer, address=f"127.0.0.1:{port}"), asyncio.timeout(20):
                    for url, status in zip(unheard, (404, 400), strict=True):
                        while (await scene.get(url)).status != status:
                            pass

    async def test_who_heard_more_from_another_gateway_is_waited_for(self, scene: Scene) -> None:
        ahead = await hold(scene.get(f"{PLAYLIST}?_HLS_msn=5&_HLS_part=0"))
        unknown = await hold(scene.get(f"/hls/talk/variants/audio/playlist.m3u8?i={INCARNATION}"))
        coming = [part(2, 1), live_segment(2), *wholes(3, 5), part(5, 0)]
        scene.peer.append("talk", *coming, audio(), *whole(0, "audio"))
        assert 'URI="part_5_0.m4s' in (await ahead).text
        assert (await unknown).status == 200


class TestHints:
    async def test_a_hinted_part_is_held_and_sent_as_soon_as_it_is_announced(self, scene: Scene) -> None:
        await until(scene, PLAYLIST, "part_2_1.m4s")  # as a hint
        requests = [scene.get(f"{HIGH}/part_2_1.m4s?i={INCARNATION}") for _ in range(20)]
        waiting = await hold(asyncio.ensure_future(first_of(requests)))
        coming = part(2, 1)
        data = await store_part(scene, coming)
        scene.peer.append("talk", coming)
        answer = await waiting
        assert (answer.status, answer.body) == (200, data)
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"] == "video/mp4"
        (scene.folder / coming.part.object_key).unlink()
        assert (await scene.get(f"{HIGH}/part_2_1.m4s")).body == data, "it was read once for all"

    async def test_a_part_stays_there_when_its_segment_is_whole(self, scene: Scene) -> None:
        data = await store_part(scene, part(1, 0))
        answer = await scene.get(f"{HIGH}/part_1_0.m4s?i={INCARNATION}")
        assert (answer.status, answer.body) == (200, data)

    async def test_a_hinted_part_that_never_comes_is_404_once_that_is_known(self, scene: Scene) -> None:
        waiting = await hold(scene.get(f"{HIGH}/part_2_1.m4s?i={INCARNATION}"))
        scene.peer.append("talk", live_segment(2))
        answer = await waiting
        assert (answer.status, answer.headers["cache-control"]) == (404, "public, max-age=1")

    async def test_a_hinted_part_that_is_a_gap_is_404(self, scene: Scene) -> None:
        waiting = await hold(scene.get(f"{HIGH}/part_2_1.m4s?i={INCARNATION}"))
        scene.peer.append("talk", part(2, 1, gap=True, object_key="", size_bytes=0))
        assert (await waiting).status == 404

    @pytest.mark.parametrize("name", ["part_2_3.m4s", "part_3_1.m4s", "part_2_1.ts", "part_0_2.m4s"])
    async def test_what_nobody_hinted_is_404_soon(self, scene: Scene, name: str) -> None:
        answer = await scene.get(f"{HIGH}/{name}?i={INCARNATION}")
        assert (answer.status, answer.headers["cache-control"]) == (404, "public, max-age=1")

    async def test_what_another_gateway_heard_of_first_is_waited_for(self, scene: Scene) -> None:
        """It may have been told of more than one part at a time, and listed them."""
        names = ("part_2_3.m4s", "segment_2.m4s", "part_3_1.m4s")
        waiting = [await hold(scene.get(f"{HIGH}/{name}?i={INCARNATION}")) for name in names]
        coming = [*(part(2, number) for number in range(1, 4)), live_segment(2), part(3, 0), part(3, 1)]
        stored = [await store_part(scene, entry) for entry in coming if entry.HasField("part")]
        whole_data = await store(scene, coming[3])
        for entry in coming:
            scene.peer.append("talk", entry)
        answers = await asyncio.gather(*waiting)
        assert [answer.status for answer in answers] == [200, 200, 200]
        assert [answer.body for answer in answers] == [stored[2], whole_data, stored[4]]

    async def test_a_part_whose_bytes_are_missing_is_not_held_for_ever(self, scene: Scene) -> None:
        waiting = await hold(scene.get(f"{HIGH}/part_2_1.m4s?i={INCARNATION}"))
        scene.peer.append("talk", part(2, 1))
        assert (await waiting).status == 404

    async def test_parts_too_large_for_memory_are_streamed(self, tmp_path: Path) -> None:
        async with running_scene(tmp_path, media_object_bytes=100) as scene:
            scene.peer.create(live_stream())
            scene.peer.append("talk", video(), *whole(0))
            await until(scene, PLAYLIST, "segment_0")
            waiting = await hold(scene.get(f"{HIGH}/part_1_0.m4s?i={INCARNATION}"))
            data = await store_part(scene, part(1, 0))
            scene.peer.append("talk", part(1, 0))
            assert (await waiting).body == data


async def first_of(requests: Sequence[Awaitable[Answer]]) -> Answer:
    """Answer all, and see that they agree."""
    answers = await asyncio.gather(*requests)
    assert {(answer.status, answer.body) for answer in answers} == {(answers[0].status, answers[0].body)}
    return answers[0]


class TestViews:
    async def test_delta_updates_are_offered_and_given(self, scene: Scene) -> None:
        scene.peer.append("talk", part(2, 1), live_segment(2), *wholes(3, 12))
        await until(scene, PLAYLIST, "segment_11.m4s")
        full = await scene.get(PLAYLIST, accept_encoding="gzip")
        delta = await scene.get(f"{PLAYLIST}?_HLS_skip=YES&_HLS_msn=11")
        assert "CAN-SKIP-UNTIL=12.0" in (await scene.get(PLAYLIST)).text
        assert "#EXT-X-SKIP:SKIPPED-SEGMENTS=6\n" in delta.text
        assert "#EXT-X-VERSION:9\n" in delta.text
        assert full.headers["content-encoding"] == "gzip"
        assert full.headers["etag"] != delta.headers["etag"]

    async def test_siblings_are_reported(self, scene: Scene) -> None:
        scene.peer.append("talk", audio(), *whole(0, "audio"), part(1, 0, "audio"))
        await until(scene, PLAYLIST, "RENDITION-REPORT")
        report = '#EXT-X-RENDITION-REPORT:URI="../audio/playlist.m3u8?i=3f2a9c01",LAST-MSN=1,LAST-PART=0\n'
        assert report in (await scene.get(PLAYLIST)).text
        theirs = (await scene.get("/hls/talk/variants/audio/playlist.m3u8")).text
        assert 'URI="../High/playlist.m3u8?i=3f2a9c01",LAST-MSN=2,LAST-PART=0\n' in theirs

    async def test_a_stream_without_media_has_nothing_to_play_yet(self, tmp_path: Path) -> None:
        async with running_scene(tmp_path) as scene:
            scene.peer.create(live_stream())
            answer = await scene.get("/hls/talk/master.m3u8")
            assert (answer.status, answer.headers["cache-control"]) == (404, "public, max-age=1")
            scene.peer.append("talk", video(), *whole(0))
            await until(scene, "/hls/talk/master.m3u8", "variants/High/playlist.m3u8")

    @pytest.mark.parametrize("is_followed", [True, False])
    async def test_a_recorded_stream_plays_whole_once_it_has_ended(
        self, tmp_path: Path, is_followed: bool
    ) -> None:
        """What a gateway had let go of while the stream was live is read again; or read at all."""
        async with running_scene(tmp_path) as scene:
            scene.peer.create(live_stream(dvr_window_s=6.0, record=True))
            scene.peer.append("talk", video(), *wholes(0, 30))
            if is_followed:
                await until(scene, PLAYLIST, "MEDIA-SEQUENCE:27")
            scene.peer.append("talk", ended())
            await until(scene, PLAYLIST, "PLAYLIST-TYPE:VOD")
            text = (await scene.get(PLAYLIST)).text
            assert (text.count("#EXTINF"), "EXT-X-PART" in text) == (30, False)
            assert "#EXT-X-MEDIA-SEQUENCE:0\n" in text

    async def test_an_unrecorded_stream_shows_its_last_window_for_good(self, scene: Scene) -> None:
        scene.peer.create(live_stream(dvr_window_s=6.0, incarnation="77"))
        scene.peer.append("talk", video(), *wholes(0, 30), ended())
        await until(scene, PLAYLIST, "ENDLIST")
        text = (await scene.get(PLAYLIST)).text
        assert (text.count("#EXTINF"), "PLAYLIST-TYPE" in text) == (3, False)

    async def test_two_gateways_show_the_same_whenever_they_began(self, scene: Scene) -> None:
        scene.peer.append("talk", part(2, 1), live_segment(2), *wholes(3, 99))
        await until(scene, PLAYLIST, "segment_98.m4s")
        async with running_gateway(scene.folder, scene.peer) as other:
            mine, theirs = await scene.get(PLAYLIST), await other.get(PLAYLIST)
        assert mine.text == theirs.text
        assert mine.headers["etag"] == theirs.headers["etag"]


CROWD_COUNT = 10_000
MOST_BYTES_EACH = 40_000


@pytest.mark.torture
async def test_ten_thousand_who_wait_are_released_by_one_append(tmp_path: Path) -> None:
    """A gateway of its own, as in production, and within its memory."""
    (port,) = free_ports(1)
    async with running_peer() as peer:
        peer.create(live_stream(target_duration_s=20))
        peer.append("talk", video(), *whole(0), *whole(1))
        async with gateway_process(peer.port, tmp_path, port) as gateway:
            await until_listed(port, "segment_1.m4s")
            before_bytes = resident_bytes(gateway.pid)
            async with asking(port, CROWD_COUNT, f"{PLAYLIST}?_HLS_msn=2&_HLS_part=0") as crowd:
                await until_read(port, CROWD_COUNT)
                each_bytes = (resident_bytes(gateway.pid) - before_bytes) / CROWD_COUNT
                appended_time = time.time()
                peer.append("talk", part(2, 0))
                statuses, times = await crowd.answers()
    assert statuses == {"200": CROWD_COUNT}
    assert appended_time < min(times)
    assert each_bytes < MOST_BYTES_EACH


async def until_listed(port: int, expected: str) -> None:
    """Ask a gateway for its playlist until that lists something."""
    async with asyncio.timeout(10), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        while True:
            async with session.get(PLAYLIST) as answer:
                if expected in await answer.text():
                    return


async def test_what_a_real_distributor_takes_reaches_those_who_wait(
    tmp_path: Path, nats_server: NatsServer
) -> None:
    """By way of NATS; a gateway that begins later, with a snapshot, shows the same."""
    async with AsyncExitStack() as stack:
        distributor = await stack.enter_async_context(running_distributor(nats_server.url))
        described = {"part_target_s": 1.0, "dvr_window_s": 60.0, "target_duration_s": 2}
        kind = {"kind": pb.STREAM_KIND_LIVE, "recording_id": ""}
        writer = await open_writer(distributor.timeline, "talk", **kind, **described)
        await writer.append(video(), *whole(0), *whole(1), part(2, 0))
        address = {"distributor_address": distributor.address}
        peer = TimelinePeer()  # type: ignore[abstract]
        scene = await stack.enter_async_context(running_gateway(tmp_path, peer, **address))
        await until(scene, PLAYLIST, "part_2_0.m4s")
        waiting = await hold(scene.get(f"{PLAYLIST}?_HLS_msn=2&_HLS_part=1"))
        await writer.append(part(2, 1))
        assert "part_2_1.m4s" in (await waiting).text
        other = await stack.enter_async_context(running_gateway(tmp_path, peer, **address))
        assert (await other.get(PLAYLIST)).text == (await scene.get(PLAYLIST)).text
        ending = await hold(scene.get(f"{PLAYLIST}?_HLS_msn=3&_HLS_part=1"))
        await writer.append(live_segment(2), ended())
        assert (await ending).text.endswith("#EXT-X-ENDLIST\n")
