"""The gRPC edge: what other services tell the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
from weir.gateway.v1 import gateway_pb2 as pb
from weir.gateway.v1 import gateway_pb2_grpc

from chassis.errors import Unimplemented

SERVICE = pb.DESCRIPTOR.services_by_name["GatewayService"].full_name


class GatewayServicer(gateway_pb2_grpc.GatewayServiceServicer):
    """gateway.v1.GatewayService."""

    async def PushSegment(
        self,
        request_iterator: AsyncIterator[pb.PushSegmentRequest],  # noqa: ARG002
        context: grpc.aio.ServicerContext[pb.PushSegmentRequest, pb.PushSegmentResponse],  # noqa: ARG002
    ) -> pb.PushSegmentResponse:
        """Refuse: delivery to edges is not built yet."""
        raise Unimplemented("delivery to edges is not built yet", reason="NOT_BUILT_YET")
