"""Pulled streams: recordings played as if live, and URLs; one transcoder pulls, another takes over."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from weir.distributor.v1 import distributor_pb2 as api
from weir.media.v1 import media_pb2
from weir.timeline.v1 import timeline_pb2 as pb
from weir.transcoder.v1 import transcoder_pb2 as tc

from support.distributor import Distributor, running_distributor
from support.live_sources import growing_playlist
from support.media import run_ffmpeg
from support.nats import NatsServer
from support.ports import free_base
from support.rtsp_server import Manners, rtsp_server
from support.transcoder import Transcoder, running_transcoder, small_film, transcoder_process, until

SMALL = [media_pb2.Rung(name="Small", width_pixels=160, height_pixels=90, video_bps=150_000)]


@asynccontextmanager
async def front(nats_url: str, objects: Path, **settings: Any) -> AsyncIterator[Transcoder]:
    """A distributor, and the transcoder that it asks to pull."""
    address = f"127.0.0.1:{free_base()}"
    async with (
        running_distributor(nats_url, transcoder_address=address) as distributor,
        running_transcoder(
            nats_url,
            distributor,
            objects,
            **{"grpc_address": address, "fetch_allow_private": True, "live_silence_s": 5, **settings},
        ) as transcoder,
    ):
        yield transcoder


async def start(transcoder: Transcoder, **source: Any) -> None:
    """Create a pulled stream, and start it."""
    streams = transcoder.distributor.streams
    await streams.CreateStream(
        api.CreateStreamRequest(
            stream_id="cam", target_duration=2, rungs=SMALL, source=api.StreamSource(**source)
        )
    )
    await streams.StartStream(api.StartStreamRequest(stream_id="cam"))


async def status(distributor: Distributor) -> api.Stream:
    stream: api.Stream = await distributor.streams.GetStream(api.GetStreamRequest(stream_id="cam"))
    return stream


async def snapshot(distributor: Distributor) -> pb.GetSnapshotResponse:
    answer: pb.GetSnapshotResponse = await distributor.timeline.GetSnapshot(
        pb.GetSnapshotRequest(stream_id="cam")
    )
    return answer


async def segments(distributor: Distributor) -> list[pb.Segment]:
    """The picture's segments; fails if they do not follow on."""
    entries = [entry for record in (await snapshot(distributor)).records for entry in record.entries]
    found = [entry.segment for entry in entries if entry.segment.rendition_id == "Small"]
    assert [segment.msn for segment in found] == list(range(len(found)))
    numbers = [segment.discontinuity_sequence for segment in found]
    assert numbers == sorted(numbers)
    return found


async def until_segments(distributor: Distributor, count: int, *, timeout_s: float = 20.0) -> None:
    async def are_there() -> bool:
        return len(await segments(distributor)) >= count

    await until(are_there, timeout_s=timeout_s)


async def test_recording_is_played_as_if_live_and_ends(nats_server: NatsServer, tmp_path: Path) -> None:
    async with front(nats_server.url, tmp_path / "objects") as transcoder:
        await transcoder.bring(small_film(tmp_path, seconds=5))
        await start(transcoder, recording_id="film")

        async def has_ended() -> bool:
            return (await status(transcoder.distributor)).status == "ended"

        await until(has_ended, timeout_s=20)
        assert sum(one.duration_s for one in await segments(transcoder.distributor)) == pytest.approx(
            5, abs=0.2
        )


async def test_looped_recording_goes_on_until_it_is_stopped(nats_server: NatsServer, tmp_path: Path) -> None:
    async with front(nats_server.url, tmp_path / "objects") as transcoder:
        await transcoder.bring(small_film(tmp_path, seconds=3))
        await start(transcoder, recording_id="film", loop=True)
        await until_segments(transcoder.distributor, 4)
        await transcoder.distributor.streams.StopStream(api.StopStreamRequest(stream_id="cam"))
        state = await snapshot(transcoder.distributor)
        await asyncio.sleep(3)
        assert (await snapshot(transcoder.distributor)).newest_sequence == state.newest_sequence
        assert {one.discontinuity_sequence for one in await segments(transcoder.distributor)} == {0}


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder by HTTP."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_live_hls_is_pulled(nats_server: NatsServer, tmp_path: Path) -> None:
    www = tmp_path / "www"
    www.mkdir()
    with served(www) as url, growing_playlist(www):
        async with front(nats_server.url, tmp_path / "objects") as transcoder:
            await start(transcoder, pull_url=f"{url}/index.m3u8")
            await until_segments(transcoder.distributor, 3)
            await transcoder.distributor.streams.StopStream(api.StopStreamRequest(stream_id="cam"))


async def test_a_camera_is_pulled_with_its_sound(nats_server: NatsServer, tmp_path: Path) -> None:
    async with (
        rtsp_server(tmp_path, Manners(user="me:secret")) as port,
        front(nats_server.url, tmp_path / "objects") as transcoder,
    ):
        await start(transcoder, pull_url=f"rtsp://me:secret@127.0.0.1:{port}/cam")
        await until_segments(transcoder.distributor, 2)
        records = (await snapshot(transcoder.distributor)).records
        entries = [entry for record in records for entry in record.entries]
        begun = {entry.rendition.rendition_id for entry in entries if entry.HasField("rendition")}
        assert begun >= {"Small", "audio"}
        await transcoder.distributor.streams.StopStream(api.StopStreamRequest(stream_id="cam"))


