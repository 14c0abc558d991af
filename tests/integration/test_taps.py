"""Taps: what a source's URL, playlist or redirect names is judged before anybody connects to it."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, nullcontext, suppress
from pathlib import Path

import imageio_ffmpeg
import pytest
from aiohttp import web

from chassis.errors import InvalidArgument, Unavailable
from chassis.lifecycle import end_tasks
from support.live_sources import rtmp_source, srt_source
from support.media import packets
from support.ports import free_ports
from support.rtsp_server import Manners, rtsp_server
from support.scripted import Response, ScriptedHttp
from support.transcoder import small_film, until
from transcoder.adapters.http_guard import http_guard
from transcoder.adapters.stream_guard import stream_guard
from transcoder.adapters.tap import SrtListener, TapSettings, UrlTap
from transcoder.adapters.tap_command import build_script_command, write_url_script
from transcoder.domain.pull_url import parse_pull_url
from transcoder.ingest.rtmp.handshake import HALF_BYTES

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
ENOUGH_BYTES = 100_000


@pytest.fixture
def scripted() -> Iterator[ScriptedHttp]:
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


async def test_private_host_is_refused_by_the_guard(scripted: ScriptedHttp) -> None:
    async with http_guard(allow_private=False) as proxy_url:
        for request in (
            f"GET http://127.0.0.1:{scripted.port}/a HTTP/1.1",
            f"CONNECT localhost:{scripted.port} HTTP/1.1",
        ):
            answer = await ask(proxy_url, f"{request}\r\nhost: x\r\n\r\n".encode())
            assert answer.startswith(b"HTTP/1.1 403")
    assert scripted.requests == []


async def test_public_host_is_asked_for_what_was_named(scripted: ScriptedHttp) -> None:
    scripted.scripts["/a/b.ts"] = lambda _: Response(body=b"media")
    async with http_guard(allow_private=True) as proxy_url:
        request = (
            f"GET http://127.0.0.1:{scripted.port}/a/b.ts?c=d HTTP/1.1\r\nhost: x\r\nproxy-secret: y\r\n\r\n"
        )
        answer = await ask(proxy_url, request.encode())
    assert answer.endswith(b"media")
    (arrived,) = scripted.requests
    assert arrived.path == "/a/b.ts?c=d"
    assert "proxy-secret" not in arrived.headers


@pytest.mark.parametrize("allow_private", [False, True])
async def test_ffmpeg_asks_the_guard_for_what_a_playlist_names(
    scripted: ScriptedHttp, tmp_path: Path, *, allow_private: bool
) -> None:
    """The playlist comes from elsewhere; the segment that it names lies inside our networks."""
    playlist = tmp_path / "index.m3u8"
    playlist.write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:{scripted.port}/secret.ts\n#EXT-X-ENDLIST\n"
    )
    source = parse_pull_url(f"http://127.0.0.1:{scripted.port}/index.m3u8")
    script = write_url_script(source, f"file:{playlist}").replace(b"'http,", b"'file,http,")
    async with http_guard(allow_private=allow_private) as proxy_url:
        command = build_script_command(
            FFMPEG, "pipe:1", progress_url="pipe:2", container="mpegts", proxy_url=proxy_url
        )
        await asyncio.to_thread(
            subprocess.run, command, input=script, capture_output=True, check=False, timeout=30
        )
    assert {request.path for request in scripted.requests} == ({"/secret.ts"} if allow_private else set())


async def test_tap_hands_on_what_stands_at_a_url(scripted: ScriptedHttp, tmp_path: Path) -> None:
    film = small_film(tmp_path, seconds=2).read_bytes()
    scripted.scripts["/film.mp4"] = lambda _: Response(body=film)
    tap = UrlTap(TapSettings(allow_private=True), FFMPEG, f"http://127.0.0.1:{scripted.port}/film.mp4")
    data = b"".join([piece async for piece in tap.pieces()])
    assert sum(packet.stream.type == "video" for packet in packets(data)) == 60


async def test_source_that_cannot_be_had_is_told_without_its_password(scripted: ScriptedHttp) -> None:
    scripted.scripts["/film.mp4"] = lambda _: Response(status=404)
    url = f"http://me:secret@127.0.0.1:{scripted.port}/film.mp4"
    with pytest.raises(Unavailable, match="cannot be had") as caught:
        async for _ in UrlTap(TapSettings(allow_private=True), FFMPEG, url).pieces():
            pass
    assert "secret" not in caught.value.message


async def watch(url: str) -> Counter[str]:
    """Tap a live source for a second or two; how many packets of which codec came."""
    tap = UrlTap(TapSettings(allow_private=True, silence_s=5), FFMPEG, url)
    data = b""
    async with asyncio.timeout(30), aclosing(_begun(tap)) as pieces:
        async for piece in pieces:
            data += piece
            if len(data) > ENOUGH_BYTES:
                break
    return Counter(packet.stream.codec.name for packet in packets(data))


async def _begun(tap: UrlTap) -> AsyncGenerator[bytes]:
    """Ask until the source is there."""
    while True:
        with suppress(Unavailable):
            async with aclosing(tap.pieces()) as pieces:
                async for piece in pieces:
                    yield piece
                return
        await asyncio.sleep(0.1)


async def test_rtmp_is_pulled() -> None:
    with rtmp_source("/live/cam?token=a%2Fb") as url:
        counts = await watch(url)
    assert (counts["h264"] > 20, counts["aac"] > 20) == (True, True)


async def test_an_rtmp_server_hears_the_name_that_was_asked_for() -> None:
    heard = bytearray()

    async def shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await reader.readexactly(1 + HALF_BYTES)
        writer.write(b"\3" + bytes(HALF_BYTES) + hello[1:])
        await reader.readexactly(HALF_BYTES)
        heard.extend(await reader.read(1000))
        writer.close()

    async with await asyncio.start_server(shake_hands, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable):
            await tap_once(f"rtmp://localhost:{port}/live/cam/key")
    assert f"rtmp://localhost:{port}/live/cam".encode() in heard


async def test_srt_is_pulled() -> None:
    with srt_source("correct-horse") as url:
        counts = await watch(url)
    assert (counts["h264"] > 20, counts["aac"] > 20) == (True, True)


async def test_a_camera_is_pulled_by_rtsp_with_its_password_and_its_sound(tmp_path: Path) -> None:
    manners = Manners(user="me:it's")
    async with rtsp_server(tmp_path, manners) as port:
        counts = await watch(f"rtsp://me:it's@localhost:{port}/cam?channel=1")
    assert (counts["h264"] > 20, counts["pcm_mulaw"] > 20) == (True, True)
    assert manners.requests[-1].startswith("TEARDOWN")


async def test_a_camera_that_refuses_us_is_told_without_the_password(tmp_path: Path) -> None:
    async with rtsp_server(tmp_path, Manners(user="me:right")) as port:
        with pytest.raises(Unavailable, match="401 Unauthorized") as caught:
            await tap_once(f"rtsp://me:secret@localhost:{port}/cam")
    assert "secret" not in caught.value.message
    assert "pipe:0" not in caught.value.message


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost, with its key."""
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    made = subprocess.run(
        [*argv, *names, "-days", "2", "-keyout", "-", "-out", "-"], capture_output=True, check=True
    )
    path.write_bytes(made.stdout)
    return path


