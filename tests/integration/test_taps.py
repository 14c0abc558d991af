"""Taps: what a source's URL, playlist or redirect names is judged before anybody connects to it."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import pytest

from chassis.errors import InvalidArgument, Unavailable
from support.media import packets
from support.scripted import Response, ScriptedHttp
from support.transcoder import small_film
from transcoder.adapters.http_guard import http_guard
from transcoder.adapters.tap import TapSettings, UrlTap
from transcoder.adapters.tap_command import build_url_command
from transcoder.domain.pull_url import parse_pull_url

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


@pytest.fixture
def web() -> Iterator[ScriptedHttp]:
    server = ScriptedHttp("web")
    try:
        yield server
    finally:
        server.stop()


async def ask(proxy_url: str, request: bytes) -> bytes:
    """Send a request to the proxy; its answer to the end."""
    host, _, port = proxy_url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


async def test_private_host_is_refused_by_the_guard(web: ScriptedHttp) -> None:
    async with http_guard(allow_private=False) as proxy_url:
        for request in (
            f"GET http://127.0.0.1:{web.port}/a HTTP/1.1",
            f"CONNECT localhost:{web.port} HTTP/1.1",
        ):
            answer = await ask(proxy_url, f"{request}\r\nhost: x\r\n\r\n".encode())
            assert answer.startswith(b"HTTP/1.1 403")
    assert web.requests == []


async def test_public_host_is_asked_for_what_was_named(web: ScriptedHttp) -> None:
    web.scripts["/a/b.ts"] = lambda _: Response(body=b"media")
    async with http_guard(allow_private=True) as proxy_url:
        request = f"GET http://127.0.0.1:{web.port}/a/b.ts?c=d HTTP/1.1\r\nhost: x\r\nproxy-secret: y\r\n\r\n"
        answer = await ask(proxy_url, request.encode())
    assert answer.endswith(b"media")
    (arrived,) = web.requests
    assert arrived.path == "/a/b.ts?c=d"
    assert "proxy-secret" not in arrived.headers


@pytest.mark.parametrize("allow_private", [False, True])
async def test_ffmpeg_asks_the_guard_for_what_a_playlist_names(
    web: ScriptedHttp, *, allow_private: bool
) -> None:
    """The playlist comes from elsewhere; the segment that it names lies inside our networks."""
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:{web.port}/secret.ts\n"
    async with http_guard(allow_private=allow_private) as proxy_url:
        command = build_url_command(
            *(FFMPEG, f"http://127.0.0.1:{web.port}/index.m3u8", "http", "pipe:1"),
            progress_url="pipe:2",
            proxy_url=proxy_url,
        )
        here = [*command]
        here[here.index("-protocol_whitelist") + 1] += ",pipe"
        here[here.index("-i") + 1] = "pipe:0"
        here[here.index("-re")] = "-f"
        here.insert(here.index("-f") + 1, "hls")  # a pipe has no name that tells
        await asyncio.to_thread(
            subprocess.run, here, input=playlist.encode(), capture_output=True, check=False, timeout=30
        )
    assert {request.path for request in web.requests} == ({"/secret.ts"} if allow_private else set())


async def test_tap_hands_on_what_stands_at_a_url(web: ScriptedHttp, tmp_path: Path) -> None:
    film = small_film(tmp_path, seconds=2).read_bytes()
    web.scripts["/film.mp4"] = lambda _: Response(body=film)
    tap = UrlTap(TapSettings(allow_private=True), FFMPEG, f"http://127.0.0.1:{web.port}/film.mp4")
    data = b"".join([piece async for piece in tap.pieces()])
    assert sum(packet.stream.type == "video" for packet in packets(data)) == 60


async def test_source_that_cannot_be_had_is_told_without_its_password(web: ScriptedHttp) -> None:
    web.scripts["/film.mp4"] = lambda _: Response(status=404)
    url = f"http://me:secret@127.0.0.1:{web.port}/film.mp4"
    with pytest.raises(Unavailable, match="cannot be had") as caught:
        async for _ in UrlTap(TapSettings(allow_private=True), FFMPEG, url).pieces():
            pass
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "concat:a|b", "http:///x", "http://h:99999/", "srt://h:1?mode=listener", "x"],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidArgument, match="pull_url must"):
        parse_pull_url(url)
