"""The HTTP server on real sockets: order, limits, slow and rude clients, and how it stops."""

from __future__ import annotations

import asyncio
import json
import resource
import select
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.gateway import (
    INCARNATION,
    Scene,
    pattern,
    publish,
    read_answer,
    running_scene,
    segment,
    video,
)

MASTER = "/hls/talk/master.m3u8"
HIGH = "/hls/talk/variants/High/playlist.m3u8"
SEGMENT = f"/hls/talk/variants/High/segment_0.m4s?i={INCARNATION}"
LARGE_BYTES = 6_000_000


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with running_scene(tmp_path) as running:
        await publish(running, [video(), segment(0, size_bytes=300_000)])
        yield running


def request(path: str, method: str = "GET", *lines: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: x", *lines, "", ""]).encode()


async def is_closed(reader: asyncio.StreamReader, within_s: float = 5) -> bool:
    """Wait for the server to close; what it still says is thrown away."""
    try:
        async with asyncio.timeout(within_s):
            while await reader.read(65536):
                pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


class TestOrder:
    async def test_a_connection_is_kept_for_many_requests(self, scene: Scene) -> None:
        async with scene.connection() as (reader, writer):
            for _ in range(5):
                writer.write(request(HIGH))
                answer = await read_answer(reader)
                assert answer.status == 200
                assert "connection" not in answer.headers

    async def test_pipelined_requests_are_answered_in_order(self, scene: Scene) -> None:
        """Some are answered at once and some only after storage was read; the order stays."""
        paths = [HIGH, SEGMENT, "/hls/nobody/master.m3u8", "/hls/../x/master.m3u8", SEGMENT, HIGH, MASTER]
        async with scene.connection() as (reader, writer):
            writer.write(b"".join(request(path) for path in paths))
            answers = [await read_answer(reader) for _ in paths]
        assert [answer.status for answer in answers] == [200, 200, 404, 400, 200, 200, 200]
        assert answers[1].body == answers[4].body == pattern(300_000, seed=0)

    async def test_many_pipelined_requests_over_a_few_reads(self, scene: Scene) -> None:
        wire = request(HIGH) * 40
        async with scene.connection() as (reader, writer):
            for start in range(0, len(wire), 700):
                writer.write(wire[start : start + 700])
                await asyncio.sleep(0)
            assert {(await read_answer(reader)).status for _ in range(40)} == {200}

    async def test_more_pipelined_requests_than_the_limit_end_the_connection(self, scene: Scene) -> None:
        async with scene.connection() as (reader, writer):
            writer.write(request(HIGH) * 200)
            answers = [await read_answer(reader) for _ in range(64)]
            assert answers[-1].headers["connection"] == "close"
            assert await is_closed(reader)

    async def test_a_half_closed_client_gets_its_answers(self, scene: Scene) -> None:
        async with scene.connection() as (reader, writer):
            writer.write(request(SEGMENT) + request(HIGH))
            writer.write_eof()
            assert (await read_answer(reader)).body == pattern(300_000, seed=0)
            last = await read_answer(reader)
            assert (last.status, last.headers["connection"]) == (200, "close")
            assert await is_closed(reader)

    async def test_a_client_that_closes_before_it_asked_is_let_go(self, scene: Scene) -> None:
        for sent in (b"", b"GET /heal"):
            async with scene.connection() as (reader, writer):
                writer.write(sent)
                writer.write_eof()
                assert await is_closed(reader)

    async def test_an_answer_precedes_the_refusal_of_what_follows(self, scene: Scene) -> None:
        async with scene.connection() as (reader, writer):
            writer.write(request(SEGMENT) + b"nonsense\r\n\r\n")
            assert (await read_answer(reader)).status == 200
            refused = await read_answer(reader)
            assert (refused.status, refused.headers["connection"]) == (400, "close")
            assert await is_closed(reader)

    async def test_http_1_0_is_answered_and_closed(self, scene: Scene) -> None:
        async with scene.connection() as (reader, writer):
            writer.write(f"GET {HIGH} HTTP/1.0\r\n\r\n".encode())
            answer = await read_answer(reader)
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert await is_closed(reader)

    async def test_a_client_that_goes_away_while_it_waits_harms_nobody(self, scene: Scene) -> None:
        for _ in range(20):
            async with scene.connection() as (_, writer):
                writer.write(request(SEGMENT) + request("/hls/nobody/master.m3u8") + request(SEGMENT))
                await writer.drain()
        assert (await scene.get(SEGMENT)).body == pattern(300_000, seed=0)


class TestMethods:
    async def test_preflight(self, scene: Scene) -> None:
        for path in (HIGH, "/anything", "*"):
            answer = await scene.get(path, method="OPTIONS", origin="http://player.example")
            assert answer.status == 204
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "GET" in answer.headers["access-control-allow-methods"]
            assert "content-length" not in answer.headers

    async def test_other_methods_are_405_and_the_connection_goes_on(self, scene: Scene) -> None:
        async with scene.connection() as (reader, writer):
            writer.write(request(HIGH, "POST", "content-length: 5") + b"hello" + request(HIGH))
            refused = await read_answer(reader)
            assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
            assert refused.headers["access-control-allow-origin"] == "*"
            assert (await read_answer(reader)).status == 200

    async def test_an_absolute_target_is_taken(self, scene: Scene) -> None:
        assert (await scene.get(f"http://example.org{HIGH}")).status == 200


class TestRefusals:
    @pytest.mark.parametrize(
        ("wire", "status"),
        [
            (b"GET /a b HTTP/1.1\r\nhost: x\r\n\r\n", 400),
            (b"GET /%0a HTTP/1.1\r\nhost: x\r\n\r\n", 400),
            (b"GET /hls/%2e%2e/master.m3u8 HTTP/1.1\r\nhost: x\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 414),
            (b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 20000 + b"\r\n\r\n", 431),
            (b"GET / HTTP/2.0\r\nhost: x\r\nconnection: keep-alive\r\n\r\n", 505),
            (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n" + b"b" * 70000, 413),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        ],
    )
    async def test_a_refusal_is_json_with_cors(self, scene: Scene, wire: bytes, status: int) -> None:
        async with scene.connection() as (reader, writer):
            writer.write(wire)
            answer = await read_answer(reader)
            assert answer.status == status
            error = json.loads(answer.body)
            assert error["code"] == 3
            assert error["details"][0]["domain"] == "weir"
            assert answer.headers["access-control-allow-origin"] == "*"
            assert answer.headers["cache-control"] == "no-store"

    async def test_connections_over_the_limit_are_503(self, tmp_path: Path) -> None:
        async with running_scene(tmp_path, connection_count=2) as scene:
            async with scene.connection() as (first, one), scene.connection() as (second, two):
                for reader, writer in ((first, one), (second, two)):
                    writer.write(request("/healthz"))
                    assert (await read_answer(reader)).status == 200
                async with scene.connection() as (third, _):
                    answer = await read_answer(third)
                    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
                    assert await is_closed(third)
            await asyncio.sleep(0.05)
            assert (await scene.get("/healthz")).status == 200


class TestSlowClients:
    async def test_a_request_that_drips_in_is_408(self, tmp_path: Path) -> None:
        async with (
            running_scene(tmp_path, head_timeout_s=0.3) as scene,
            scene.connection() as (reader, writer),
        ):
            answer = asyncio.create_task(read_answer(reader))
            for byte in request(HIGH)[:-4]:
                if answer.done():
                    break
                writer.write(bytes([byte]))
                await asyncio.sleep(0.05)
            assert (await answer).status == 408
            assert await is_closed(reader)

    async def test_an_idle_connection_is_closed(self, tmp_path: Path) -> None:
        async with (
            running_scene(tmp_path, idle_timeout_s=0.3) as scene,
            scene.connection() as (silent, _),
            scene.connection() as (reader, writer),
        ):
            writer.write(request("/healthz"))
            assert (await read_answer(reader)).status == 200
            assert await is_closed(reader)
            assert await is_closed(silent)

    @pytest.mark.parametrize("settings", [{}, {"media_object_bytes": 0}], ids=["from memory", "streamed"])
    async def test_a_viewer_that_takes_nothing_is_dropped(
        self, tmp_path: Path, settings: dict[str, int]
    ) -> None:
        async with running_scene(tmp_path, stall_timeout_s=0.4, **settings) as scene:
            await publish(scene, [video(), segment(0, size_bytes=LARGE_BYTES)])
            with slow_socket(scene.port) as sock:
                sock.sendall(request(SEGMENT))
                assert await asyncio.to_thread(is_reset, sock)
            assert (await scene.get(SEGMENT)).body == pattern(LARGE_BYTES, seed=0)

    async def test_a_viewer_below_the_least_rate_is_dropped(self, tmp_path: Path) -> None:
        async with running_scene(tmp_path, stall_timeout_s=0.4, send_rate_bytes_s=1_000_000) as scene:
            await publish(scene, [video(), segment(0, size_bytes=LARGE_BYTES)])
            with slow_socket(scene.port) as sock:
                sock.sendall(request(SEGMENT))
                with pytest.raises(ConnectionResetError):
                    await asyncio.to_thread(drain, sock, 60_000, 0.2)

    @pytest.mark.parametrize("settings", [{}, {"media_object_bytes": 0}], ids=["from memory", "streamed"])
    async def test_a_viewer_that_takes_little_by_little_gets_all(
        self, tmp_path: Path, settings: dict[str, int]
    ) -> None:
        async with running_scene(tmp_path, stall_timeout_s=0.4, **settings) as scene:
            await publish(scene, [video(), segment(0, size_bytes=LARGE_BYTES)])
            await scene.get(SEGMENT)
            with slow_socket(scene.port) as sock:
                sock.sendall(request(SEGMENT, "GET", "connection: close"))
                taken_bytes = await asyncio.to_thread(drain, sock, 200_000, 0.03)
                assert taken_bytes > LARGE_BYTES


def slow_socket(port: int) -> socket.socket:
    """Connect with as little room for unread bytes as the kernel gives."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(10)
    sock.connect(("127.0.0.1", port))
    return sock


def is_reset(sock: socket.socket) -> bool:
    """Wait for the server to break the connection off, without reading from it."""
    poller = select.poll()
    poller.register(sock, 0)  # a reset is told whatever one waits for
    return bool(poller.poll(10_000))


def drain(sock: socket.socket, step_bytes: int = 1_000_000, pause_s: float = 0.0) -> int:
    """Read to the end in steps; returns how much came."""
    total = step = 0
    while data := sock.recv(65536):
        total += len(data)
        step += len(data)
        if step >= step_bytes:
            step = 0
            time.sleep(pause_s)
    return total


class TestStopping:
    async def test_what_was_asked_is_answered_and_idle_connections_end(self, tmp_path: Path) -> None:
        scene_of = running_scene(tmp_path)
        scene = await scene_of.__aenter__()
        await publish(scene, [video(), segment(0, size_bytes=LARGE_BYTES)])
        async with scene.connection() as (idle, quiet), scene.connection() as (reader, writer):
            quiet.write(request("/healthz"))
            await read_answer(idle)
            writer.write(request(SEGMENT))
            head = await reader.readuntil(b"\r\n\r\n")
            stopping = asyncio.create_task(scene_of.__aexit__(None, None, None))
            assert await is_closed(idle)
            assert b"200 OK" in head
            body = await reader.readexactly(LARGE_BYTES)
            assert body == pattern(LARGE_BYTES, seed=0)
            assert await is_closed(reader)
            await stopping
        with pytest.raises(ConnectionRefusedError):
            await scene.get("/healthz")

    async def test_it_is_unready_before_it_closes(self, tmp_path: Path) -> None:
        scene_of = running_scene(tmp_path, drain_s=0.5)
        scene = await scene_of.__aenter__()
        assert (await scene.get("/readyz")).status == 200
        stopping = asyncio.create_task(scene_of.__aexit__(None, None, None))
        await asyncio.sleep(0.1)
        assert (await scene.get("/readyz")).status == 503
        assert (await scene.get("/healthz")).status == 200
        await stopping

    async def test_a_viewer_that_never_finishes_does_not_hold_it_up(self, tmp_path: Path) -> None:
        scene_of = running_scene(tmp_path, shutdown_grace_s=0.3)
        scene = await scene_of.__aenter__()
        await publish(scene, [video(), segment(0, size_bytes=LARGE_BYTES)])
        with slow_socket(scene.port) as sock:
            sock.sendall(request(SEGMENT))
            await asyncio.sleep(0.1)
            async with asyncio.timeout(20):
                await scene_of.__aexit__(None, None, None)


async def test_as_many_files_as_connections_may_be_open(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        async with running_scene(tmp_path, connection_count=2000):
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 2000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_pages_and_their_files(scene: Scene) -> None:
    console, player = await scene.get("/"), await scene.get("/watch/talk")
    assert console.status == player.status == 200
    assert console.headers["content-type"] == player.headers["content-type"] == "text/html; charset=utf-8"
    assert console.body != player.body
    assert console.headers["cache-control"] == "no-cache"
    assert (await scene.get("/", if_none_match=console.headers["etag"])).status == 304
    style = await scene.get("/assets/css/base.css", accept_encoding="gzip")
    assert (style.status, style.headers["content-encoding"]) == (200, "gzip")
    assert (await scene.get("/assets/nothing.css")).status == 404
    assert (await scene.get("/assets/../config.py")).status == 400


async def test_refusals_are_logged_but_for_404(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with running_scene(tmp_path) as scene:
        for path in ("/hls/nobody/master.m3u8", "/healthz", "/hls/../x/master.m3u8"):
            await scene.get(path)
    lines = [line for line in capsys.readouterr().out.splitlines() if "http request" in line]
    assert len(lines) == 1
    assert "/hls/../x/master.m3u8" in lines[0]


async def test_every_request_is_logged_when_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_scene(tmp_path, request_log="all") as scene:
        await publish(scene, [video(), segment(0)])
        assert (await scene.get(HIGH)).status == 200
    lines = [line for line in capsys.readouterr().out.splitlines() if "http request" in line]
    assert len(lines) == 1
    assert HIGH in lines[0]
    assert "200" in lines[0]
