"""Decisions on their way to all gateways: to those that watch here at once, to the others over core NATS.

Nothing is stored: who misses a decision gets the viewer's next one, and plays on meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import nats.errors
from google.protobuf.timestamp_pb2 import Timestamp
from nats.aio.client import Client
from nats.aio.msg import Msg
from weir.abr.v1 import abr_pb2 as pb

from abr.domain.news import Decision
from abr.mailbox import Mailbox
from chassis import layout
from chassis.errors import Unavailable
from chassis.telemetry import log

PENDING_COUNT = 10_000
BATCH_COUNT = 500
"""Far below what NATS takes in one message, and the contract's 1,000."""
GATHER_S = 0.01
"""How long decisions wait for others to go with."""


class NatsBulletin:
    """Implements the port Bulletin.

    Args:
        replica: This process among others of its kind.
    """

    def __init__(self, replica: str) -> None:
        self._subject = layout.decisions_subject(replica)
        self._client: Client | None = None
        self._pending: deque[Decision] = deque()
        self._dropped_count = 0
        self._filled = asyncio.Event()
        self._mailboxes: set[Mailbox] = set()
        self._closed: Unavailable | None = None

    async def open(self, client: Client) -> None:
        """Listen to the others from now on, and let them hear."""
        await client.subscribe(layout.decisions_subject("*"), cb=self._hear)
        self._client = client

    def close(self) -> None:
        """End all watchers: the process stops."""
        self._closed = Unavailable("this abr process stops: watch another replica", reason="STOPPING")
        for mailbox in self._mailboxes:
            mailbox.fail(self._closed)

    def publish(self, decision: Decision) -> None:
        """Tell all; of more than can be told in time the oldest are dropped."""
        if len(self._pending) >= PENDING_COUNT:
            self._pending.popleft()
            self._dropped_count += 1
        self._pending.append(decision)
        self._filled.set()

    @contextmanager
    def follow(self, mailbox: Mailbox) -> Iterator[None]:
        """Put batches of decisions into a mailbox; see the port."""
        if self._closed:
            raise self._closed
        self._mailboxes.add(mailbox)
        try:
            yield
        finally:
            self._mailboxes.discard(mailbox)

    async def run(self) -> None:
        """Tell what is pending, for as long as the process lives."""
        while True:
            await self._filled.wait()
            await asyncio.sleep(GATHER_S)
            while self._pending:
                batch = [self._pending.popleft() for _ in range(min(len(self._pending), BATCH_COUNT))]
                await self._tell(pb.WatchDecisionsResponse(decisions=map(_write, batch)).SerializeToString())
            self._filled.clear()
            if self._dropped_count:
                log.warning("decisions dropped", count=self._dropped_count)
                self._dropped_count = 0

    async def _tell(self, batch: bytes) -> None:
        self._deliver(batch)
        if self._client and self._client.is_connected:  # else it would be told late, in one burst
            try:
                await self._client.publish(self._subject, batch)
            except nats.errors.Error as error:
                log.warning("decisions not told", error=repr(error))

    async def _hear(self, message: Msg) -> None:
        if message.subject != self._subject:  # own ones are delivered already
            self._deliver(message.data)

    def _deliver(self, batch: bytes) -> None:
        for mailbox in self._mailboxes:
            mailbox.put(batch)


def _write(decision: Decision) -> pb.Decision:
    seconds = int(decision.time_s)
    return pb.Decision(
        stream_id=decision.stream_id,
        viewer_id=decision.viewer_id,
        variant_id=decision.rung.rendition_id,
        variant_bps=decision.rung.rate_bps,
        policy=decision.policy,
        reason=decision.reason,
        decision_time=Timestamp(seconds=seconds, nanos=int((decision.time_s - seconds) * 1e9)),
    )
