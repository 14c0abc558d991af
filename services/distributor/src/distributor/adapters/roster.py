"""Who distributes: each replica beats on core NATS, and listens to the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import TypeAdapter, ValidationError

from chassis.layout import DISTRIBUTOR_BEAT_SUBJECT
from chassis.lifecycle import end_tasks
from distributor.ports import DeliveryFigures

BEAT_S = 0.5
SILENT_S = 2.0
_REPLICAS_LIMIT = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beat:
    """What one distributor says of itself."""

    name: str
    figures: DeliveryFigures
    stopping: bool = False


_BEAT = TypeAdapter(_Beat)


class NatsRoster:
    """The distributors that beat; implements the port Roster.

    Args:
        client: The connection to NATS.
        name: Of this replica.
        figures: What its delivery workers do now.
    """

    def __init__(self, client: Client, name: str, figures: Callable[[], DeliveryFigures]) -> None:
        self._client = client
        self._name = name
        self._figures = figures
        self._heard: dict[str, tuple[DeliveryFigures, float]] = {}

    def alive(self) -> Mapping[str, DeliveryFigures]:
        """What each does, by name; this one is among them."""
        heard_since = asyncio.get_running_loop().time() - SILENT_S
        others = {name: figures for name, (figures, time) in self._heard.items() if time > heard_since}
        return {**others, self._name: self._figures()}

    @asynccontextmanager
    async def show(self) -> AsyncIterator[None]:
        """Beat and listen, for as long as the block lasts; the others hear of its end."""
        listening = await self._client.subscribe(DISTRIBUTOR_BEAT_SUBJECT, cb=self._hear)
        beating = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            await end_tasks(beating)
            await self._publish(stopping=True)
            with suppress(nats.errors.Error):
                await listening.unsubscribe()

    async def _beat(self) -> None:
        while True:
            await self._publish(stopping=False)
            await asyncio.sleep(BEAT_S)

    async def _publish(self, *, stopping: bool) -> None:
        beat = _Beat(name=self._name, figures=self._figures(), stopping=stopping)
        if self._client.is_connected:  # else it would be told late, in one burst
            with suppress(nats.errors.Error):
                await self._client.publish(DISTRIBUTOR_BEAT_SUBJECT, _BEAT.dump_json(beat))

    async def _hear(self, message: Msg) -> None:
        try:
            beat = _BEAT.validate_json(message.data)
        except ValidationError:  # of another release
            return
        self._heard.pop(beat.name, None)
        if not beat.stopping:
            self._heard[beat.name] = (beat.figures, asyncio.get_running_loop().time())
        if len(self._heard) > _REPLICAS_LIMIT:
            del self._heard[next(iter(self._heard))]
