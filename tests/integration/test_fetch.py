"""Sources fetched from URLs: whole or not at all, and never from inside our own network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from weir.transcoder.v1 import transcoder_pb2 as pb

from chassis.errors import InvalidArgument, Unavailable
from support import web
from support.nats import NatsServer
from support.transcoder import Transcoder, running_pair, small_film, until
from transcoder.adapters.fetcher import FetchRules, HttpFetcher


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return small_film(tmp_path_factory.mktemp("film"), seconds=2.0).read_bytes()


@pytest.fixture
async def transcoder(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Transcoder]:
    async with running_pair(nats_server.url, tmp_path / "objects", fetch_allow_private=True) as replica:
        yield replica


def fetcher(**rules: Any) -> HttpFetcher:
    return HttpFetcher(
        FetchRules(
            **{
                "size_limit_bytes": 1_000_000,
                "time_limit_s": 10.0,
                "silence_s": 0.5,
                "allow_private": True,
                **rules,
            }
        )
    )


async def fetch(url: str, **rules: Any) -> bytes:
    return b"".join([piece async for piece in fetcher(**rules).fetch(url)])


async def arrived(transcoder: Transcoder, recording_id: str = "film") -> pb.Recording:
    """Wait until the fetch has ended."""
    request = pb.GetRecordingRequest(recording_id=recording_id)
    async with asyncio.timeout(20):
        while True:
            recording: pb.Recording = await transcoder.recordings.GetRecording(request)
            if recording.state in {pb.Recording.READY, pb.Recording.FAILED}:
                return recording
            await asyncio.sleep(0.02)


async def test_a_recording_is_fetched_and_probed(transcoder: Transcoder, film: bytes) -> None:
    async with web.web_server(film=web.whole(film)) as url:
        created = await transcoder.create(source_url=f"{url}/film")
        assert created.state == pb.Recording.FETCHING
        recording = await arrived(transcoder)
    assert (recording.state, recording.error) == (pb.Recording.READY, "")
    assert (recording.size_bytes, recording.source_url) == (len(film), f"{url}/film")
    await transcoder.start()
    assert (await transcoder.finish()).state == pb.JobProgress.SUCCEEDED


@pytest.mark.parametrize(
    ("handler", "word"),
    [
        (web.status(404), "answers 404"),
        (web.whole(b"no media " * 100), ""),
        (web.redirect("http://127.0.0.1:1/film"), "another place"),
    ],
)
async def test_a_refused_fetch_tells_why_and_leaves_nothing(
    transcoder: Transcoder, handler: web.Handler, word: str
) -> None:
    async with web.web_server(film=handler) as url:
        await transcoder.create(source_url=f"{url}/film")
        recording = await arrived(transcoder)
    assert recording.state == pb.Recording.FAILED
    assert recording.error
    assert word in recording.error
    assert transcoder.stored() == set()


async def test_a_fetch_that_takes_longer_than_the_queue_waits_is_not_done_twice(
    nats_server: NatsServer, tmp_path: Path, film: bytes
) -> None:
    asked = 0

    async def answer(request: Any) -> Any:
        nonlocal asked
        asked += 1
        return await web.slow(film, seconds=2.5)(request)

    settings = {
        "fetch_allow_private": True,
        "fetch_workers": 2,
        "transcode_ack_wait_s": 1.0,
        "transcode_heartbeat_s": 0.2,
    }
    async with (
        running_pair(nats_server.url, tmp_path / "objects", **settings) as transcoder,
        web.web_server(film=answer) as url,
    ):
        await transcoder.create(source_url=f"{url}/film")
        recording = await arrived(transcoder)
    assert (recording.state, recording.error, asked) == (pb.Recording.READY, "", 1)


async def test_a_failed_fetch_may_be_followed_by_an_upload(transcoder: Transcoder, film: bytes) -> None:
    async with web.web_server(film=web.status(403)) as url:
        await transcoder.create(source_url=f"{url}/film")
        await arrived(transcoder)
    assert (await transcoder.upload(film)).state == pb.Recording.READY


async def test_a_deleted_recording_is_fetched_no_more(transcoder: Transcoder) -> None:
    async with web.web_server(film=web.endless(bytes(100_000))) as url:
        await transcoder.create(source_url=f"{url}/film")
        await asyncio.sleep(0.3)
        await transcoder.recordings.DeleteRecording(pb.DeleteRecordingRequest(recording_id="film"))

        async def is_empty() -> bool:
            return not transcoder.stored()

        await until(is_empty)


async def test_a_body_comes_whole(film: bytes) -> None:
    async with web.web_server(film=web.whole(film), moved=web.redirect("/film")) as url:
        assert await fetch(f"{url}/film") == film
        assert await fetch(f"{url}/moved") == film


@pytest.mark.parametrize(
    ("handler", "kind", "word"),
    [
        (web.broken(b"x" * 1000, declared=2000), Unavailable, "broke off"),
        (web.silent(b"x" * 1000), Unavailable, "cannot be fetched"),
        (web.status(503), Unavailable, "503"),
        (web.status(429), Unavailable, "429"),
        (web.status(206), InvalidArgument, "206"),
        (web.redirect("/film"), InvalidArgument, "more than 5 times"),
        (web.redirect("file:///etc/passwd"), InvalidArgument, "file:///etc/passwd"),
        (web.redirect("http://localhost/film"), InvalidArgument, "another place"),
        (web.whole(bytes(1_000_001)), InvalidArgument, "at most 1000000"),
    ],
)
async def test_what_is_not_a_whole_source_is_refused(
    handler: web.Handler, kind: type[Exception], word: str
) -> None:
    async with web.web_server(film=handler) as url:
        with pytest.raises(kind, match=word):
            await fetch(f"{url}/film")


async def test_a_slow_source_ends_at_the_time_limit() -> None:
    async with web.web_server(film=web.endless(b"x")) as url:
        with pytest.raises(Unavailable):
            await fetch(f"{url}/film", time_limit_s=0.5)


async def test_a_body_of_unknown_length_is_refused() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhalf a film")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(InvalidArgument, match="does not tell"):
            await fetch(f"http://127.0.0.1:{port}/film")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127%2e0.0.1",
        "%31%32%37.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ],
)
async def test_nothing_inside_is_fetched(host: str) -> None:
    """However the address is written; a real server listens there, so that only the refusal can stop it."""
    asked = []

    async def answer(request: Any) -> Any:
        asked.append(request.path)
        return await web.whole(b"secret")(request)

    async with web.web_server(film=answer) as url:
        port = url.rpartition(":")[2]
        target = f"http://{host}:{port}/film"
        with pytest.raises(InvalidArgument):
            await fetch(target, allow_private=False)
        with pytest.raises(InvalidArgument, match=r"not a public address|must name a host"):
            await fetcher(allow_private=False).require_allowed(target)
    assert asked == []


async def test_a_name_that_is_not_known_is_tried_again_later() -> None:
    with pytest.raises(Unavailable):
        await fetch("http://does-not-exist.invalid/film", allow_private=False)
    await fetcher(allow_private=False).require_allowed("http://does-not-exist.invalid/film")