async def test_a_camera_behind_tls_is_spoken_to_if_its_certificate_is_trusted(
    tmp_path: Path, certificate: Path
) -> None:
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate)
    async with rtsp_server(tmp_path, Manners(), served) as port:
        trust = ssl.create_default_context(cafile=str(certificate))
        url = parse_pull_url(f"rtsps://localhost:{port}/cam")
        async with stream_guard(url, allow_private=True, trust=trust) as guard:
            reader, writer = await asyncio.open_connection("127.0.0.1", guard.port)
            writer.write(b"OPTIONS rtsp://camera/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n")
            assert await reader.readline() == b"RTSP/1.0 200 OK\r\n"
            writer.close()
        with pytest.raises(Unavailable, match="certificate is not trusted"):
            await tap_once(url.url)


FILM_PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"


@asynccontextmanager
async def https_server(certificate: Path, files: Mapping[str, bytes], asked: list[str]) -> AsyncIterator[str]:
    """Serve files behind TLS for the time of a block, and note what is asked for; yields the server's URL."""

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(body=files[request.path])

    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate)
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=served).start()
    try:
        yield f"https://localhost:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_https_is_pulled_if_the_certificate_is_trusted(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"/film.mp4": small_film(tmp_path, seconds=2).read_bytes()}
    async with https_server(certificate, files, []) as url:
        with pytest.raises(Unavailable, match="certificate verify failed"):
            await tap_once(f"{url}/film.mp4")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # as an operator adds an authority of his own
        tap = UrlTap(TapSettings(allow_private=True, silence_s=5), FFMPEG, f"{url}/film.mp4")
        data = b"".join([piece async for piece in tap.pieces()])
    assert sum(packet.stream.type == "video" for packet in packets(data)) == 60


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_what_a_playlist_names_by_https_must_be_trusted_too(
    scripted: ScriptedHttp,
    certificate: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_trusted: bool,
) -> None:
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    files = {"/film.mp4": small_film(tmp_path, seconds=2).read_bytes()}
    asked: list[str] = []
    async with https_server(certificate, files, asked) as url:
        playlist = FILM_PLAYLIST.format(f"{url}/film.mp4").encode()
        scripted.scripts["/index.m3u8"] = lambda _: Response(body=playlist)
        tapped = tap_once(f"http://127.0.0.1:{scripted.port}/index.m3u8")
        with nullcontext() if is_trusted else pytest.raises(Unavailable):
            await tapped
    assert set(asked) == ({"/film.mp4"} if is_trusted else set())


