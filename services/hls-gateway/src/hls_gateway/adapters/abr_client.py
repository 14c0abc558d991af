"""abr: what viewers measured goes there, what they should play comes from there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import grpc
from weir.abr.v1 import abr_pb2 as pb
from weir.abr.v1 import abr_pb2_grpc

from chassis.grpc_client import peer_errors
from hls_gateway.adapters.watching import watch_again
from hls_gateway.convert_reports import from_samples, to_decisions
from hls_gateway.domain.reports import Decision, SampleReport

_DEADLINE_S = 5.0


class AbrClient:
    """Speaks to AbrService.

    Args:
        channel: To abr.
        name: This gateway's.
    """

    def __init__(self, channel: grpc.aio.Channel, name: str) -> None:
        self._stub = abr_pb2_grpc.AbrServiceStub(channel)
        self._name = name

    async def report(self, reports: Sequence[SampleReport]) -> None:
        """Tell what was measured; see the port."""

        async def messages() -> AsyncIterator[pb.ReportSamplesRequest]:
            for report in reports:
                yield from_samples(report, self._name)

        async with peer_errors():
            await self._stub.ReportSamples(messages(), timeout=_DEADLINE_S)

    def follow(self) -> AsyncGenerator[Sequence[Decision]]:
        """Follow decisions; see the port."""
        return watch_again(self._watch, what="decisions")

    async def _watch(self) -> AsyncGenerator[Sequence[Decision]]:
        async with peer_errors():
            call = self._stub.WatchDecisions(pb.WatchDecisionsRequest(watcher=self._name))
            try:
                async for response in call:
                    yield to_decisions(response)
            finally:
                call.cancel()
