"""The gRPC edge: what other services tell the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
from weir.abr.v1 import abr_pb2
from weir.distributor.v1 import distributor_pb2
from weir.gateway.v1 import gateway_pb2 as pb
from weir.gateway.v1 import gateway_pb2_grpc
from weir.transcoder.v1 import transcoder_pb2

from chassis.errors import Unimplemented

SERVICE = pb.DESCRIPTOR.services_by_name["GatewayService"].full_name
# Envoy leads those who ask by reflection here, whichever public service they ask about.
PUBLIC_SERVICES = tuple(
    service.full_name
    for contract in (abr_pb2, distributor_pb2, transcoder_pb2)
    for service in contract.DESCRIPTOR.services_by_name.values()
)


class GatewayServicer(gateway_pb2_grpc.GatewayServiceServicer):
    """gateway.v1.GatewayService."""

    async def PushSegment(
        self,
        request_iterator: AsyncIterator[pb.PushSegmentRequest],  # noqa: ARG002
        context: grpc.aio.ServicerContext[pb.PushSegmentRequest, pb.PushSegmentResponse],  # noqa: ARG002
    ) -> pb.PushSegmentResponse:
        """Refuse: delivery to edges is not built yet."""
        raise Unimplemented("delivery to edges is not built yet", reason="NOT_BUILT_YET")
