"""A gateway under test: real sockets, real storage, a scripted distributor; and streams to serve with it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from weir.timeline.v1 import timeline_pb2 as pb

from chassis.lifecycle import Stopping
from chassis.storage import ObjectStore, open_store
from hls_gateway.bootstrap import serve_gateway
from hls_gateway.config import GatewayConfig
from support.timeline_peer import TimelinePeer, running_peer

INCARNATION = "3f2a9c01"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response as it came over the socket."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A gateway with its surroundings."""

    port: int
    grpc_port: int
    peer: TimelinePeer
    storage: ObjectStore
    folder: Path

    async def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Send one request on a connection of its own; `_` in a header's name stands for `-`."""
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        head = "\r\n".join([f"{method} {path} HTTP/1.1", "host: x", "connection: close", *lines, "", ""])
        async with self.connection() as (reader, writer):
            writer.write(head.encode("latin-1"))
            return await read_answer(reader, has_body=method != "HEAD")

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()


async def read_answer(reader: asyncio.StreamReader, *, has_body: bool = True) -> Answer:
    """Read one response; a body that is shorter than announced is an error."""
    async with asyncio.timeout(10):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", 0)) if has_body else 0
        return Answer(int(status_line.split()[1]), headers, await reader.readexactly(length))


@asynccontextmanager
async def running_scene(folder: Path, **settings: Any) -> AsyncIterator[Scene]:
    """Run a gateway with a distributor of its own, storing in `folder` unless told otherwise."""
    async with running_peer() as peer, running_gateway(folder, peer, **settings) as scene:
        yield scene


@asynccontextmanager
async def running_gateway(folder: Path, peer: TimelinePeer, **settings: Any) -> AsyncIterator[Scene]:
    """Run a gateway that follows `peer`."""
    config = GatewayConfig(
        **{
            "grpc_address": "127.0.0.1:0",
            "http_address": "127.0.0.1:0",
            "distributor_address": f"127.0.0.1:{peer.port}",
            "abr_address": f"127.0.0.1:{peer.port}",
            "storage_url": folder.as_uri(),
            "shutdown_grace_s": 1.0,
            **settings,
        }
    )
    async with serve_gateway(config, Stopping()) as ports:
        yield Scene(
            port=ports.http_port,
            grpc_port=ports.grpc_port,
            peer=peer,
            storage=open_store(config.storage_url),
            folder=folder,
        )


def stream(stream_id: str = "talk", **fields: Any) -> pb.Stream:
    """Describe a recording's stream in CMAF."""
    return pb.Stream(
        **{
            "stream_id": stream_id,
            "incarnation": INCARNATION,
            "kind": pb.STREAM_KIND_VOD,
            "container": pb.CONTAINER_CMAF,
            "target_duration_s": 4,
            **fields,
        }
    )


def video(rendition_id: str = "High", **fields: Any) -> pb.Entry:
    return pb.Entry(
        rendition=pb.Rendition(
            **{
                "rendition_id": rendition_id,
                "media_kind": pb.MEDIA_KIND_VIDEO,
                "codecs": "avc1.640028",
                "width_pixels": 1920,
                "height_pixels": 1080,
                "frame_rate_numerator": 30000,
                "frame_rate_denominator": 1001,
                "target_bps": 4_000_000,
                "peak_bps": 6_000_000,
                "name": "High",
                **fields,
            }
        )
    )


def audio(rendition_id: str = "audio", **fields: Any) -> pb.Entry:
    return pb.Entry(
        rendition=pb.Rendition(
            **{
                "rendition_id": rendition_id,
                "media_kind": pb.MEDIA_KIND_AUDIO,
                "codecs": "mp4a.40.2",
                "target_bps": 128_000,
                "peak_bps": 160_000,
                "sample_rate_hz": 48_000,
                "channel_count": 2,
                "name": "Sound",
                **fields,
            }
        )
    )


def images(rendition_id: str = "thumbnails", **fields: Any) -> pb.Entry:
    """Begin a rendition of thumbnails, a picture every two seconds."""
    return pb.Entry(
        rendition=pb.Rendition(
            **{
                "rendition_id": rendition_id,
                "media_kind": pb.MEDIA_KIND_IMAGES,
                "codecs": "jpeg",
                "width_pixels": 200,
                "height_pixels": 112,
                "tile_s": 2.0,
                **fields,
            }
        )
    )


