"""Deliveries that were given up, in a JetStream stream of bounded size.

The stream's last sequence tells how many there ever were: it outlives the letters, and whoever wrote them.
"""

from __future__ import annotations

from dataclasses import dataclass

import nats.errors
from nats.aio.client import Client
from nats.js import api
from pydantic import TypeAdapter

from chassis import layout
from chassis.messaging import ensure_stream, jetstream
from chassis.nats_retry import persist
from chassis.telemetry import log
from distributor.domain.delivery import Order

LIMIT_COUNT = 10_000
MAX_AGE_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """As it is stored."""

    edge: str
    path: str
    object_key: str
    attempts_count: int
    error: str


_LETTER = TypeAdapter(DeadLetter)


async def open_dead_letters(client: Client, *, replicas: int) -> NatsDeadLetters:
    """Open the stream, made if it is not there yet; the newest letters of the last week are kept."""
    config = api.StreamConfig(
        name=layout.DEAD_DELIVERIES_STREAM,
        subjects=[layout.dead_delivery_subject("*")],
        storage=api.StorageType.FILE,
        num_replicas=replicas,
        max_msgs=LIMIT_COUNT,
        max_age=MAX_AGE_S,
        discard=api.DiscardPolicy.OLD,
    )
    await ensure_stream(jetstream(client), config)
    letters = NatsDeadLetters(client)
    await letters.count()  # so that it is known from the beginning, whatever becomes of NATS
    return letters


class NatsDeadLetters:
    """Implements the port DeadLetters."""

    def __init__(self, client: Client) -> None:
        self._js = jetstream(client)
        self._heard_count = 0

    async def put(self, order: Order, *, attempts_count: int, error: str) -> None:
        """Keep one, once however often it must be sent; Unavailable if NATS is away."""
        letter = DeadLetter(
            edge=order.edge.name,
            path=order.freight.path,
            object_key=order.freight.object_key,
            attempts_count=attempts_count,
            error=error,
        )
        subject = layout.dead_delivery_subject(order.freight.ledger_id.stream_id)
        data = _LETTER.dump_json(letter)
        headers: dict[str, str] = {api.Header.MSG_ID: layout.new_id()}
        stored = await persist(lambda _attempt: self._js.publish(subject, data, headers=headers))
        self._hear(stored.seq)

    async def count(self) -> int:
        """How many were ever kept, by any distributor; while NATS is away, as many as were heard of last."""
        try:
            self._hear((await self._js.stream_info(layout.DEAD_DELIVERIES_STREAM)).state.last_seq)
        except (TimeoutError, nats.errors.Error) as error:
            log.info("dead letters not counted anew", error=repr(error))
        return self._heard_count

    def _hear(self, count: int) -> None:
        self._heard_count = max(self._heard_count, count)
