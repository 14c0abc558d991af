"""Whether NATS, without which nothing can be kept or told, is there."""

from __future__ import annotations

import asyncio

import nats.errors
from nats.aio.client import Client

from chassis import layout
from chassis.errors import Unavailable
from chassis.messaging import jetstream

_DEADLINE_S = 2.0


class NatsNeeds:
    """Asks JetStream itself; implements the port Needs."""

    def __init__(self, client: Client) -> None:
        self._js = jetstream(client)

    async def check(self) -> None:
        """Return if the streams under ledger and registry have a leader; Unavailable says what is wrong."""
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await self._js.stream_info(layout.TIMELINE_STREAM)
                await self._js.stream_info(f"KV_{layout.STREAMS_BUCKET}")
        except (TimeoutError, nats.errors.Error) as error:
            raise Unavailable(
                f"nats: JetStream does not answer ({error!r})", reason="NATS_AWAY", retry_delay_s=1.0
            ) from error
