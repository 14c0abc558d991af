"""A real abr service in this process, and a distributor with a script that tells it of streams."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import repeat
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from weir.abr.v1 import abr_pb2 as pb
from weir.abr.v1 import abr_pb2_grpc as pb_grpc
from weir.distributor.v1 import distributor_pb2 as api
from weir.distributor.v1 import distributor_pb2_grpc as api_grpc

from abr.bootstrap import serve_abr
from abr.config import AbrConfig
from chassis.errors import NotFound, Unavailable
from chassis.grpc_client import open_channel
from chassis.grpc_server import serve
from chassis.lifecycle import Stopping
from support.adaptation import RATES_BPS

NO_NATS = "nats://127.0.0.1:1"


class StreamsPeer(api_grpc.StreamServiceServicer):
    """Answers GetStream with what a test put into `streams`."""

    def __init__(self) -> None:
        self.port = 0
        self.streams: dict[str, api.Stream] = {"film": film()}
        self.asked: list[str] = []
        self.is_away = False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def GetStream(self, request: api.GetStreamRequest, context: Any) -> api.Stream:
        self.asked.append(request.stream_id)
        if self.is_away:
            raise Unavailable("away for a test")
        if request.stream_id not in self.streams:
            raise NotFound(f"there is no stream {request.stream_id!r}", reason="NO_STREAM")
        return self.streams[request.stream_id]


def film(
    names: Iterable[str] = RATES_BPS, *, sizes: Iterable[tuple[int, int]] = repeat((1280, 720)), **fields: Any
) -> api.Stream:
    """A VOD stream with qualities of these names and sizes, and audio."""
    variants = [
        api.Variant(
            variant_id=name.lower(),
            name=name,
            media="video",
            width_pixels=width_pixels,
            height_pixels=height_pixels,
            frame_rate=30,
            peak_bps=RATES_BPS[name],
        )
        for name, (width_pixels, height_pixels) in zip(names, sizes, strict=False)
    ]
    audio = api.Variant(variant_id="audio", name="Audio", media="audio", peak_bps=128_000)
    values = {"stream_id": "film", "type": "vod", "status": "ended", "target_duration": 4}
    return api.Stream(variants=[*variants, audio], **{**values, **fields})


@asynccontextmanager
async def running_streams_peer() -> AsyncIterator[StreamsPeer]:
    """Run a distributor that knows a film."""
    peer = StreamsPeer()  # type: ignore[abstract]

    def register(server: grpc.aio.Server) -> None:
        api_grpc.add_StreamServiceServicer_to_server(peer, server)

    async with serve("127.0.0.1:0", register, services=(), grace_s=0) as (_, port):
        peer.port = port
        yield peer


def abr_config(distributor_address: str, nats_url: str = NO_NATS, **settings: Any) -> AbrConfig:
    """Settings of a process on a free port; it does not wait for a NATS that is not there."""
    values: dict[str, Any] = {
        "grpc_address": "127.0.0.1:0",
        "distributor_address": distributor_address,
        "nats_url": nats_url,
        "nats_connect_timeout_s": 0.1 if nats_url == NO_NATS else 20,
        "shutdown_grace_s": 0.2,
        "snapshot_interval_s": 0.2,
    }
    return AbrConfig(**{**values, **settings})


@asynccontextmanager
async def running_abr(
    distributor_address: str, nats_url: str = NO_NATS, **settings: Any
) -> AsyncIterator[Any]:
    """Run one process for as long as the block lasts; yields a stub."""
    config = abr_config(distributor_address, nats_url, **settings)
    async with (
        serve_abr(config, Stopping()) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield pb_grpc.AbrServiceStub(channel)


def sample(viewer_id: str = "ann", **fields: Any) -> pb.Sample:
    """A segment of 4 s that came in half a second, just now."""
    now_s = time.time()
    values = {
        "stream_id": "film",
        "viewer_id": viewer_id,
        "variant_id": "medium",
        "msn": 0,
        "sample_time": Timestamp(seconds=int(now_s), nanos=int(now_s % 1 * 1e9)),
        "size_bytes": 1_000_000,
        "transfer_ms": 500,
        "buffer_s": 20,
        "duration_s": 4,
    }
    return pb.Sample(**{**values, **fields})


def columns(samples: Sequence[pb.Sample]) -> pb.SampleColumns:
    """The same samples, column by column; a column in which no sample has a value stays empty."""
    sessions = list(dict.fromkeys((one.stream_id, one.viewer_id) for one in samples))
    variants = list(dict.fromkeys(one.variant_id for one in samples))

    def values(field: str, absent: float = 0) -> Sequence[Any]:
        told = [_told(one, field) for one in samples]
        return [] if set(told) == {None} else [absent if value is None else value for value in told]

    return pb.SampleColumns(
        stream_ids=[stream_id for stream_id, _ in sessions],
        viewer_ids=[viewer_id for _, viewer_id in sessions],
        variant_ids=variants,
        viewer_places=[sessions.index((one.stream_id, one.viewer_id)) for one in samples],
        variant_places=[variants.index(one.variant_id) for one in samples],
        sample_time_s=[one.sample_time.seconds + one.sample_time.nanos * 1e-9 for one in samples],
        msns=values("msn", -1),
        buffer_s=values("buffer_s", -1),
        playback_rate_ratio=values("playback_rate_ratio", -1),
        **{field: values(field) for field in _PLAIN_COLUMNS},
    )


_PLAIN_COLUMNS = (
    "size_bytes",
    "transfer_ms",
    "player_throughput_bps",
    "starved",
    "top_bps",
    "duration_s",
    "startup",
)


def _told(sample: pb.Sample, field: str) -> Any:
    """What a sample says; None: nothing."""
    has_presence = sample.DESCRIPTOR.fields_by_name[field].has_presence
    value = getattr(sample, field)
    is_told = sample.HasField(field) if has_presence else bool(value)  # type: ignore[arg-type]
    return value if is_told else None


def batches(samples: Sequence[pb.Sample]) -> AsyncIterator[pb.ReportSamplesRequest]:
    """One message per sample, as a client streams them."""

    async def send() -> AsyncIterator[pb.ReportSamplesRequest]:
        for one in samples:
            yield pb.ReportSamplesRequest(reporter="test", samples=[one])

    return send()


class DecisionsWatcher:
    """Reads WatchDecisions in the background."""

    def __init__(self, stub: Any) -> None:
        self.decisions: list[pb.Decision] = []
        self._call = stub.WatchDecisions(pb.WatchDecisionsRequest(watcher="test"))
        self._task = asyncio.create_task(self._read())
        self._changed = asyncio.Condition()

    async def until(self, count: int) -> Sequence[pb.Decision]:
        """Wait for so many decisions."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: len(self.decisions) >= count)
        return self.decisions

    async def _read(self) -> None:
        async for batch in self._call:
            async with self._changed:
                self.decisions += batch.decisions
                self._changed.notify_all()

    async def stop(self) -> None:
        self._call.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@asynccontextmanager
async def watching(stub: Any) -> AsyncIterator[DecisionsWatcher]:
    """Watch decisions; from the beginning of the block on nothing is missed."""
    watcher = DecisionsWatcher(stub)
    await watcher._call.initial_metadata()
    try:
        yield watcher
    finally:
        await watcher.stop()
