"""Media over HTTP: from memory, from storage on disk and in memory, in ranges, within bounds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from chassis.errors import NotFound, Unavailable
from chassis.storage import ObjectStore, open_store
from hls_gateway.adapters.media_store import MediaStore, StoreLimits
from support.gateway import (
    INCARNATION,
    Scene,
    announce,
    audio,
    images,
    pattern,
    publish,
    running_scene,
    segment,
    store,
    until,
    video,
)

SEGMENT = f"/hls/talk/variants/High/segment_0.m4s?i={INCARNATION}"
IMMUTABLE = "public, max-age=31536000, immutable"


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with running_scene(tmp_path) as running:
        await publish(running, [video(), audio(), segment(0, size_bytes=300_000), segment(0, "audio")])
        yield running


async def test_segment_is_immutable_with_its_incarnation(scene: Scene) -> None:
    for _ in range(2):  # from storage, then from memory
        answer = await scene.get(SEGMENT)
        assert (answer.status, answer.body) == (200, pattern(300_000, seed=0))
        assert answer.headers["cache-control"] == IMMUTABLE
        assert answer.headers["content-type"] == "video/mp4"
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["access-control-allow-origin"] == "*"


async def test_without_the_incarnation_the_current_one_answers_for_a_short_time(scene: Scene) -> None:
    answer = await scene.get(SEGMENT.partition("?")[0])
    assert (answer.status, answer.headers["cache-control"]) == (200, "public, max-age=2")


async def test_thumbnails_are_served_beside_the_storyboard_that_names_them(scene: Scene) -> None:
    path = "/hls/talk/thumbnails.vtt"
    assert (await scene.get(path)).body == b"WEBVTT\n"
    sprite = segment(0, "thumbnails", init_key="", init_size_bytes=0)
    data = await store(scene, sprite)
    scene.peer.append("talk", images(), sprite)
    await until(scene, path, "segment_0.jpg")
    storyboard = await scene.get(path)
    assert storyboard.headers["content-type"] == "text/vtt"
    assert storyboard.headers["cache-control"] == "public, max-age=2"
    assert (await scene.get(path, if_none_match=storyboard.headers["etag"])).status == 304
    uri = next(line for line in storyboard.text.splitlines() if line.startswith("variants/"))
    answer = await scene.get(f"/hls/talk/{uri.partition('#')[0]}")
    assert (answer.status, answer.body) == (200, data)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == IMMUTABLE
    assert "thumbnails" not in (await scene.get("/hls/talk/master.m3u8")).text
    assert (await scene.get("/hls/talk/variants/thumbnails/playlist.m3u8")).status == 404


async def test_init_segments_by_name_and_the_newest(scene: Scene) -> None:
    briefly = "public, max-age=2"  # tomorrow's newest may be another one
    for name, cache in (
        (f"init-11223344.mp4?i={INCARNATION}", IMMUTABLE),
        (f"init.mp4?i={INCARNATION}", briefly),
        ("init.mp4", briefly),
    ):
        answer = await scene.get(f"/hls/talk/variants/High/{name}")
        assert (answer.status, answer.body) == (200, pattern(700, seed=99))
        assert answer.headers["cache-control"] == cache
    sound = await scene.get("/hls/talk/variants/audio/init.mp4")
    assert sound.headers["content-type"] == "audio/mp4"


async def test_ranges(scene: Scene) -> None:
    whole = pattern(300_000, seed=0)
    for header, start, end in (("0-9", 0, 10), ("299990-", 299_990, 300_000), ("-1", 299_999, 300_000)):
        answer = await scene.get(SEGMENT, range=f"bytes={header}")
        assert (answer.status, answer.body) == (206, whole[start:end])
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/300000"
        assert answer.headers["cache-control"] == IMMUTABLE
    beyond = await scene.get(SEGMENT, range="bytes=300000-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, "bytes */300000")
    several = await scene.get(SEGMENT, range="bytes=0-1,3-4")
    assert (several.status, several.body) == (200, whole)


async def test_conditions(scene: Scene) -> None:
    etag = (await scene.get(SEGMENT)).headers["etag"]
    assert (await scene.get(SEGMENT, if_none_match=etag)).status == 304
    assert (await scene.get(SEGMENT, range="bytes=0-9", if_range=etag)).status == 206
    assert (await scene.get(SEGMENT, range="bytes=0-9", if_range='"other"')).status == 200
    other = (await scene.get(SEGMENT.replace("High", "audio"))).headers["etag"]
    assert other != etag


async def test_head_has_the_same_headers_and_no_body(scene: Scene) -> None:
    get, head = await scene.get(SEGMENT), await scene.get(SEGMENT, method="HEAD")
    del get.headers["date"], head.headers["date"]
    assert (head.status, head.headers, head.body) == (200, get.headers, b"")


@pytest.mark.parametrize(
    "path",
    [
        "High/segment_1.m4s",
        "High/segment_0.ts",
        "High/init-00000000.mp4",
        "Medium/segment_0.m4s",
        "High/segment_0.m4s.bak",
        f"High/segment_0.m4s?i={INCARNATION[::-1]}",
    ],
)
async def test_what_is_not_announced_is_404_for_a_second(scene: Scene, path: str) -> None:
    answer = await scene.get(f"/hls/talk/variants/{path}")
    assert (answer.status, answer.headers["cache-control"]) == (404, "public, max-age=1")
    assert json.loads(answer.body)["code"] == 5


async def test_a_gap_is_404(scene: Scene) -> None:
    scene.peer.append("talk", segment(1, gap=True, object_key="", size_bytes=0, init_key=""))
    assert (await scene.get("/hls/talk/variants/High/segment_1.m4s")).status == 404


async def test_an_announced_object_that_is_gone_is_404(scene: Scene) -> None:
    entry = segment(1)
    scene.peer.append("talk", entry)
    path = SEGMENT.replace("segment_0", "segment_1")
    await until(scene, path, "NO_OBJECT")
    await store(scene, entry)
    assert (await scene.get(path)).status == 200


@pytest.mark.parametrize("settings", [{"media_object_bytes": 100_000}, {"media_memory_bytes": 2**20}])
async def test_what_finds_no_room_is_streamed(tmp_path: Path, settings: dict[str, int]) -> None:
    async with running_scene(tmp_path, **settings) as scene:
        await publish(scene, [video(), segment(0, size_bytes=1_000_000)])
        whole = pattern(1_000_000, seed=0)
        answer = await scene.get(SEGMENT)
        assert (answer.status, answer.body) == (200, whole)
        assert answer.headers["cache-control"] == IMMUTABLE
        part = await scene.get(SEGMENT, range="bytes=250000-849999")
        assert (part.status, part.body) == (206, whole[250_000:850_000])
        head = await scene.get(SEGMENT, method="HEAD")
        assert head.headers["content-length"] == "1000000"
        assert (await scene.get(SEGMENT, if_none_match=answer.headers["etag"])).status == 304
        assert (await scene.get(SEGMENT, range="bytes=1000000-")).status == 416


async def test_reservations_come_back_however_an_answer_ends(tmp_path: Path) -> None:
    async with running_scene(
        tmp_path, media_object_bytes=0, media_memory_bytes=2**20, storage_timeout_s=1.5
    ) as scene:
        await publish(scene, [video(), segment(0, size_bytes=8_000_000)])
        async with AsyncExitStack() as slow:
            for _ in range(4):  # as many as may stream within 1 MiB
                reader, writer = await slow.enter_async_context(scene.connection())
                writer.write(f"GET {SEGMENT} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
                await reader.readexactly(1000)
            busy = await scene.get(SEGMENT)
            assert (busy.status, json.loads(busy.body)["details"][0]["reason"]) == (503, "TOO_MANY_READS")
        for method in ("HEAD", "GET") * 4:
            assert (await scene.get(SEGMENT, method=method)).status == 200


async def test_a_body_that_breaks_off_breaks_the_connection(tmp_path: Path) -> None:
    async with running_scene(tmp_path, media_object_bytes=0) as scene:
        entry = segment(0, size_bytes=2_000_000)
        announce(scene, video(), entry)
        await scene.storage.put(entry.segment.object_key, pattern(500_000, seed=0))
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await scene.get(SEGMENT)


async def test_memory_storage_is_served_too() -> None:
    storage = open_store("memory:")
    await storage.put("a/b", b"12345")
    media = MediaStore(storage, StoreLimits(memory_bytes=100, object_bytes=100))
    held = await media.read("a/b", 5)
    assert held
    assert held.data == b"12345"
    assert [piece async for piece in media.stream("a/b", 1, 3)] == [b"234"]


class CountingStore(ObjectStore):
    """Real storage that counts its reads and can be made to wait."""

    def __init__(self) -> None:
        inner = open_store("memory:")
        super().__init__(inner._store)
        self.reads: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def get(self, key: str) -> bytes:
        self.reads.append(key)
        await self.gate.wait()
        return await super().get(key)


class TestMemory:
    LIMITS = StoreLimits(memory_bytes=2000, object_bytes=600, piece_bytes=250, read_timeout_s=0.2)

    async def filled(self, *sizes: int) -> tuple[CountingStore, MediaStore]:
        storage = CountingStore()
        for number, size in enumerate(sizes):
            await storage.put(f"o/{number}", bytes([number]) * size)
        return storage, MediaStore(storage, self.LIMITS)

    async def test_an_object_is_read_once_for_all_who_ask(self) -> None:
        storage, media = await self.filled(500)
        storage.gate.clear()
        waiting = [asyncio.create_task(media.read("o/0", 500)) for _ in range(20)]
        await asyncio.sleep(0.01)
        waiting[0].cancel()  # who gives up does not end the read for the others
        await asyncio.sleep(0)
        storage.gate.set()
        found = await asyncio.gather(*waiting[1:])
        assert storage.reads == ["o/0"]
        assert {id(one) for one in found} == {id(media.held("o/0"))}

    async def test_the_least_recently_used_goes_first(self) -> None:
        _, media = await self.filled(*[600] * 4)
        for number in (0, 1, 2, 0, 3):
            await media.read(f"o/{number}", 600)
        assert [media.held(f"o/{number}") is not None for number in range(4)] == [True, False, True, True]
        assert media.memory_bytes == 1800

    async def test_what_is_being_sent_stays(self) -> None:
        _, media = await self.filled(*[600] * 4)
        held = await media.read("o/0", 600)
        assert held
        held.pin()
        for number in (1, 2, 3):
            await media.read(f"o/{number}", 600)
        assert media.held("o/0") is held
        assert media.held("o/1") is None
        held.unpin()
        for number in (1, 2, 3):
            await media.read(f"o/{number}", 600)
        assert media.held("o/0") is None

    async def test_half_of_the_memory_is_for_what_is_being_sent_whole(self) -> None:
        _, media = await self.filled(500, 500, 500)
        for number in range(2):
            held = await media.read(f"o/{number}", 500)
            assert held
            held.pin()
        assert await media.read("o/2", 500) is None  # it has to be streamed, and can be
        await media.reserve_stream()
        await media.reserve_stream()
        assert media.memory_bytes == 2000
        with pytest.raises(Unavailable, match="in use"):
            await media.reserve_stream()
        assert held
        held.unpin()
        assert await media.read("o/2", 500)

    async def test_a_stream_waits_until_another_ends(self) -> None:
        _, media = await self.filled(100)
        for _ in range(4):
            await media.reserve_stream()
        waiting = asyncio.create_task(media.reserve_stream())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        media.release_stream()
        await waiting
        assert media.memory_bytes == 2000

    async def test_reads_under_way_count_too(self) -> None:
        storage, media = await self.filled(600, 600)
        storage.gate.clear()
        reading = asyncio.create_task(media.read("o/0", 600))
        await asyncio.sleep(0)
        assert await media.read("o/1", 600) is None
        storage.gate.set()
        assert await reading
        assert await media.read("o/1", 600)

    async def test_what_is_too_large_is_never_held(self) -> None:
        storage, media = await self.filled(601)
        assert await media.read("o/0", 601) is None
        assert storage.reads == []

    async def test_a_read_that_fails_leaves_nothing_behind(self) -> None:
        storage, media = await self.filled(500)
        with pytest.raises(NotFound):
            await media.read("o/7", 500)
        storage.gate.clear()
        with pytest.raises(Unavailable, match=r"within 0\.2 s"):
            await media.read("o/0", 500)
        assert media.memory_bytes == 0
        storage.gate.set()
        assert await media.read("o/0", 500)

    async def test_an_object_of_another_size_than_announced_counts_as_what_it_is(self) -> None:
        _, media = await self.filled(300)
        await media.read("o/0", 500)
        assert media.memory_bytes == 300

    async def test_streamed_pieces_make_the_whole(self) -> None:
        storage, media = await self.filled(1)
        await storage.put("o/large", pattern(10_007, seed=1))
        pieces = [piece async for piece in media.stream("o/large", 5, 10_000)]
        assert b"".join(pieces) == pattern(10_007, seed=1)[5:10_005]
        assert max(map(len, pieces)) == 250
