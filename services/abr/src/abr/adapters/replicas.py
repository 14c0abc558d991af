"""The other abr processes, over core NATS: they show that they live, and answer for the viewers they know.

Who asks waits until all have answered who showed themselves lately; one process alone waits for nobody.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from abr.domain.stats import PACKED_BYTES, Figures, unpack_figures
from abr.service_census import KEY_BYTES
from chassis import layout
from chassis.telemetry import log

BEAT_S = 1.0
GONE_S = 3.0
"""Who did not show itself for so long is not waited for."""
DEADLINE_S = 1.0
ID_BYTES = 12
BATCH_COUNT = 2_000
"""Viewers per message: far below what NATS takes."""

_HEAD = struct.Struct(f"<{ID_BYTES}s?")
"""Which replica, and whether more follows."""
_ROW_BYTES = KEY_BYTES + PACKED_BYTES

Measure = Callable[[str], Awaitable[Mapping[bytes, Figures]]]
"""What is known here of a stream's viewers."""


class NatsReplicas:
    """Implements the port Replicas.

    Args:
        replica: This process among others of its kind, 12 characters.
        deadline_s: How long they are waited for.
    """

    def __init__(self, replica: str, *, deadline_s: float = DEADLINE_S) -> None:
        self._replica = replica.encode()
        self._deadline_s = deadline_s
        self._client: Client | None = None
        self._seen_s: dict[bytes, float] = {}
        self._heard_s = 0.0

    @property
    def heard_s(self) -> float:
        """When another one was heard of last; see the port."""
        return self._heard_s

    async def open(self, client: Client, measure: Measure) -> None:
        """Listen to the others from now on, and answer them."""

        async def answer(question: Msg) -> None:
            await self._answer(question, measure)

        await client.subscribe(layout.ABR_BEAT_SUBJECT, cb=self._hear)
        await client.subscribe(layout.ABR_FIGURES_SUBJECT, cb=answer)
        self._client = client

    async def run(self) -> None:
        """Show that this process lives, for as long as it does."""
        while True:
            if self._client and self._client.is_connected:
                try:
                    await self._client.publish(layout.ABR_BEAT_SUBJECT, self._replica)
                except nats.errors.Error as error:
                    log.warning("no beat", error=repr(error))
            await asyncio.sleep(BEAT_S)

    async def figures(self, stream_id: str) -> Sequence[Mapping[bytes, Figures]]:
        """Ask all others; see the port."""
        silent, client = self._others(), self._client
        if not silent or client is None or not client.is_connected:
            return []
        told: list[Mapping[bytes, Figures]] = []
        try:
            inbox = client.new_inbox()
            answers = await client.subscribe(inbox)
            try:
                question = self._replica + stream_id.encode()
                await client.publish(layout.ABR_FIGURES_SUBJECT, question, reply=inbox)
                await self._collect(answers, silent, told)
            finally:
                await answers.unsubscribe()
        except nats.errors.Error as error:
            log.warning("not all replicas counted", error=repr(error), silent_count=len(silent))
        return told

    async def _collect(
        self, answers: Subscription, silent: set[bytes], told: list[Mapping[bytes, Figures]]
    ) -> None:
        """Take answers until nobody is silent. nats.errors.TimeoutError: somebody was for too long."""
        deadline = time.monotonic() + self._deadline_s
        while silent:
            message = await answers.next_msg(timeout=max(deadline - time.monotonic(), 0.001))
            try:
                replica, goes_on, figures = _read(message.data)
            except struct.error:
                continue
            told.append(figures)
            if not goes_on:
                silent.discard(replica)

    async def _answer(self, question: Msg, measure: Measure) -> None:
        """Answer another replica; one's own question is for the others."""
        asker, stream_id = question.data[:ID_BYTES], question.data[ID_BYTES:]
        if asker == self._replica:
            return
        rows = iter((await measure(stream_id.decode(errors="replace"))).items())
        goes_on = True
        while goes_on:
            packed = [key + figures.pack() for key, figures in islice(rows, BATCH_COUNT)]
            goes_on = len(packed) == BATCH_COUNT
            await question.respond(_HEAD.pack(self._replica, goes_on) + b"".join(packed))

    async def _hear(self, beat: Msg) -> None:
        if beat.data != self._replica:
            self._seen_s[beat.data] = time.monotonic()
            self._heard_s = time.time()

    def _others(self) -> set[bytes]:
        """Who showed itself lately."""
        now_s = time.monotonic()
        self._seen_s = {one: seen_s for one, seen_s in self._seen_s.items() if now_s - seen_s < GONE_S}
        return set(self._seen_s)


def _read(data: bytes) -> tuple[bytes, bool, Mapping[bytes, Figures]]:
    """Read an answer: who gives it, whether it goes on, and viewers by their keys."""
    replica, goes_on = _HEAD.unpack_from(data)
    rows = [data[at : at + _ROW_BYTES] for at in range(_HEAD.size, len(data), _ROW_BYTES)]
    return replica, goes_on, {row[:KEY_BYTES]: unpack_figures(row[KEY_BYTES:]) for row in rows}
