"""The gRPC edge: what other services tell the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
from weir.abr.v1 import abr_pb2
from weir.distributor.v1 import distributor_pb2
from weir.gateway.v1 import gateway_pb2 as pb
from weir.gateway.v1 import gateway_pb2_grpc
from weir.transcoder.v1 import transcoder_pb2

from chassis.errors import InvalidArgument, WeirError
from chassis.grpc_errors import to_status
from hls_gateway.domain.pushed import PushedObject
from hls_gateway.service_push import PushService
from hls_gateway.webserver.content import Content

SERVICE = pb.DESCRIPTOR.services_by_name["GatewayService"].full_name
# Envoy leads those who ask by reflection here, whichever public service they ask about.
PUBLIC_SERVICES = tuple(
    service.full_name
    for contract in (abr_pb2, distributor_pb2, transcoder_pb2)
    for service in contract.DESCRIPTOR.services_by_name.values()
)
# As the contract bounds it.
_TOGETHER_COUNT = 256


class GatewayServicer(gateway_pb2_grpc.GatewayServiceServicer):
    """gateway.v1.GatewayService."""

    def __init__(self, pushes: PushService[Content]) -> None:
        self._pushes = pushes

    async def PushSegment(
        self,
        request_iterator: AsyncIterator[pb.PushSegmentRequest],
        context: grpc.aio.ServicerContext[pb.PushSegmentRequest, pb.PushSegmentResponse],  # noqa: ARG002
    ) -> pb.PushSegmentResponse:
        """Put one announced segment into memory."""
        first = await anext(request_iterator, pb.PushSegmentRequest())
        received_bytes = await self._pushes.push(_pushed(first), _pieces(first, request_iterator))
        return pb.PushSegmentResponse(already_held=not received_bytes, received_bytes=received_bytes)

    async def PushSmallSegment(
        self,
        request: pb.PushSmallSegmentRequest,
        context: grpc.aio.ServicerContext[pb.PushSmallSegmentRequest, pb.PushSmallSegmentResponse],  # noqa: ARG002
    ) -> pb.PushSmallSegmentResponse:
        """Put one announced segment into memory, which came in one message."""
        received_bytes = await self._pushes.push(_pushed(request), _whole(request))
        return pb.PushSmallSegmentResponse(already_held=not received_bytes, received_bytes=received_bytes)

    async def PushSmallSegments(
        self,
        request: pb.PushSmallSegmentsRequest,
        context: grpc.aio.ServicerContext[pb.PushSmallSegmentsRequest, pb.PushSmallSegmentsResponse],  # noqa: ARG002
    ) -> pb.PushSmallSegmentsResponse:
        """Put several announced segments into memory, none of which waits for another."""
        if len(request.objects) > _TOGETHER_COUNT:
            raise InvalidArgument(
                f"objects are {len(request.objects)}: push at most {_TOGETHER_COUNT} with one call",
                field="objects",
            )
        outcomes = await asyncio.gather(*map(self._outcome, request.objects))
        return pb.PushSmallSegmentsResponse(outcomes=outcomes)

    async def _outcome(self, request: pb.PushSmallSegmentRequest) -> pb.PushOutcome:
        try:
            received_bytes = await self._pushes.push(_pushed(request), _whole(request))
        except WeirError as error:
            return pb.PushOutcome(status=to_status(error))
        return pb.PushOutcome(already_held=not received_bytes, received_bytes=received_bytes)


def _pushed(request: pb.PushSegmentRequest | pb.PushSmallSegmentRequest) -> PushedObject:
    if not request.HasField("object"):
        raise InvalidArgument(
            "object is missing: the first message must tell what is pushed",
            reason="NO_OBJECT",
            field="object",
        )
    message = request.object
    return PushedObject(
        stream_id=message.stream_id,
        incarnation=message.incarnation,
        rendition_id=message.rendition_id,
        msn=message.msn,
        object_key=message.object_key,
        size_bytes=message.size_bytes,
        sha256=message.sha256,
    )


async def _pieces(
    first: pb.PushSegmentRequest, others: AsyncIterator[pb.PushSegmentRequest]
) -> AsyncIterator[bytes]:
    yield first.data
    async for message in others:
        yield message.data


async def _whole(request: pb.PushSmallSegmentRequest) -> AsyncIterator[bytes]:
    yield request.data
