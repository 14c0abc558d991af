"""The gRPC edge: contracts in, contracts out, no rules."""
# ruff: noqa: ARG002 - the signatures are gRPC's

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from weir.distributor.v1 import distributor_pb2 as api
from weir.distributor.v1 import distributor_pb2_grpc as api_grpc
from weir.timeline.v1 import timeline_pb2 as pb
from weir.timeline.v1 import timeline_pb2_grpc as pb_grpc

from chassis.layout import require_id
from distributor import convert, convert_create, convert_streams, convert_viewers
from distributor.domain.stream import Stream
from distributor.service import Timelines
from distributor.service_clips import Clips
from distributor.service_live import LiveStreams
from distributor.service_stop import Stops
from distributor.service_streams import Streams
from distributor.service_viewers import Distribution
from distributor.service_watch import Watches


class TimelineServicer(pb_grpc.TimelineServiceServicer):
    """See weir.timeline.v1.TimelineService."""

    def __init__(self, timelines: Timelines, watches: Watches) -> None:
        self._timelines = timelines
        self._watches = watches

    async def Open(self, request: pb.OpenRequest, context: Any) -> pb.OpenResponse:
        opening = await self._timelines.open(
            convert.read_description(request.stream),
            new_incarnation=request.new_incarnation,
            owner=convert.read_owner(request.owner),
        )
        return pb.OpenResponse(
            stream=convert.write_description(opening.stream), epoch=opening.epoch, sequence=opening.sequence
        )

    async def Append(self, request: pb.AppendRequest, context: Any) -> pb.AppendResponse:
        sequence = await self._timelines.append(
            convert.read_ledger_id(request.stream_id, request.incarnation),
            convert.read_draft(request),
            expected_sequence=convert.read_sequence(request.expected_sequence, "expected_sequence"),
        )
        return pb.AppendResponse(sequence=sequence)

    async def GetSnapshot(self, request: pb.GetSnapshotRequest, context: Any) -> pb.GetSnapshotResponse:
        stream_id = require_id(request.stream_id, field="stream_id")
        incarnation = convert.read_optional_incarnation(request.incarnation)
        after_sequence = convert.read_sequence(request.after_sequence, "after_sequence")
        if segment_count := convert.read_tail(request):
            snapshot = await self._timelines.tail(
                stream_id, incarnation=incarnation, segment_count=segment_count
            )
        else:
            snapshot = await self._timelines.snapshot(
                stream_id, incarnation=incarnation, after_sequence=after_sequence
            )
        return pb.GetSnapshotResponse(
            stream=convert.write_description(snapshot.stream),
            epoch=snapshot.epoch,
            sequence=snapshot.sequence,
            records=[pb.Record.FromString(record.wire) for record in snapshot.records],
            newest_sequence=snapshot.newest_sequence,
        )

    async def Watch(self, request: pb.WatchRequest, context: Any) -> AsyncIterator[pb.WatchResponse]:
        events = self._watches.watch(
            require_id(request.stream_id, field="stream_id"),
            incarnation=convert.read_optional_incarnation(request.incarnation),
            after_sequence=convert.read_sequence(request.after_sequence, "after_sequence"),
        )
        async with aclosing(events):
            async for event in events:
                yield convert.write_event(event)


class StreamServicer(api_grpc.StreamServiceServicer):
    """See weir.distributor.v1.StreamService."""

    def __init__(
        self,
        streams: Streams,
        live: LiveStreams,
        stops: Stops,
        clips: Clips,
        distribution: Distribution,
        *,
        defaults: convert_create.LiveDefaults,
        urls: convert_streams.IngestUrls,
    ) -> None:
        self._streams = streams
        self._live = live
        self._stops = stops
        self._clips = clips
        self._distribution = distribution
        self._defaults = defaults
        self._urls = urls

    async def ListStreams(self, request: api.ListStreamsRequest, context: Any) -> api.ListStreamsResponse:
        page = await self._streams.list_page(
            page_size=request.page_size, page_token=request.page_token, filter_text=request.filter
        )
        return api.ListStreamsResponse(
            streams=map(convert_streams.write_stream, page.streams), next_page_token=page.next_page_token
        )

    async def GetStream(self, request: api.GetStreamRequest, context: Any) -> api.Stream:
        stream_id = require_id(request.stream_id, field="stream_id")
        return self._written(await self._streams.get(stream_id))

    async def DeleteStream(self, request: api.DeleteStreamRequest, context: Any) -> api.DeleteStreamResponse:
        await self._streams.delete(require_id(request.stream_id, field="stream_id"))
        self._distribution.forget(request.stream_id)
        return api.DeleteStreamResponse(stream_id=request.stream_id)

    async def CreateStream(self, request: api.CreateStreamRequest, context: Any) -> api.Stream:
        wish = convert_create.read_create(request, self._defaults)
        return self._written(await self._live.create(wish.description, wish.live))

    async def StartStream(self, request: api.StartStreamRequest, context: Any) -> api.Stream:
        stream_id = require_id(request.stream_id, field="stream_id")
        await self._live.start(stream_id)
        return self._written(await self._streams.get(stream_id))

    async def StopStream(self, request: api.StopStreamRequest, context: Any) -> api.Stream:
        stream_id = require_id(request.stream_id, field="stream_id")
        await self._stops.stop(stream_id)
        return self._written(await self._streams.get(stream_id))

    async def GetStreamStats(
        self, request: api.GetStreamStatsRequest, context: Any
    ) -> api.GetStreamStatsResponse:
        stream_id = require_id(request.stream_id, field="stream_id")
        statistics = await self._distribution.statistics(stream_id)
        return convert_viewers.write_statistics(stream_id, statistics)

    async def CreateClip(self, request: api.CreateClipRequest, context: Any) -> api.Stream:
        return self._written(await self._clips.create(convert_create.read_clip(request)))

    def _written(self, stream: Stream) -> api.Stream:
        return convert_streams.write_stream(stream, ingest=self._urls)


class LiveServicer(api_grpc.LiveServiceServicer):
    """See weir.distributor.v1.LiveService."""

    def __init__(self, live: LiveStreams) -> None:
        self._live = live

    async def AdmitPublisher(self, request: api.AdmitPublisherRequest, context: Any) -> api.LiveSettings:
        stream_key, stream_id = convert_streams.read_stream_key(request)
        return convert_streams.write_live_settings(await self._live.admit(stream_key, stream_id))

    async def GetLiveSettings(self, request: api.GetLiveSettingsRequest, context: Any) -> api.LiveSettings:
        stream_id = require_id(request.stream_id, field="stream_id")
        return convert_streams.write_live_settings(await self._live.settings(stream_id))

    async def ReportFailure(
        self, request: api.ReportFailureRequest, context: Any
    ) -> api.ReportFailureResponse:
        ledger_id = convert.read_ledger_id(request.stream_id, request.incarnation)
        await self._live.report_failure(
            ledger_id.stream_id,
            incarnation=ledger_id.incarnation,
            epoch=request.epoch,
            error=convert_streams.read_failure(request),
        )
        return api.ReportFailureResponse()
