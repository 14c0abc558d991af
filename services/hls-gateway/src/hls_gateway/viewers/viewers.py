"""Everything about viewers that lasts as long as the gateway: reports go out, decisions come in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass

from chassis.errors import WeirError
from chassis.telemetry import log
from hls_gateway.ports import DecisionFeed, DeliveryPeer, PathwayFeed, SamplePeer
from hls_gateway.viewers.decisions import Decisions
from hls_gateway.viewers.meter import Meter
from hls_gateway.viewers.pathways import Pathways
from hls_gateway.viewers.reporter import DeliveryReporter, SampleReporter, flush_steadily
from hls_gateway.viewers.samples import SampleQueue
from hls_gateway.viewers.sessions import Sessions

# How long a gateway that stops waits for its last report to be heard.
_LAST_REPORT_S = 1.0
# How often it is told how much of what players say is malformed.
_TELL_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewerLimits:
    """How much is remembered of viewers, and how often it is told.

    Args:
        session_count: Sessions that are counted, and decisions that are held.
        session_idle_s: How long a session is remembered after its last request.
        sample_count: Samples that wait for abr.
        report_interval_s: How often reports go out.
    """

    session_count: int
    session_idle_s: float
    sample_count: int
    report_interval_s: float


class Viewers:
    """What is known of viewers, and how it gets about."""

    def __init__(self, limits: ViewerLimits, deliveries: DeliveryPeer, samples: SamplePeer) -> None:
        self.decisions = Decisions(limits.session_count)
        self.pathways = Pathways()
        sessions = Sessions(limits.session_count, limits.session_idle_s, time.time)
        queue = SampleQueue(limits.sample_count)
        self.meter = Meter(sessions, queue, time.time)
        self._interval_s = limits.report_interval_s
        # Milliseconds grow faster than messages do: whoever starts again goes on above all that was used.
        first_number = int(time.time() * 1e3)
        self._deliveries = DeliveryReporter(sessions, deliveries, first_number, time.monotonic)
        self._samples = SampleReporter(queue, samples)

    def works(
        self, decisions: DecisionFeed, pathways: PathwayFeed
    ) -> Iterator[tuple[str, Coroutine[None, None, None]]]:
        """Give all that has to run, by name."""
        yield "learn decisions", self.decisions.learn(decisions.follow())
        yield "learn pathways", self.pathways.learn(pathways.follow())
        yield (
            "report deliveries",
            flush_steadily(self._deliveries.flush, self._interval_s, peer="distributor"),
        )
        yield "report samples", flush_steadily(self._samples.flush, self._interval_s, peer="abr")
        yield "tell of bad CMCD", self._tell_of_bad_cmcd()

    async def finish(self) -> None:
        """Report a last time, if anybody hears it soon."""
        with suppress(TimeoutError, WeirError):
            async with asyncio.timeout(_LAST_REPORT_S):
                await self._deliveries.flush()

    async def _tell_of_bad_cmcd(self) -> None:
        told_count = 0
        while True:
            await asyncio.sleep(_TELL_S)
            if self.meter.bad_cmcd_count > told_count:
                log.info("cmcd was malformed", keys_count=self.meter.bad_cmcd_count - told_count)
                told_count = self.meter.bad_cmcd_count
