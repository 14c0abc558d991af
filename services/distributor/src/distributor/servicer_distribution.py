"""The gRPC edge of viewers and deliveries: contracts in, contracts out, no rules."""
# ruff: noqa: ARG002 - the signatures are gRPC's

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import datetime
from typing import Any

from weir.distributor.v1 import distributor_pb2 as api
from weir.distributor.v1 import distributor_pb2_grpc as api_grpc

from chassis.layout import require_id
from distributor import convert_delivery
from distributor import convert_viewers as convert
from distributor.convert import write_time
from distributor.ports import Needs
from distributor.service_deliver import Shipping
from distributor.service_pathways import Pathways
from distributor.service_viewers import Distribution
from distributor.viewers import Viewers


class DistributionServicer(api_grpc.DistributionServiceServicer):
    """See weir.distributor.v1.DistributionService."""

    def __init__(
        self,
        distribution: Distribution,
        viewers: Viewers,
        shipping: Shipping,
        pathways: Pathways,
        *,
        needs: Needs,
        now: Callable[[], datetime],
    ) -> None:
        self._distribution = distribution
        self._viewers = viewers
        self._shipping = shipping
        self._pathways = pathways
        self._needs = needs
        self._now = now

    async def StartDistribution(
        self, request: api.StartDistributionRequest, context: Any
    ) -> api.StartDistributionResponse:
        started = await self._distribution.start(
            require_id(request.recording_id, field="recording_id"),
            max_viewers=convert.read_max_viewers(request),
            profile=request.profile,
        )
        return convert.write_start(started)

    async def JoinStream(self, request: api.JoinStreamRequest, context: Any) -> api.JoinStreamResponse:
        admission = await self._distribution.join(
            require_id(request.stream_id, field="stream_id"),
            require_id(request.viewer_id, field="viewer_id"),
            initial=request.initial_bitrate,
        )
        return convert.write_admission(admission)

    async def GetDistribution(
        self, request: api.GetDistributionRequest, context: Any
    ) -> api.GetDistributionResponse:
        gathering = await self._distribution.show(
            require_id(request.stream_id, field="stream_id"),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return convert.write_gathering(gathering)

    async def LeaveStream(self, request: api.LeaveStreamRequest, context: Any) -> api.LeaveStreamResponse:
        stream_id = require_id(request.stream_id, field="stream_id")
        departure = await self._distribution.leave(stream_id, convert.read_viewer_id(request.viewer_id))
        return convert.write_departure(departure)

    async def AdaptQuality(self, request: api.AdaptQualityRequest, context: Any) -> api.AdaptQualityResponse:
        stream_id, viewer_id, health, policy = convert.read_adapt(request)
        adaptation = await self._distribution.adapt(stream_id, viewer_id, buffer_health=health, policy=policy)
        return convert.write_adaptation(adaptation, viewer_id=viewer_id, buffer_health=health)

    async def GetMetrics(self, request: api.GetMetricsRequest, context: Any) -> api.GetMetricsResponse:
        return convert.write_metrics(await self._distribution.metrics())

    async def GetHealth(self, request: api.GetHealthRequest, context: Any) -> api.GetHealthResponse:
        needs = await self._needs.check()
        away = sorted(name for name, found in needs.items() if found != "ok")
        return api.GetHealthResponse(
            status="degraded" if away else "serving",
            needs=needs,
            message=f"away: {', '.join(away)}" if away else "everything that is needed answers",
            timestamp=write_time(self._now()),
        )

    async def ReportDeliveries(
        self, request_iterator: AsyncIterator[api.ReportDeliveriesRequest], context: Any
    ) -> api.ReportDeliveriesResponse:
        answer = api.ReportDeliveriesResponse()
        # One at a time: a gateway that is faster than the log waits.
        async for message in request_iterator:
            wire, dropped_count = await convert.read_report(message)
            await self._viewers.report(wire, gateway=message.gateway, report_number=message.report_number)
            answer.accepted_count += len(message.samples) - dropped_count
            answer.dropped_count += dropped_count
            joined = convert.write_joined(message, self._viewers.joined_id)
            answer.joined.extend([session async for session in joined])
        return answer

    async def DeliverSegment(
        self, request: api.DeliverSegmentRequest, context: Any
    ) -> api.DeliverSegmentResponse:
        shipment = await self._shipping.deliver(
            require_id(request.stream_id, field="stream_id"),
            request.segment_id,
            viewer_id=request.viewer_id and require_id(request.viewer_id, field="viewer_id"),
            rendition=request.rendition,
        )
        return convert_delivery.write_shipment(request, shipment, self._now())

    async def WatchPathways(
        self, request: api.WatchPathwaysRequest, context: Any
    ) -> AsyncIterator[api.WatchPathwaysResponse]:
        async with aclosing(self._pathways.watch()) as states:
            async for pathways in states:
                yield convert_delivery.write_pathways(pathways)
