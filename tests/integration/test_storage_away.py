"""Storage that is away, slow, busy or does not know us: what is waited for, tried again, and told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from chassis.config import ServiceConfig
from chassis.errors import AlreadyExists, Unavailable
from chassis.storage import ObjectStore, open_store
from chassis.storage_options import StorageOptions
from support.gateway import INCARNATION, Scene, announce, running_scene, segment, video
from support.proxy import Proxy, running_proxy
from support.storage_servers import StorageServer, running_storage, told
from support.web import Handler
from transcoder.config import TranscoderConfig

BEGUN = "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
COMPLETED = '<CompleteMultipartUploadResult><ETag>"x"</ETag></CompleteMultipartUploadResult>'
SEGMENT = f"/hls/talk/variants/High/segment_0.m4s?i={INCARNATION}"
PATIENT_S = 60.0  # what a hanging test is told apart by


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageServer]:
    with running_storage("s3", tmp_path_factory.mktemp("s3")) as server:
        yield server


@asynccontextmanager
async def behind_proxy(
    server: StorageServer, options: StorageOptions
) -> AsyncIterator[tuple[Proxy, ObjectStore]]:
    """Reach a server through a proxy that can be cut."""
    async with running_proxy("127.0.0.1", server.port) as proxy:
        with told(server.environment(proxy.port)):
            yield proxy, open_store(server.url, options)


async def test_a_server_that_says_nothing_is_waited_for_as_long_as_set(server: StorageServer) -> None:
    options = StorageOptions(allow_http=True, answer_timeout_s=0.3, retry_count=0)
    async with behind_proxy(server, options) as (proxy, store), asyncio.timeout(PATIENT_S / 6):
        proxy.mute()  # what obstore waits by itself is 30 s
        for work in (store.get("a/b"), store.put("a/b", b"x"), store.size("a/b")):
            with pytest.raises(Unavailable) as caught:
                await work
            assert caught.value.reason == "STORAGE_AWAY"


async def test_a_long_download_may_take_longer_than_an_answer(server: StorageServer) -> None:
    options = StorageOptions(allow_http=True, answer_timeout_s=0.8, retry_count=0)
    data = bytes(range(256)) * 1000

    async def drip(_request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={
                "content-length": str(len(data)),
                "etag": '"x"',
                "last-modified": "Sun, 22 Nov 2026 00:00:00 GMT",
            }
        )
        await response.prepare(_request)
        for start in range(0, len(data), len(data) // 8):
            await response.write(data[start : start + len(data) // 8])
            await asyncio.sleep(0.2)  # 1.6 s in all, and never silent for 0.8 s
        return response

    async with serving(drip) as port:
        with told(server.environment(port)):
            assert await open_store("s3://bucket", options).get("a/b") == data


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """Answer every request by one handler; yields the port."""
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


class Busy:
    """Answers 503 so often, then as it should; counts."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.asked = 0
        self.authorization = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        self.left -= 1
        self.authorization = request.headers.get("authorization", "")
        return web.Response(status=503 if self.left >= 0 else 200, headers={"etag": '"x"'})


@pytest.mark.parametrize(("count", "tried"), [(0, 1), (2, 3)])
async def test_a_busy_server_is_asked_again_as_often_as_set(
    server: StorageServer, count: int, tried: int
) -> None:
    busy = Busy(100)
    async with serving(busy.answer) as port:
        with told(server.environment(port)):
            store = open_store("s3://bucket", StorageOptions(allow_http=True, retry_count=count))
            with pytest.raises(Unavailable) as caught:
                await store.put("a/b", b"x")
    assert (busy.asked, caught.value.reason) == (tried, "STORAGE_AWAY")
    assert "127.0.0.1" not in caught.value.message  # where storage is, is nobody's business
    assert "503" in str(caught.value.__cause__)


async def test_a_conditional_write_passes_when_the_server_is_free_again(server: StorageServer) -> None:
    busy = Busy(2)
    async with serving(busy.answer) as port:
        with told(server.environment(port)):
            await open_store("s3://bucket", StorageOptions(allow_http=True)).put("a/b", b"x")
    assert busy.asked == 3
    assert re.match(r"AWS4-HMAC-SHA256 Credential=tester/\d{8}/us-east-1/s3/", busy.authorization)


async def test_no_request_is_tried_again_behind_its_window(server: StorageServer) -> None:
    busy = Busy(10**6)
    options = StorageOptions(allow_http=True, retry_count=100, retry_window_s=0.5)
    async with serving(busy.answer) as port, asyncio.timeout(PATIENT_S):
        with told(server.environment(port)), pytest.raises(Unavailable):
            await open_store("s3://bucket", options).get("a/b")
    assert 1 < busy.asked < 100


