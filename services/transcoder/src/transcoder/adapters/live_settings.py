"""What the distributor knows of live streams, over gRPC."""

from __future__ import annotations

import grpc
from weir.distributor.v1 import distributor_pb2 as pb
from weir.distributor.v1 import distributor_pb2_grpc
from weir.media.v1 import media_pb2
from weir.timeline.v1 import timeline_pb2

from chassis.grpc_client import call_metadata, peer_errors
from transcoder.domain.ladder import Rung
from transcoder.domain.live_settings import LiveKind, LiveSettings, PullSource
from transcoder.domain.plan import Container
from transcoder.live.ports import OpenedLive

DEADLINE_S = 5.0
_WORDS_CHARACTERS = 2000


class LiveSettingsClient:
    """See `live.ports.LiveSettingsSource`.

    Args:
        channel: Leads to the distributor.
        rungs: The ladder of streams that ask for none.
    """

    def __init__(self, channel: grpc.aio.Channel, *, rungs: tuple[Rung, ...]) -> None:
        self._live = distributor_pb2_grpc.LiveServiceStub(channel)
        self._rungs = rungs

    async def admit(self, stream_key: str, stream_id: str) -> LiveSettings:
        request = pb.AdmitPublisherRequest(stream_key=stream_key, stream_id=stream_id)
        async with peer_errors():
            settings = await self._live.AdmitPublisher(request, timeout=DEADLINE_S, metadata=call_metadata())
        return read_settings(settings, self._rungs)

    async def get(self, stream_id: str) -> LiveSettings:
        request = pb.GetLiveSettingsRequest(stream_id=stream_id)
        async with peer_errors():
            settings = await self._live.GetLiveSettings(request, timeout=DEADLINE_S, metadata=call_metadata())
        return read_settings(settings, self._rungs)

    async def report(self, stream_id: str, opened: OpenedLive, error: str) -> None:
        request = pb.ReportFailureRequest(
            stream_id=stream_id,
            incarnation=opened.incarnation,
            epoch=opened.epoch,
            error=error[-_WORDS_CHARACTERS:],
        )
        async with peer_errors():
            await self._live.ReportFailure(request, timeout=DEADLINE_S, metadata=call_metadata())


def read_settings(written: pb.LiveSettings, rungs: tuple[Rung, ...]) -> LiveSettings:
    """Read a stream's settings; `rungs` are the ladder of a stream that asks for none."""
    stream = written.stream
    is_event = stream.kind == timeline_pb2.STREAM_KIND_EVENT
    return LiveSettings(
        stream_id=stream.stream_id,
        incarnation=stream.incarnation,
        kind=LiveKind.EVENT if is_event else LiveKind.LIVE,
        container=Container.TS if stream.container == timeline_pb2.CONTAINER_TS else Container.CMAF,
        title=stream.title,
        target_duration_s=stream.target_duration_s,
        part_target_s=stream.part_target_s,
        dvr_window_s=stream.dvr_window_s,
        record=stream.record,
        rungs=tuple(map(_read_rung, written.rungs)) or rungs,
        pull=PullSource(
            url=written.source.pull_url,
            recording_id=written.source.recording_id,
            loop=written.source.loop,
        ),
    )


def _read_rung(written: media_pb2.Rung) -> Rung:
    return Rung(
        name=written.name,
        width_pixels=written.width_pixels,
        height_pixels=written.height_pixels,
        video_bps=written.video_bps,
    )