async def test_private_addresses_are_refused(nats_server: NatsServer, tmp_path: Path) -> None:
    async with front(nats_server.url, tmp_path / "objects", fetch_allow_private=False) as transcoder:
        await start(transcoder, pull_url="http://127.0.0.1:1/index.m3u8")

        async def has_failed() -> bool:
            return (await status(transcoder.distributor)).status == "error"

        await until(has_failed)
        error = (await status(transcoder.distributor)).error
        assert error.startswith("source.pull_url names '127.0.0.1', which is not a public address")


async def test_source_that_fails_is_shown_and_asked_again(nats_server: NatsServer, tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    with served(tmp_path / "www") as url:
        async with front(nats_server.url, tmp_path / "objects") as transcoder:
            await start(transcoder, pull_url=f"{url}/later.ts")

            async def has_failed() -> bool:
                return (await status(transcoder.distributor)).status == "error"

            await until(has_failed)
            source = small_film(tmp_path, seconds=6)
            run_ffmpeg("-i", str(source), "-c", "copy", "-f", "mpegts", str(tmp_path / "www" / "later.ts"))
            await until_segments(transcoder.distributor, 2)
            assert (await status(transcoder.distributor)).status == "active"


@asynccontextmanager
async def second(nats_url: str, distributor: Distributor, objects: Path) -> AsyncIterator[None]:
    """Run another transcoder, which stands by once the block begins."""
    async with transcoder_process(nats_url, distributor, objects) as (replica, _):
        await replica.recordings.ListRecordings(tc.ListRecordingsRequest(), wait_for_ready=True, timeout=30)
        yield


@pytest.mark.torture
async def test_owner_that_is_killed_is_replaced(nats_server: NatsServer, tmp_path: Path) -> None:
    objects = tmp_path / "objects"
    async with front(nats_server.url, objects, live_workers=0) as transcoder, AsyncExitStack() as stack:
        distributor = transcoder.distributor
        await transcoder.bring(small_film(tmp_path, seconds=5))
        _, first = await stack.enter_async_context(transcoder_process(nats_server.url, distributor, objects))
        await start(transcoder, recording_id="film", loop=True)
        await until_segments(distributor, 2)
        await stack.enter_async_context(second(nats_server.url, distributor, objects))
        await until_segments(distributor, 4)
        before = await snapshot(distributor)
        first.send_signal(signal.SIGKILL)
        killed_s = asyncio.get_running_loop().time()

        async def is_taken_over() -> bool:
            return (await snapshot(distributor)).epoch == before.epoch + 1

        await until(is_taken_over, timeout_s=8)
        assert asyncio.get_running_loop().time() - killed_s < 5
        await until_segments(distributor, len(await segments(distributor)) + 2)
        made = await segments(distributor)
        assert {one.discontinuity_sequence for one in made} == {0, 1}
        assert all((objects / one.object_key).is_file() for one in made if not one.gap)


@pytest.mark.torture
async def test_frozen_owner_is_refused_when_it_wakes(nats_server: NatsServer, tmp_path: Path) -> None:
    objects = tmp_path / "objects"
    async with front(nats_server.url, objects, live_workers=0) as transcoder, AsyncExitStack() as stack:
        distributor = transcoder.distributor
        await transcoder.bring(small_film(tmp_path, seconds=5))
        _, first = await stack.enter_async_context(transcoder_process(nats_server.url, distributor, objects))
        await start(transcoder, recording_id="film", loop=True)
        await until_segments(distributor, 2)
        await stack.enter_async_context(second(nats_server.url, distributor, objects))
        first.send_signal(signal.SIGSTOP)
        frozen_count = len(await segments(distributor))
        await until_segments(distributor, frozen_count + 3)
        first.send_signal(signal.SIGCONT)
        await until_segments(distributor, frozen_count + 6)
        state = await snapshot(distributor)
        assert state.epoch == 2
        epochs = [record.epoch for record in state.records]
        assert epochs == sorted(epochs)
        entries = [entry for record in state.records for entry in record.entries]
        named = {entry.segment.object_key for entry in entries if entry.HasField("segment")}
        stored = {
            str(path.relative_to(objects))
            for path in (objects / "streams").rglob("*.m4s")
            if path.name.count(".") == 1  # whole segments
        }
        newest = {key for key in stored if key not in named}
        assert len(newest) <= 2, newest  # those that the living owner has stored and is about to announce


async def test_stopping_owner_hands_over_without_losing_media(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    objects = tmp_path / "objects"
    async with front(nats_server.url, objects, live_workers=0) as transcoder, AsyncExitStack() as stack:
        distributor = transcoder.distributor
        await transcoder.bring(small_film(tmp_path, seconds=5))
        _, first = await stack.enter_async_context(transcoder_process(nats_server.url, distributor, objects))
        await start(transcoder, recording_id="film", loop=True)
        await until_segments(distributor, 2)
        await stack.enter_async_context(second(nats_server.url, distributor, objects))
        await until_segments(distributor, 3)
        first.send_signal(signal.SIGTERM)

        async def is_taken_over() -> bool:
            return (await snapshot(distributor)).epoch == 2

        await until(is_taken_over, timeout_s=8)
        await until_segments(distributor, len(await segments(distributor)) + 2)
        assert not any(one.gap for one in await segments(distributor))
        await first.wait()
