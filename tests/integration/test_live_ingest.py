"""SRT and RTMP into a real transcoder: ffmpeg publishes, the stream key opens the stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import imageio_ffmpeg
import pytest
from weir.media.v1 import media_pb2
from weir.timeline.v1 import timeline_pb2

from support.live_node import create_live
from support.live_publisher import publishing_live
from support.nats import NatsServer
from support.ports import free_base
from support.transcoder import Transcoder, running_pair, until

SMALL = [media_pb2.Rung(name="Small", width_pixels=160, height_pixels=90, video_bps=150_000)]
SECRET = "a very long secret"


@asynccontextmanager
async def publisher(
    url: str, seconds: float = 6.0, muxer: str = "mpegts"
) -> AsyncIterator[asyncio.subprocess.Process]:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error"]
    command += ["-re", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=30"]
    command += ["-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", str(seconds)]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    process = await asyncio.create_subprocess_exec(*command, "-f", muxer, url)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def srt_url(port: int, key: str, secret: str) -> str:
    """Where to push by SRT; encrypted if there is a secret."""
    return f"srt://127.0.0.1:{port}?streamid={key}" + (f"&passphrase={secret}" if secret else "")


async def has_stored(transcoder: Transcoder) -> bool:
    return bool(transcoder.stored())


async def has_been_announced(transcoder: Transcoder) -> bool:
    request = timeline_pb2.GetSnapshotRequest(stream_id="cam")
    snapshot = await transcoder.distributor.timeline.GetSnapshot(request)
    entries = [entry for record in snapshot.records for entry in record.entries]
    made = [entry.segment for entry in entries if entry.segment.rendition_id == "Small"]
    return bool(sum(segment.duration_s for segment in made) > 4.5)


@asynccontextmanager
async def running_srt(
    nats_url: str, folder: Path, secret: str
) -> AsyncIterator[tuple[Transcoder, Callable[[str], str]]]:
    """Run a transcoder that asks for a passphrase; yields it, and the URL of a publisher who shows one."""
    port = free_base()
    settings = {"srt_address": f"127.0.0.1:{port}", "srt_passphrase": secret}
    async with running_pair(nats_url, folder / "objects", **settings) as transcoder:
        key = await create_live(transcoder.distributor, transcode_profiles=[], rungs=SMALL)
        yield transcoder, partial(srt_url, port, key)


async def require_refused(url: str) -> None:
    async with publisher(url) as refused, asyncio.timeout(15):
        assert await refused.wait() != 0


@pytest.mark.parametrize("secret", ["", SECRET])
async def test_srt_becomes_a_stream(nats_server: NatsServer, tmp_path: Path, secret: str) -> None:
    async with running_srt(nats_server.url, tmp_path, secret) as (transcoder, url):
        async with publisher(url(secret)) as process:
            await process.wait()
        await until(partial(has_been_announced, transcoder), timeout_s=15)


@pytest.mark.parametrize("wrong", ["", "another very long secret"])
async def test_srt_is_refused_without_the_right_passphrase(
    nats_server: NatsServer, tmp_path: Path, wrong: str
) -> None:
    async with running_srt(nats_server.url, tmp_path, SECRET) as (transcoder, url):
        await require_refused(url(wrong))
        assert not transcoder.stored()


@pytest.mark.torture
@pytest.mark.parametrize("wrong", ["", "another very long secret"])
async def test_who_has_the_passphrase_is_let_in_after_one_who_has_not(
    nats_server: NatsServer, tmp_path: Path, wrong: str
) -> None:
    async with running_srt(nats_server.url, tmp_path, SECRET) as (transcoder, url):
        await require_refused(url(wrong))
        # It connects again until it is let in: the other one counts as there until it was silent for a while.
        with publishing_live(url(SECRET), tmp_path / "publisher.log", faithful=True):
            await until(partial(has_stored, transcoder), timeout_s=30)
            await until(partial(has_been_announced, transcoder), timeout_s=15)
        made = (await transcoder.ledger("cam")).segments("Small")
        assert made[0].msn == made[0].discontinuity_sequence == 0  # of the other one nothing became


async def test_rtmp_becomes_a_stream(nats_server: NatsServer, tmp_path: Path) -> None:
    port = free_base()
    settings = {"rtmp_address": f"127.0.0.1:{port}"}
    async with running_pair(nats_server.url, tmp_path / "objects", **settings) as transcoder:
        key = await create_live(transcoder.distributor, transcode_profiles=[], rungs=SMALL)
        async with publisher(f"rtmp://127.0.0.1:{port}/live/{key}", muxer="flv") as process:
            assert await process.wait() == 0
        await until(partial(has_been_announced, transcoder), timeout_s=15)


async def test_wrong_key_is_refused(nats_server: NatsServer, tmp_path: Path) -> None:
    port = free_base()
    settings = {"srt_address": f"127.0.0.1:{port}"}
    async with running_pair(nats_server.url, tmp_path / "objects", **settings) as transcoder:
        await create_live(transcoder.distributor)
        async with publisher(f"srt://127.0.0.1:{port}?streamid=cam.wrong") as process, asyncio.timeout(15):
            assert await process.wait() != 0