async def test_a_connection_that_breaks_is_made_again(server: StorageServer) -> None:
    options = StorageOptions(allow_http=True, retry_count=100, retry_window_s=PATIENT_S)
    async with behind_proxy(server, options) as (proxy, store):
        await store.put("again/b", b"x")
        await proxy.cut()
        reading = asyncio.create_task(store.get("again/b"))
        await asyncio.wait((reading,), timeout=0.3)
        assert not reading.done()
        await proxy.mend()
        assert await reading == b"x"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_server_that_does_not_know_us_is_told_apart(server: StorageServer, status: int) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=status)

    async with serving(refuse) as port:
        with told(server.environment(port)), pytest.raises(Unavailable) as caught:
            await open_store("s3://bucket", StorageOptions(allow_http=True)).get("a/b")
    assert caught.value.reason == "STORAGE_REFUSED"


async def test_no_server_is_spoken_to_without_tls_unasked(server: StorageServer) -> None:
    with told(server.environment(server.port)), pytest.raises(Unavailable):
        await open_store(server.url, StorageOptions(retry_count=0)).get("a/b")


@pytest.mark.parametrize("part_mib", [5, 12])
async def test_parts_are_as_large_as_set(server: StorageServer, part_mib: int) -> None:
    sizes: list[int] = []

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        if request.method == "PUT":
            sizes.append(len(body))
        text = BEGUN if "uploads" in request.query else COMPLETED
        return web.Response(text=text, headers={"etag": '"x"'})

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(14):
            yield bytes(1024 * 1024)

    part_bytes = part_mib * 1024 * 1024
    async with serving(take) as port:
        with told(server.environment(port)):
            store = open_store("s3://bucket", StorageOptions(allow_http=True, part_bytes=part_bytes))
            await store.put_stream("a/b", pieces())
    assert max(sizes) == part_bytes
    assert sum(sizes) == 14 * 1024 * 1024


READ_S = 3.0  # what a gateway takes for a read at most, three connections' silence


@asynccontextmanager
async def gateway_behind_proxy(server: StorageServer, folder: Path) -> AsyncIterator[tuple[Proxy, Scene]]:
    """A gateway with an announced segment that it has not read yet."""
    settings = {"storage_url": server.url, "storage_allow_http": True, "storage_timeout_s": READ_S}
    entry = segment(0, size_bytes=5)
    async with behind_proxy(server, StorageOptions(allow_http=True)) as (proxy, store):
        with suppress(AlreadyExists):  # another test stored it
            await store.put(entry.segment.object_key, b"bytes")
        async with running_scene(folder, **settings) as scene:
            announce(scene, video(), entry)
            yield proxy, scene


async def test_silent_storage_is_told_by_a_gateway_and_envoy_asks_no_other(
    server: StorageServer, tmp_path: Path
) -> None:
    async with gateway_behind_proxy(server, tmp_path) as (proxy, scene):
        await proxy.hang()
        answer = await scene.get(SEGMENT)
        assert (answer.status, "STORAGE_SILENT" in answer.text) == (503, True)
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["x-envoy-ratelimited"] == "true", "it would wait as long there"


async def test_a_gateway_leaves_a_connection_that_is_dead_and_reads_by_another(
    server: StorageServer, tmp_path: Path
) -> None:
    async with gateway_behind_proxy(server, tmp_path) as (proxy, scene):
        await proxy.hang()
        asking = asyncio.create_task(scene.get(SEGMENT))
        async with asyncio.timeout(PATIENT_S):
            while not proxy.unheard_count:  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.01)
        await proxy.mend()
        answer = await asking
        assert (answer.status, answer.body) == (200, b"bytes")
        assert proxy.unheard_count == 1


def test_the_settings_reach_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "CONNECT_TIMEOUT_S": "1.5",
        "ANSWER_TIMEOUT_S": "2.5",
        "RETRY_COUNT": "7",
        "RETRY_WINDOW_S": "3.5",
        "PART_BYTES": "6000000",
        "ALLOW_HTTP": "true",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"WEIR_STORAGE_{name}", value)
    assert ServiceConfig().storage_options == StorageOptions(
        connect_timeout_s=1.5,
        answer_timeout_s=2.5,
        retry_count=7,
        retry_window_s=3.5,
        part_bytes=6_000_000,
        allow_http=True,
    )


def test_defaults_agree_and_carry_the_largest_upload() -> None:
    assert ServiceConfig().storage_options == StorageOptions()
    assert StorageOptions().part_bytes * 10_000 >= TranscoderConfig().upload_limit_bytes