async def tap_once(url: str, *, allow_private: bool = True) -> None:
    """Take what a source gives, or fail as it does."""
    async for _ in UrlTap(TapSettings(allow_private=allow_private, silence_s=5), FFMPEG, url).pieces():
        pass


async def test_an_rtsp_server_may_not_send_us_elsewhere(tmp_path: Path) -> None:
    inside = Manners()
    async with rtsp_server(tmp_path, inside) as secret_port:
        manners = Manners(redirect_to=f"rtsp://127.0.0.1:{secret_port}/secret")
        async with rtsp_server(tmp_path, manners) as port:
            with pytest.raises(InvalidArgument, match="redirects to another place"):
                await tap_once(f"rtsp://localhost:{port}/cam")
    assert inside.requests == []


@pytest.mark.parametrize("scheme", ["rtmp", "rtsp", "srt"])
async def test_nobody_is_connected_to_inside_our_networks(scheme: str) -> None:
    with pytest.raises(InvalidArgument, match="not a public address"):
        await tap_once(f"{scheme}://localhost:1/a", allow_private=False)


async def test_a_server_that_is_away_is_told_as_such() -> None:
    with pytest.raises(Unavailable, match=r"cannot be reached: .*refused"):
        await tap_once("rtmp://localhost:1/live/key")


async def test_nobody_on_this_machine_reads_a_secret_from_our_command() -> None:
    pieces = SrtListener(TapSettings(silence_s=5), passphrase="correct-horse").listen(free_ports(1)[0])
    waiting = asyncio.ensure_future(anext(pieces))
    try:
        await until(is_tap_running)
        assert not any(b"correct-horse" in command for command in taps_running())
    finally:
        await end_tasks(waiting)


async def is_tap_running() -> bool:
    return bool(taps_running())


def taps_running() -> list[bytes]:
    """The commands of all taps on this machine, as everybody may read them."""
    found: list[bytes] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_bytes())
    return [command for command in found if b"concat" in command and b"pipe:0" in command]
