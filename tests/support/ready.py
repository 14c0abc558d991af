"""Ready segments for tests: real ones, cut by ffmpeg, and clients that send them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.api import httpbody_pb2
from weir.timeline.v1 import timeline_pb2
from weir.transcoder.v1 import transcoder_pb2 as pb

from chassis.errors import Unavailable
from chassis.grpc_client import peer_errors
from support.distributor import Distributor
from support.live_node import create_live
from support.media import run_ffmpeg
from support.transcoder import PIECE_BYTES, Ledger, Transcoder, until

SEGMENT_S = 1.0
SIDES = {"low": (128, 72), "high": (160, 90)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The segments of one variant."""

    segments: tuple[bytes, ...]
    init: bytes = b""


def cut(folder: Path, container: str, variant_id: str, *, count: int, sound: bool = True) -> Cut:
    """Let ffmpeg cut a picture, and a tone if wanted, into segments of a second."""
    own = folder / f"{container}-{variant_id}-{count}-{sound}"
    own.mkdir(parents=True)
    width, height = SIDES[variant_id]
    arguments = ["-f", "lavfi", "-i", f"testsrc2=size={width}x{height}:rate=25"]
    arguments += ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"] if sound else []
    arguments += ["-t", str(count * SEGMENT_S), "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0"]
    arguments += ["-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    arguments += ["-f", "hls", "-hls_time", str(SEGMENT_S), "-hls_list_size", "0"]
    if container == "cmaf":
        arguments += ["-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init.mp4"]
    run_ffmpeg(*arguments, "-hls_segment_filename", str(own / "%03d.seg"), str(own / "all.m3u8"))
    segments = tuple(path.read_bytes() for path in sorted(own.glob("*.seg")))
    assert len(segments) == count
    return Cut(segments=segments, init=(own / "init.mp4").read_bytes() if container == "cmaf" else b"")


async def create_fed(distributor: Distributor, stream_id: str = "cam", **fields: object) -> str:
    """Create a stream for ready segments of a second; answers its key."""
    usual = {"target_duration": 4, "low_latency": False, "container": "ts", "transcode_profiles": []}
    return await create_live(distributor, stream_id, **(usual | fields))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Sends the segments of one stream, to any transcoder."""

    key: str
    stream_id: str = "cam"

    async def send(
        self, transcoder: Transcoder, variant_id: str, number: int, data: bytes, *, last: bool = True
    ) -> pb.IngestResponse:
        """Send a raw segment, in two messages."""
        middle = len(data) // 2
        head = pb.IngestRequest(
            stream_id=self.stream_id,
            stream_key=self.key,
            variant_id=variant_id,
            sequence_num=number,
            body=httpbody_pb2.HttpBody(content_type="video/mp2t", data=data[:middle]),
        )
        tail = pb.IngestRequest(body=httpbody_pb2.HttpBody(data=data[middle:]), last=last)
        return await self._call(transcoder, iter((head, tail)))

    async def send_json(
        self, transcoder: Transcoder, variant_id: str, number: int, data: bytes
    ) -> pb.IngestResponse:
        """Send a document."""
        fields = {
            "variant_id": variant_id,
            "sequence_num": number,
            "duration": SEGMENT_S,
            "data": base64.b64encode(data).decode(),
        }
        return await self.send_document(transcoder, json.dumps(fields).encode())

    async def send_document(self, transcoder: Transcoder, document: bytes) -> pb.IngestResponse:
        """Send the body of a document as it is."""
        body = httpbody_pb2.HttpBody(content_type="application/json; charset=utf-8", data=document)
        request = pb.IngestRequest(stream_id=self.stream_id, stream_key=self.key, body=body, last=True)
        return await self._call(transcoder, iter((request,)))

    async def push(self, transcoder: Transcoder, data: bytes) -> pb.IngestResponse:
        """Push a source, as somebody does who wants it transcoded."""
        head = pb.IngestRequest(stream_id=self.stream_id, stream_key=self.key)
        pieces = (data[place : place + PIECE_BYTES] for place in range(0, len(data), PIECE_BYTES))
        media = [pb.IngestRequest(body=httpbody_pb2.HttpBody(data=piece)) for piece in pieces]
        return await self._call(transcoder, iter((head, *media, pb.IngestRequest(last=True))))

    async def _call(self, transcoder: Transcoder, messages: Iterator[pb.IngestRequest]) -> pb.IngestResponse:
        async with peer_errors():
            answer: pb.IngestResponse = await transcoder.ingest.Ingest(messages)
        return answer


async def send_all(
    sender: Sender, transcoder: Transcoder, cuts: Mapping[str, Sequence[bytes]]
) -> Sequence[pb.IngestResponse]:
    """Send segments of several variants at once, numbered from 0."""
    sending = (
        sender.send(transcoder, variant_id, number, data)
        for variant_id, segments in cuts.items()
        for number, data in enumerate(segments)
    )
    return await asyncio.gather(*sending)


async def until_announced(
    transcoder: Transcoder, count: int, *variant_ids: str, stream_id: str = "cam"
) -> Ledger:
    """Wait until so many segments, gaps among them, of each variant stand on the ledger."""

    async def are_there() -> bool:
        ledger = await transcoder.ledger(stream_id)
        return all(len(ledger.segments(variant_id)) >= count for variant_id in variant_ids)

    await until(are_there, timeout_s=30)
    return await transcoder.ledger(stream_id)


async def until_answers(transcoder: Transcoder) -> None:
    """Wait until a process that was just started takes calls."""

    async def answers() -> bool:
        try:
            async with peer_errors():
                await transcoder.recordings.ListRecordings(pb.ListRecordingsRequest())
        except Unavailable:
            return False
        return True

    await until(answers, timeout_s=30)


def places(ledger: Ledger, variant_id: str) -> list[tuple[int, bool]]:
    """What stands where: each msn, and whether it is there."""
    segments: list[timeline_pb2.Segment] = ledger.segments(variant_id)
    return [(segment.msn, not segment.gap) for segment in segments]
