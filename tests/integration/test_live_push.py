"""HTTP push into a real transcoder: a real publisher, the real encoder, a real ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
from google.api import httpbody_pb2
from weir.timeline.v1 import timeline_pb2
from weir.transcoder.v1 import transcoder_pb2 as pb

from chassis import errors
from chassis.grpc_client import peer_errors
from support.live_node import create_live
from support.media import packets
from support.nats import NatsServer
from support.transcoder import Transcoder, running_pair, until
from transcoder.ingest.sniff import SNIFF_BYTES

SMALL = [{"name": "Small", "width_pixels": 160, "height_pixels": 90, "video_bps": 150_000}]
MUXERS = {
    "mpegts": ("-f", "mpegts"),
    "flv": ("-f", "flv"),
    "mov": ("-f", "mp4", "-movflags", "frag_keyframe+empty_moov+default_base_moof"),
    "matroska": ("-f", "matroska"),
}


@pytest.fixture
async def transcoder(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Transcoder]:
    async with running_pair(nats_server.url, tmp_path / "objects") as replica:
        yield replica


async def publish(
    seconds: float, muxer: str = "mpegts", *, sound: bool = True
) -> AsyncGenerator[bytes, None]:
    """Send a picture, and a tone if wanted, in real time, as ffmpeg does."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-re"]
    command += ["-f", "lavfi", "-i", "testsrc2=size=160x90:rate=30"]
    command += ["-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"] if sound else []
    command += ["-t", str(seconds), "-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-bf", "0"]
    command += ["-pix_fmt", "yuv420p", "-c:a", "aac", *MUXERS[muxer], "-flush_packets", "1", "pipe:1"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    try:
        while data := await process.stdout.read(16_384):
            yield data
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def head() -> AsyncGenerator[bytes, None]:
    """Send what tells the container, and no more: a message that meets the end would hide its status."""
    begun = b""
    async with aclosing(publish(1.0)) as pieces:
        async for piece in pieces:
            begun += piece
            if len(begun) >= SNIFF_BYTES:
                break
    yield begun
    await asyncio.Event().wait()


async def push(
    transcoder: Transcoder, key: str, pieces: AsyncGenerator[bytes, None], **first: Any
) -> pb.IngestResponse:
    """Push by native gRPC."""

    async def messages() -> AsyncIterator[pb.IngestRequest]:
        yield pb.IngestRequest(stream_id="cam", stream_key=key, **first)
        async for piece in pieces:
            yield pb.IngestRequest(body=httpbody_pb2.HttpBody(data=piece))
        yield pb.IngestRequest(last=True)

    try:
        async with peer_errors():
            answer: pb.IngestResponse = await transcoder.ingest.Ingest(messages())
        return answer
    finally:
        await leave_off(pieces)


async def leave_off(pieces: AsyncGenerator[bytes, None]) -> None:
    """End what is pushed; a call that failed takes one more piece before it lets go, if there is one."""
    for _ in range(100):
        try:
            await pieces.aclose()
        except RuntimeError:  # it is being taken from
            await asyncio.sleep(0.02)
        else:
            return


async def entries(transcoder: Transcoder) -> list[timeline_pb2.Entry]:
    request = timeline_pb2.GetSnapshotRequest(stream_id="cam")
    snapshot = await transcoder.distributor.timeline.GetSnapshot(request)
    return [entry for record in snapshot.records for entry in record.entries]


def media_of(transcoder: Transcoder, found: list[timeline_pb2.Entry], rendition_id: str) -> bytes:
    """A rendition as a player gets it."""
    segments = [entry.segment for entry in found if entry.segment.rendition_id == rendition_id]
    return transcoder.read(segments[0].init_key) + b"".join(
        transcoder.read(segment.object_key) for segment in segments
    )


@pytest.mark.parametrize("muxer", MUXERS)
async def test_push_becomes_a_stream(transcoder: Transcoder, muxer: str) -> None:
    key = await create_live(transcoder.distributor, transcode_profiles=[], rungs=SMALL)
    answer = await push(transcoder, key, publish(5.0, muxer))
    assert (answer.status, answer.stream_id) == ("ended", "cam")
    assert answer.duration == pytest.approx(5.0, abs=0.2)
    found = await entries(transcoder)
    renditions = {entry.rendition.rendition_id for entry in found if entry.HasField("rendition")}
    assert renditions == {"Small", "audio", "thumbnails"}
    for rendition_id in renditions:
        segments = [entry.segment for entry in found if entry.segment.rendition_id == rendition_id]
        assert [segment.msn for segment in segments] == [0, 1, 2]
        assert sum(segment.duration_s for segment in segments) == pytest.approx(5.0, abs=0.2)
        if rendition_id == "thumbnails":
            assert all(len(list(packets(transcoder.read(one.object_key)))) == 1 for one in segments)
        else:
            assert len(list(packets(media_of(transcoder, found, rendition_id)))) > 100


async def test_parts_are_announced_while_the_push_goes_on(transcoder: Transcoder) -> None:
    key = await create_live(transcoder.distributor, transcode_profiles=[], rungs=SMALL)
    pushing = asyncio.create_task(push(transcoder, key, publish(8.0)))

    async def has_parts() -> bool:
        try:
            return sum(entry.HasField("part") for entry in await entries(transcoder)) >= 10
        except Exception:  # noqa: BLE001 - the stream is not opened yet
            return False

    await until(has_parts, timeout_s=7.0)
    assert not pushing.done()
    await pushing


async def test_picture_without_sound(transcoder: Transcoder) -> None:
    key = await create_live(transcoder.distributor, transcode_profiles=[], rungs=SMALL)
    await push(transcoder, key, publish(3.0, sound=False))
    found = await entries(transcoder)
    renditions = {entry.rendition.rendition_id for entry in found if entry.HasField("rendition")}
    assert renditions == {"Small", "thumbnails"}


async def test_push_that_breaks_off_is_announced_to_its_end(transcoder: Transcoder) -> None:
    key = await create_live(transcoder.distributor, transcode_profiles=[], rungs=SMALL)
    pushing = asyncio.create_task(push(transcoder, key, publish(30.0)))
    await asyncio.sleep(5)
    pushing.cancel()
    await asyncio.wait([pushing])

    async def is_whole() -> bool:
        found = await entries(transcoder)
        last = [entry for entry in found if entry.WhichOneof("kind") in {"part", "segment"}][-1]
        return last.HasField("segment")

    await until(is_whole)
    found = await entries(transcoder)
    video = [entry.segment for entry in found if entry.segment.rendition_id == "Small"]
    assert sum(segment.duration_s for segment in video) > 3
    assert {entry.segment.msn for entry in found if entry.segment.rendition_id == "audio"} == {
        segment.msn for segment in video
    }


async def test_what_is_no_media_is_refused(transcoder: Transcoder) -> None:
    key = await create_live(transcoder.distributor)

    async def nonsense() -> AsyncGenerator[bytes, None]:
        yield b"these are words, not media" * 100

    with pytest.raises(errors.InvalidArgument, match="no media"):
        await push(transcoder, key, nonsense())


async def test_wrong_key_is_refused(transcoder: Transcoder) -> None:
    await create_live(transcoder.distributor)
    with pytest.raises(errors.PermissionDenied):
        await push(transcoder, "cam.wrong", head())
    with pytest.raises(errors.PermissionDenied):
        await push(transcoder, "", head())


async def test_variant_without_a_number_is_no_push(transcoder: Transcoder) -> None:
    key = await create_live(transcoder.distributor)
    with pytest.raises(errors.InvalidArgument) as refusal:
        await push(transcoder, key, head(), variant_id="Small")
    assert refusal.value.metadata["field"] == "sequence_num"


async def test_a_push_that_never_begins_is_ended(transcoder: Transcoder) -> None:
    async def silence() -> AsyncIterator[pb.IngestRequest]:
        await asyncio.Event().wait()
        yield pb.IngestRequest()

    with pytest.raises(errors.DeadlineExceeded):
        async with asyncio.timeout(60), peer_errors():
            await transcoder.ingest.Ingest(silence())
