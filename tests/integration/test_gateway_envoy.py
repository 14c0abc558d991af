"""Waiting through the door: Envoy with the suite's configuration before a real gateway."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from support.edge import running_door
from support.gateway import Scene, live_segment, live_stream, part, running_scene, store_part, until, video
from support.http2 import asking_by_http2

HIGH = "/hls/talk/variants/High"
PLAYLIST = f"{HIGH}/playlist.m3u8"
WAITING = 80


@asynccontextmanager
async def through_envoy(scene: Scene, folder: Path) -> AsyncIterator[Scene]:
    """The same gateway, asked by way of Envoy."""
    door_of = running_door(folder, partial(lead_media_to, scene.port))
    door = await asyncio.to_thread(door_of.__enter__)  # it waits until the gateway answers
    try:
        yield replace(scene, port=door.public_port)
    finally:
        await asyncio.to_thread(door_of.__exit__, None, None, None)


def lead_media_to(port: int, config: str) -> str:
    """Put the gateway in the place of the scripted peer."""
    endpoint = re.compile(r"(cluster_name: hls-gateway\n.*?port_value: )\d+", re.DOTALL)
    config, count = endpoint.subn(rf"\g<1>{port}", config)
    assert count == 1
    return config


async def test_who_waits_behind_envoy_is_released_by_an_append(tmp_path: Path) -> None:
    async with running_scene(tmp_path) as scene, through_envoy(scene, tmp_path) as outside:
        scene.peer.create(live_stream())
        scene.peer.append("talk", video(), live_segment(0))
        await until(outside, PLAYLIST, "segment_0")
        data = await store_part(scene, part(1, 0))
        reload = asyncio.ensure_future(outside.get(f"{PLAYLIST}?_HLS_msn=1&_HLS_part=0"))
        hint = asyncio.ensure_future(outside.get(f"{HIGH}/part_1_0.m4s?i=3f2a9c01"))
        done, _ = await asyncio.wait([reload, hint], timeout=0.3)
        assert not done
        scene.peer.append("talk", part(1, 0))
        answer = await reload
        assert (answer.status, "part_1_0.m4s" in answer.text) == (200, True)
        assert answer.headers["cache-control"] == "public, max-age=12"
        assert (await hint).body == data


async def test_many_wait_on_one_connection_of_http_2_and_are_released_together(tmp_path: Path) -> None:
    async with running_scene(tmp_path) as scene, through_envoy(scene, tmp_path) as outside:
        scene.peer.create(live_stream())
        scene.peer.append("talk", video(), live_segment(0))
        await until(outside, PLAYLIST, "segment_0")
        await store_part(scene, part(1, 0))
        reload = f"{PLAYLIST}?_HLS_msn=1&_HLS_part=0"
        async with asking_by_http2(outside.port, reload, WAITING) as requests:
            answering = asyncio.ensure_future(requests.answers())
            done, _ = await asyncio.wait([answering], timeout=1.0)
            assert not done
            scene.peer.append("talk", part(1, 0))
            answers = await answering
    assert [status for status, _ in answers] == [200] * WAITING
    assert all("part_1_0.m4s" in text for _, text in answers)


async def test_a_stall_behind_envoy_is_told_after_three_targets_not_tried_again(tmp_path: Path) -> None:
    async with running_scene(tmp_path) as scene, through_envoy(scene, tmp_path) as outside:
        scene.peer.create(live_stream(target_duration_s=1))
        scene.peer.append("talk", video(), live_segment(0, duration_s=1.0))
        await until(outside, PLAYLIST, "segment_0")
        start = asyncio.get_running_loop().time()
        answer = await outside.get(f"{PLAYLIST}?_HLS_msn=1")
        assert (answer.status, "STREAM_STALLED" in answer.text) == (503, True)
        assert asyncio.get_running_loop().time() - start < 5.0
