"""A real transcoder, in this process or as one of its own, and what its clients do."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from google.api import httpbody_pb2
from weir.timeline.v1 import timeline_pb2
from weir.transcoder.v1 import transcoder_pb2 as pb
from weir.transcoder.v1 import transcoder_pb2_grpc as pb_grpc

from chassis.grpc_client import open_channel
from support.distributor import Distributor, running_distributor
from support.media import Media, Picture, Sound, make_media
from support.ports import free_base
from transcoder.bootstrap import serve_transcoder
from transcoder.config import TranscoderConfig

PIECE_BYTES = 64 * 1024
ENDED = {pb.JobProgress.SUCCEEDED, pb.JobProgress.FAILED, pb.JobProgress.CANCELLED}

# As quick as tests want it; what is not named stays as in production.
QUICK: Mapping[str, Any] = {
    "transcode_ack_wait_s": 2.0,
    "transcode_heartbeat_s": 0.2,
    "transcode_retry_delay_s": 0.05,
    "progress_interval_s": 0.2,
    "shutdown_grace_s": 5.0,
    "rtmp_address": "127.0.0.1:0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcoder:
    """A running replica and stubs that call it."""

    address: str
    recordings: Any
    jobs: Any
    ingest: Any
    objects: Path
    distributor: Distributor

    async def create(self, recording_id: str = "film", **fields: Any) -> pb.Recording:
        request = pb.CreateRecordingRequest(recording_id=recording_id, **fields)
        created: pb.Recording = await self.recordings.CreateRecording(request)
        return created

    async def upload(self, data: bytes, recording_id: str = "film") -> pb.Recording:
        filled: pb.Recording = await self.recordings.UploadSource(upload_messages(data, recording_id))
        return filled

    async def bring(self, source: Path, recording_id: str = "film") -> pb.Recording:
        """Create a recording and upload its source."""
        await self.create(recording_id)
        return await self.upload(source.read_bytes(), recording_id)

    async def start(self, recording_id: str = "film", **fields: Any) -> str:
        """Start a job; answers its id."""
        request = pb.StartTranscodeRequest(recording_id=recording_id, **fields)
        started: pb.StartTranscodeResponse = await self.jobs.StartTranscode(request)
        (job_id,) = started.job_ids
        return job_id

    async def progress(self, recording_id: str = "film") -> pb.JobProgress:
        """The job's progress."""
        request = pb.GetProgressRequest(recording_id=recording_id)
        answer: pb.TranscodeProgress = await self.jobs.GetProgress(request)
        (job,) = answer.jobs.values()
        return job

    async def finish(self, recording_id: str = "film", *, timeout_s: float = 60.0) -> pb.JobProgress:
        """Wait for the job's end."""

        async def has_ended() -> bool:
            return (await self.progress(recording_id)).state in ENDED

        await until(has_ended, timeout_s=timeout_s, every_s=0.1)
        return await self.progress(recording_id)

    async def ledger(self, recording_id: str = "film") -> Ledger:
        """Everything that is announced."""
        request = timeline_pb2.GetSnapshotRequest(stream_id=recording_id)
        snapshot = await self.distributor.timeline.GetSnapshot(request)
        return Ledger(snapshot)

    def stored(self, prefix: str = "") -> set[str]:
        """Keys of all objects below a prefix, and of whatever else lies there."""
        root = self.objects
        return {
            str(path.relative_to(root))
            for path in root.rglob("*")
            if path.is_file() and str(path.relative_to(root)).startswith(prefix)
        }

    def read(self, key: str) -> bytes:
        return (self.objects / key).read_bytes()


async def until(
    holds: Callable[[], Awaitable[bool]], *, timeout_s: float = 10.0, every_s: float = 0.02
) -> None:
    """Wait until something holds that nobody announces; look seldom where looking costs much."""
    async with asyncio.timeout(timeout_s):
        while not await holds():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(every_s)


