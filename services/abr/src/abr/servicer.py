"""The gRPC edge: contracts in, contracts out, no rules."""
# ruff: noqa: ARG002 - the signatures are gRPC's

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from weir.abr.v1 import abr_pb2 as pb
from weir.abr.v1 import abr_pb2_grpc as pb_grpc

from abr import convert, convert_samples
from abr.mailbox import Mailbox
from abr.ports import Bulletin
from abr.service import Adaptation
from abr.service_samples import Intake
from chassis.layout import require_id
from chassis.telemetry import log


class AbrServicer(pb_grpc.AbrServiceServicer):
    """See weir.abr.v1.AbrService."""

    def __init__(
        self,
        adaptation: Adaptation,
        intake: Intake,
        bulletin: Bulletin,
        *,
        watch_queue_count: int,
        now: Callable[[], float],
    ) -> None:
        self._adaptation = adaptation
        self._intake = intake
        self._bulletin = bulletin
        self._watch_queue_count = watch_queue_count
        self._now = now

    async def SelectQuality(self, request: pb.SelectQualityRequest, context: Any) -> pb.SelectQualityResponse:
        return convert.write_decision(await self._adaptation.select(convert.read_question(request)))

    async def ReportMetrics(self, request: pb.ReportMetricsRequest, context: Any) -> pb.ReportMetricsResponse:
        outcome = await self._adaptation.report(convert.read_report(request))
        return convert.write_outcome(outcome, self._now())

    async def GetStats(self, request: pb.GetStatsRequest, context: Any) -> pb.GetStatsResponse:
        stream, stats = await self._adaptation.stats(
            require_id(request.recording_id, field="recording_id"), convert.read_viewer_id(request.viewer_id)
        )
        return convert.write_stats(stream, stats, self._now())

    async def ReportSamples(
        self, request_iterator: AsyncIterator[pb.ReportSamplesRequest], context: Any
    ) -> pb.ReportSamplesResponse:
        # A client that breaks looks like one that ends: no matter, for each message counts by itself.
        accepted_count = dropped_count = 0
        async for request in request_iterator:
            for batch in convert_samples.read_batches(request, self._now()):
                count = await self._intake.take(batch)
                accepted_count += count
                dropped_count += batch.count - count
            if request.dropped_count > 0:
                log.warning("samples lost", reporter=request.reporter[:80], count=request.dropped_count)
        return pb.ReportSamplesResponse(accepted_count=accepted_count, dropped_count=dropped_count)

    async def WatchDecisions(
        self, request: pb.WatchDecisionsRequest, context: Any
    ) -> AsyncIterator[pb.WatchDecisionsResponse]:
        mailbox = Mailbox(limit_count=self._watch_queue_count)
        with self._bulletin.follow(mailbox):
            log.info("decisions watched", watcher=request.watcher[:80])
            await context.send_initial_metadata(())  # so that the watcher knows that it misses nothing more
            while True:
                yield pb.WatchDecisionsResponse.FromString(await mailbox.take())
