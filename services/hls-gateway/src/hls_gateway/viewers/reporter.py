"""Report at an even pace what viewers were sent and what they measured, whether or not anybody hears it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from chassis.errors import InvalidArgument, Unimplemented, WeirError
from chassis.telemetry import log
from hls_gateway.domain.reports import BATCH_COUNT, DeliveryReport, SessionReport
from hls_gateway.ports import DeliveryPeer, SamplePeer
from hls_gateway.viewers.samples import SampleQueue
from hls_gateway.viewers.sessions import Sessions

# How often an idle gateway shows that it is there, and how often a peer is asked that cannot do this yet.
_BEAT_S, _RARELY_S = 5.0, 30.0


class DeliveryReporter:
    """Tells the distributor what each session was sent.

    A message that was not acknowledged is sent again as it is, with its number; what happens meanwhile is
    added up where it is. So nothing is lost or counted twice, however long the distributor is away.

    Args:
        sessions: Where the sums are.
        peer: Who is told.
        first_number: Of the first message; above all that this gateway ever used.
        clock: Seconds that never go back.
    """

    def __init__(
        self, sessions: Sessions, peer: DeliveryPeer, first_number: int, clock: Callable[[], float]
    ) -> None:
        self._sessions = sessions
        self._peer = peer
        self._next_number = first_number
        self._clock = clock
        self._unheard: tuple[DeliveryReport, ...] = ()
        self._told_time: float | None = None

    async def flush(self) -> None:
        """Tell what is to be told.

        Raises:
            WeirError: The distributor is away, or cannot be told yet; nothing is lost.
        """
        self._unheard = self._unheard or self._written(self._sessions.reports())
        if not self._unheard:
            return
        try:
            for joined in await self._peer.report(self._unheard):
                self._sessions.learn(joined)
        except InvalidArgument as error:
            log.warning("deliveries were refused", error=error.message)
        self._unheard = ()
        self._told_time = self._clock()

    def _written(self, sessions: Sequence[SessionReport]) -> tuple[DeliveryReport, ...]:
        """Put reports into messages; one without any shows that this gateway is there."""
        starts = range(0, len(sessions), BATCH_COUNT) or range(self._is_silent())
        batches = [tuple(sessions[start : start + BATCH_COUNT]) for start in starts]
        first_number, self._next_number = self._next_number, self._next_number + len(batches)
        return tuple(
            DeliveryReport(report_number=first_number + index, sessions=batch)
            for index, batch in enumerate(batches)
        )

    def _is_silent(self) -> bool:
        return self._told_time is None or self._clock() - self._told_time >= _BEAT_S


class SampleReporter:
    """Tells abr what viewers measured; while it is away the oldest samples are let go."""

    def __init__(self, queue: SampleQueue, peer: SamplePeer) -> None:
        self._queue = queue
        self._peer = peer

    async def flush(self) -> None:
        """Tell what is to be told.

        Raises:
            WeirError: abr, or a replica of it, is away or cannot be told yet; the samples for it wait.
        """
        reports = self._queue.take()
        if reports and (unheard := await self._peer.report(reports)):
            self._queue.put_back(unheard.reports)
            raise unheard.failure


async def flush_steadily(flush: Callable[[], Awaitable[None]], interval_s: float, *, peer: str) -> None:
    """Flush again and again, for ever; one flush is over before the next one begins.

    While the peer is away it is asked less and less often: what must wait has been written for nothing.
    """
    wait_s = interval_s
    while True:
        await asyncio.sleep(wait_s)
        try:
            await flush()
            wait_s = interval_s
        except Unimplemented:
            wait_s = max(interval_s, _RARELY_S)
        except WeirError as error:
            if wait_s == interval_s:  # once for each time the peer goes away
                log.info("reports must wait", peer=peer, error=error.message)
            wait_s = max(interval_s, min(2 * wait_s, _BEAT_S))
        except Exception:  # noqa: BLE001 - a worker's edge: who is not counted is served all the same
            log.exception("reports failed", peer=peer)
            wait_s = max(interval_s, _BEAT_S)
