"""The gRPC edge of a service whose rules are not written yet."""
# ruff: noqa: ARG002 - the signatures are gRPC's

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NoReturn

from weir.abr.v1 import abr_pb2 as pb
from weir.abr.v1 import abr_pb2_grpc as pb_grpc

from chassis.errors import Unimplemented


class AbrServicer(pb_grpc.AbrServiceServicer):
    """See weir.abr.v1.AbrService."""

    async def SelectQuality(self, request: pb.SelectQualityRequest, context: Any) -> pb.SelectQualityResponse:
        _not_yet("no policy decides yet; players adapt by themselves")

    async def ReportMetrics(self, request: pb.ReportMetricsRequest, context: Any) -> pb.ReportMetricsResponse:
        _not_yet("viewers' measurements are not taken in yet")

    async def GetStats(self, request: pb.GetStatsRequest, context: Any) -> pb.GetStatsResponse:
        _not_yet("viewers' measurements are not taken in yet, so there are no statistics")

    async def ReportSamples(
        self, request_iterator: AsyncIterator[pb.ReportSamplesRequest], context: Any
    ) -> pb.ReportSamplesResponse:
        _not_yet("viewers' measurements are not taken in yet")


def _not_yet(message: str) -> NoReturn:
    raise Unimplemented(message, reason="NOT_BUILT_YET")
