"""abr: what viewers measured goes there, what they should play comes from there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import grpc
from weir.abr.v1 import abr_pb2 as pb
from weir.abr.v1 import abr_pb2_grpc

from chassis.errors import InvalidArgument, WeirError
from chassis.grpc_client import peer_errors
from chassis.telemetry import log
from hls_gateway.adapters.abr_replicas import AbrReplicas
from hls_gateway.adapters.watching import watch_again
from hls_gateway.convert_reports import from_samples, to_decisions
from hls_gateway.domain.reports import Decision, SampleReport
from hls_gateway.domain.shares import share_out
from hls_gateway.ports import Unheard

_DEADLINE_S = 5.0


class AbrClient:
    """Speaks to AbrService: of each viewer to one replica, and hears decisions from any.

    Args:
        channel: To all replicas.
        replicas: Each of them.
        name: This gateway's.
    """

    def __init__(self, channel: grpc.aio.Channel, replicas: AbrReplicas, name: str) -> None:
        self._stub = abr_pb2_grpc.AbrServiceStub(channel)
        self._replicas = replicas
        self._name = name

    async def report(self, reports: Sequence[SampleReport]) -> Unheard | None:
        """Tell each replica what its viewers measured, all at a time; see the port."""
        try:
            shares = share_out(reports, await self._replicas.table())
        except WeirError as failure:
            return Unheard(reports, failure)
        failures = await asyncio.gather(*(self._tell(address, share) for address, share in shares.items()))
        failed = [failure for failure in failures if failure]
        if not failed:
            return None
        unheard = [share for share, failure in zip(shares.values(), failures, strict=True) if failure]
        return Unheard([report for share in unheard for report in share], failed[0])

    async def _tell(self, address: str, reports: Sequence[SampleReport]) -> WeirError | None:
        """Tell one replica; answers why it may not have heard."""

        async def messages() -> AsyncIterator[pb.ReportSamplesRequest]:
            for report in reports:
                yield from_samples(report, self._name)

        try:
            async with peer_errors():
                stub = abr_pb2_grpc.AbrServiceStub(self._replicas.channel(address))
                await stub.ReportSamples(messages(), timeout=_DEADLINE_S)
        except InvalidArgument as error:  # nor will another replica take it
            log.warning("samples were refused", error=error.message)
        except WeirError as failure:
            self._replicas.note_failure(address)
            return failure
        return None

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