def segment(msn: int, rendition_id: str = "High", size_bytes: int = 1000, **fields: Any) -> pb.Entry:
    """Announce a segment of 4 s; its key and init are as the transcoder makes them."""
    prefix = f"streams/talk/{INCARNATION}/{rendition_id}"
    return pb.Entry(
        segment=pb.Segment(
            **{
                "rendition_id": rendition_id,
                "msn": msn,
                "start_s": msn * 4.0,
                "duration_s": 4.0,
                "object_key": f"{prefix}/{msn:08d}-0a1b2c3d.m4s",
                "size_bytes": size_bytes,
                "init_key": f"{prefix}/init-11223344.mp4",
                "init_size_bytes": 700,
                **fields,
            }
        )
    )


def live_stream(stream_id: str = "talk", **fields: Any) -> pb.Stream:
    """Describe a live stream of segments of 2 s with parts of 1 s, and a window of a minute."""
    live = {"kind": pb.STREAM_KIND_LIVE, "target_duration_s": 2, "part_target_s": 1.0, "dvr_window_s": 60.0}
    return stream(stream_id, **{**live, **fields})


def part(msn: int, number: int, rendition_id: str = "High", **fields: Any) -> pb.Entry:
    """Announce a part of 1 s; two make a segment."""
    prefix = f"streams/talk/{INCARNATION}/{rendition_id}"
    start_s = msn * 2.0 + number
    return pb.Entry(
        part=pb.Part(
            **{
                "rendition_id": rendition_id,
                "msn": msn,
                "part": number,
                "start_s": start_s,
                "duration_s": 1.0,
                "program_date_time": _at(start_s),
                "independent": number == 0,
                "object_key": f"{prefix}/{msn:08d}.{number:03d}-0a1b2c3d.m4s",
                "size_bytes": 500,
                "init_key": f"{prefix}/init-11223344.mp4",
                "init_size_bytes": 700,
                **fields,
            }
        )
    )


def live_segment(msn: int, rendition_id: str = "High", **fields: Any) -> pb.Entry:
    """Announce a segment of 2 s."""
    timing = {"start_s": msn * 2.0, "duration_s": 2.0, "program_date_time": _at(msn * 2.0)}
    return segment(msn, rendition_id, **{**timing, **fields})


def _at(start_s: float) -> Timestamp:
    return Timestamp(seconds=1_795_348_800 + int(start_s))


def whole(msn: int, rendition_id: str = "High") -> list[pb.Entry]:
    """Announce a segment behind its parts."""
    return [part(msn, 0, rendition_id), part(msn, 1, rendition_id), live_segment(msn, rendition_id)]


def ended(rendition_id: str = "") -> pb.Entry:
    return pb.Entry(ended=pb.Ended(rendition_id=rendition_id))


async def store(scene: Scene, entry: pb.Entry, *, seed: int = 0) -> bytes:
    """Put the bytes that an announced segment stands for, and its init segment; returns the segment's."""
    data = pattern(entry.segment.size_bytes, seed=seed + entry.segment.msn)
    await scene.storage.put(entry.segment.object_key, data)
    if entry.segment.init_key and not (scene.folder / entry.segment.init_key).exists():
        await scene.storage.put(entry.segment.init_key, pattern(entry.segment.init_size_bytes, seed=99))
    return data


async def store_part(scene: Scene, entry: pb.Entry) -> bytes:
    """Put the bytes that an announced part stands for."""
    data = pattern(entry.part.size_bytes, seed=entry.part.msn * 100 + entry.part.part)
    await scene.storage.put(entry.part.object_key, data)
    return data


async def until(scene: Scene, path: str, expected: str) -> None:
    """Ask for a path until the answer holds `expected`."""
    async with asyncio.timeout(20):
        while expected.encode() not in (await scene.get(path)).body:  # noqa: ASYNC110 - as a viewer would
            await asyncio.sleep(0.01)


def pattern(size_bytes: int, *, seed: int) -> bytes:
    """Make bytes of which no two places look alike."""
    return random.Random(seed).randbytes(size_bytes)


def announce(scene: Scene, *entries: pb.Entry) -> None:
    """Create the stream `talk` with one record, whether its objects are there or not."""
    scene.peer.create(stream())
    scene.peer.append("talk", *entries)


async def publish(scene: Scene, *records: Sequence[pb.Entry]) -> None:
    """Create the stream `talk`, store what the records announce, and append them."""
    scene.peer.create(stream())
    for record in records:
        for entry in record:
            if entry.WhichOneof("kind") == "segment" and entry.segment.object_key:
                await store(scene, entry)
        scene.peer.append("talk", *record)