class Ledger:
    """What a stream's ledger tells, in order."""

    def __init__(self, snapshot: timeline_pb2.GetSnapshotResponse) -> None:
        self.stream = snapshot.stream
        self.entries = [entry for record in snapshot.records for entry in record.entries]

    @property
    def renditions(self) -> dict[str, timeline_pb2.Rendition]:
        found = [entry.rendition for entry in self.entries if entry.HasField("rendition")]
        assert len({rendition.rendition_id for rendition in found}) == len(found)
        return {rendition.rendition_id: rendition for rendition in found}

    def segments(self, rendition_id: str) -> list[timeline_pb2.Segment]:
        """A rendition's segments; fails if one is missing, doubled or out of order."""
        found = [
            entry.segment
            for entry in self.entries
            if entry.HasField("segment") and entry.segment.rendition_id == rendition_id
        ]
        assert [segment.msn for segment in found] == list(range(len(found)))
        return found

    @property
    def keys(self) -> set[str]:
        """Objects that players need."""
        segments = [entry.segment for entry in self.entries if entry.HasField("segment")]
        return {key for segment in segments for key in (segment.object_key, segment.init_key) if key}

    @property
    def has_ended(self) -> bool:
        """Whether the stream's end is told, once, and last."""
        ends = [index for index, entry in enumerate(self.entries) if entry.HasField("ended")]
        assert ends in ([], [len(self.entries) - 1])
        return bool(ends)


def upload_messages(
    data: bytes, recording_id: str = "film", *, last: bool = True, **first: Any
) -> Iterator[pb.UploadSourceRequest]:
    """Cut an upload into messages; `first`: further fields of the first one."""
    yield pb.UploadSourceRequest(recording_id=recording_id, **first)
    for start in range(0, len(data), PIECE_BYTES):
        body = httpbody_pb2.HttpBody(data=data[start : start + PIECE_BYTES])
        yield pb.UploadSourceRequest(body=body)
    if last:
        yield pb.UploadSourceRequest(last=True)


def small_film(
    folder: Path, *, seconds: float = 12.0, picture: bool = True, sound: bool = True, name: str = "film.mp4"
) -> Path:
    """Make a source that takes a second to transcode; 12 s are four segments in three chunks."""
    path = folder / name
    path.write_bytes(_small_film(seconds, path.suffix, picture=picture, sound=sound))
    return path


@cache
def _small_film(seconds: float, suffix: str, *, picture: bool, sound: bool) -> bytes:
    """Make it once per process: many tests want the same."""
    small = Picture(width=160, height=90, count=round(seconds * 30))
    media = Media(picture=small if picture else None, sound=Sound(seconds=seconds) if sound else None)
    with TemporaryDirectory() as folder:
        return make_media(Path(folder, "film").with_suffix(suffix), media).read_bytes()


def settings_for(nats_url: str, distributor_address: str, objects: Path, **settings: Any) -> dict[str, Any]:
    """The settings of a replica of the test's own."""
    return {
        "nats_url": nats_url,
        "storage_url": f"file://{objects}",
        "grpc_address": "127.0.0.1:0",
        "distributor_address": distributor_address,
        **QUICK,
        **settings,
    }


@asynccontextmanager
async def running_transcoder(
    nats_url: str, distributor: Distributor, objects: Path, **settings: Any
) -> AsyncIterator[Transcoder]:
    """Run one replica in this process for as long as the block lasts."""
    config = TranscoderConfig(**settings_for(nats_url, distributor.address, objects, **settings))
    async with serve_transcoder(config) as port, _stubs(f"127.0.0.1:{port}", objects, distributor) as replica:
        yield replica


@asynccontextmanager
async def transcoder_process(
    nats_url: str, distributor: Distributor, objects: Path, **settings: Any
) -> AsyncIterator[tuple[Transcoder, asyncio.subprocess.Process]]:
    """Run one replica as a process, to be killed; it is dead when the block ends."""
    address = f"127.0.0.1:{free_base(1)}"
    values = settings_for(nats_url, distributor.address, objects, **settings) | {"grpc_address": address}
    environment = {f"WEIR_{name.upper()}": str(value) for name, value in values.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "transcoder", env=os.environ | environment
    )
    try:
        async with _stubs(address, objects, distributor) as replica:
            yield replica, process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def running_pair(nats_url: str, objects: Path, **settings: Any) -> AsyncIterator[Transcoder]:
    """Run a distributor and a transcoder in this process."""
    async with (
        running_distributor(nats_url) as distributor,
        running_transcoder(nats_url, distributor, objects, **settings) as transcoder,
    ):
        yield transcoder


@asynccontextmanager
async def _stubs(address: str, objects: Path, distributor: Distributor) -> AsyncIterator[Transcoder]:
    async with open_channel(address) as channel:
        yield Transcoder(
            address=address,
            recordings=pb_grpc.RecordingServiceStub(channel),
            jobs=pb_grpc.TranscodeServiceStub(channel),
            ingest=pb_grpc.IngestServiceStub(channel),
            objects=objects,
            distributor=distributor,
        )
