"""The distributor: what sessions were sent goes there, where they may be led comes from there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import grpc
from weir.distributor.v1 import distributor_pb2 as pb
from weir.distributor.v1 import distributor_pb2_grpc

from chassis.grpc_client import peer_errors
from hls_gateway.adapters.watching import watch_again
from hls_gateway.convert_reports import from_deliveries, to_joined, to_pathways
from hls_gateway.domain.reports import DeliveryReport, JoinedSession
from hls_gateway.domain.steering import Pathway

_DEADLINE_S = 5.0


class DistributorClient:
    """Speaks to DistributionService.

    Args:
        channel: To the distributor.
        name: This gateway's.
        grpc_address: Where it takes pushed segments; empty: nowhere.
    """

    def __init__(self, channel: grpc.aio.Channel, name: str, grpc_address: str) -> None:
        self._stub = distributor_pb2_grpc.DistributionServiceStub(channel)
        self._name = name
        self._grpc_address = grpc_address

    async def report(self, reports: Sequence[DeliveryReport]) -> Sequence[JoinedSession]:
        """Tell what was sent; see the port."""

        async def messages() -> AsyncIterator[pb.ReportDeliveriesRequest]:
            for report in reports:
                yield from_deliveries(report, self._name, self._grpc_address)

        async with peer_errors():
            return to_joined(await self._stub.ReportDeliveries(messages(), timeout=_DEADLINE_S))

    def follow(self) -> AsyncGenerator[tuple[Pathway, ...]]:
        """Follow pathways; see the port."""
        return watch_again(self._watch, what="pathways")

    async def _watch(self) -> AsyncGenerator[tuple[Pathway, ...]]:
        async with peer_errors():
            call = self._stub.WatchPathways(pb.WatchPathwaysRequest(watcher=self._name))
            try:
                async for response in call:
                    yield to_pathways(response)
            finally:
                call.cancel()
