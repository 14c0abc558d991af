"""A distributor and an abr with a script: real gRPC servers that remember what they were told of viewers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from weir.abr.v1 import abr_pb2, abr_pb2_grpc
from weir.distributor.v1 import distributor_pb2, distributor_pb2_grpc
from weir.timeline.v1 import timeline_pb2_grpc

from chassis.errors import Unavailable
from chassis.grpc_server import serve
from support.gateway import Scene, running_gateway
from support.timeline_peer import TimelinePeer


class Told:
    """What is told to those who watch: the newest first, then each that comes."""

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._changed = asyncio.Event()

    def tell(self, message: Any) -> None:
        self._messages.append(message)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def follow(self) -> AsyncIterator[Any]:
        told_count = max(0, len(self._messages) - 1)
        while True:
            changed = self._changed
            for message in self._messages[told_count:]:
                yield message
            told_count = len(self._messages)
            await changed.wait()


class DistributionPeer(distributor_pb2_grpc.DistributionServiceServicer):
    """Counts deliveries, and leads viewers where the test says."""

    def __init__(self) -> None:
        self.reports: list[distributor_pb2.ReportDeliveriesRequest] = []
        self.attempts: list[int] = []
        self.joined: list[distributor_pb2.JoinedSession] = []
        """What is answered to every report."""
        self.is_away = False
        """Hear everything, but say that it was not heard."""
        self.pathways = Told()

    @property
    def samples(self) -> list[distributor_pb2.DeliverySample]:
        return [sample for report in self.reports for sample in report.samples]

    async def ReportDeliveries(
        self, request_iterator: AsyncIterator[distributor_pb2.ReportDeliveriesRequest], context: Any
    ) -> distributor_pb2.ReportDeliveriesResponse:
        requests = [request async for request in request_iterator]
        self.attempts += [request.report_number for request in requests]
        if self.is_away:
            raise Unavailable("away")
        self.reports += requests
        return distributor_pb2.ReportDeliveriesResponse(joined=self.joined)

    async def WatchPathways(
        self, request: distributor_pb2.WatchPathwaysRequest, context: Any
    ) -> AsyncIterator[distributor_pb2.WatchPathwaysResponse]:
        async for message in self.pathways.follow():
            yield message


def rows(columns: abr_pb2.SampleColumns) -> Iterator[abr_pb2.Sample]:
    """Turn columns back into samples."""
    for index, place in enumerate(columns.viewer_places):
        told = {
            field: values[index]
            for field, (name, absent) in SAMPLE_COLUMNS.items()
            if (values := getattr(columns, name)) and values[index] != absent
        }
        yield abr_pb2.Sample(
            stream_id=columns.stream_ids[place],
            viewer_id=columns.viewer_ids[place],
            variant_id=columns.variant_ids[columns.variant_places[index]],
            sample_time=Timestamp(seconds=int(columns.sample_time_s[index])),
            **told,
        )


SAMPLE_COLUMNS: Mapping[str, tuple[str, int]] = {
    "msn": ("msns", -1),
    "size_bytes": ("size_bytes", 0),
    "transfer_ms": ("transfer_ms", 0),
    "player_throughput_bps": ("player_throughput_bps", 0),
    "buffer_s": ("buffer_s", -1),
    "starved": ("starved", 0),
    "top_bps": ("top_bps", 0),
    "duration_s": ("duration_s", 0),
    "playback_rate_ratio": ("playback_rate_ratio", -1),
    "startup": ("startup", 0),
    "encoded_bps": ("encoded_bps", 0),
}
"""By the field of a sample: its column, and what stands there for an absent value."""


class AbrPeer(abr_pb2_grpc.AbrServiceServicer):
    """Takes samples, and decides what the test says."""

    def __init__(self) -> None:
        self.reports: list[abr_pb2.ReportSamplesRequest] = []
        self.is_away = False
        self.decisions = Told()

    @property
    def samples(self) -> list[abr_pb2.Sample]:
        """What was told, one by one, however it was told."""
        return [sample for report in self.reports for sample in (*report.samples, *rows(report.columns))]

    async def ReportSamples(
        self, request_iterator: AsyncIterator[abr_pb2.ReportSamplesRequest], context: Any
    ) -> abr_pb2.ReportSamplesResponse:
        requests = [request async for request in request_iterator]
        if self.is_away:
            raise Unavailable("away")
        self.reports += requests
        return abr_pb2.ReportSamplesResponse()

    async def WatchDecisions(
        self, request: abr_pb2.WatchDecisionsRequest, context: Any
    ) -> AsyncIterator[abr_pb2.WatchDecisionsResponse]:
        async for message in self.decisions.follow():
            yield message


@dataclass(frozen=True, slots=True, kw_only=True)
class Theatre:
    """A gateway with those whom it tells of its audience."""

    scene: Scene
    distribution: DistributionPeer
    abr: AbrPeer


@asynccontextmanager
async def running_theatre(folder: Path, **settings: Any) -> AsyncIterator[Theatre]:
    """Run a gateway that reports twenty times a second, unless told otherwise."""
    timeline, distribution, abr = TimelinePeer(), DistributionPeer(), AbrPeer()  # type: ignore[abstract]

    def register(server: grpc.aio.Server) -> None:
        timeline_pb2_grpc.add_TimelineServiceServicer_to_server(timeline, server)
        distributor_pb2_grpc.add_DistributionServiceServicer_to_server(distribution, server)
        abr_pb2_grpc.add_AbrServiceServicer_to_server(abr, server)

    async with serve("127.0.0.1:0", register, services=(), grace_s=0) as (_, port):
        timeline.port = port
        async with running_gateway(folder, timeline, **{"report_interval_s": 0.05, **settings}) as scene:
            yield Theatre(scene=scene, distribution=distribution, abr=abr)


async def until_so(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what another task does wakes nobody
            await asyncio.sleep(0.01)
