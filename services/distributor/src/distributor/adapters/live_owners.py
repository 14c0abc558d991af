"""The owners of live streams, asked over core NATS: with no owner the server itself answers at once."""

from __future__ import annotations

import nats.errors
from nats.aio.client import Client

from chassis import layout

# An owner answers before it acts, within milliseconds; a frozen one not at all.
ASK_TIMEOUT_S = 1.0


class NatsOwners:
    """Implements the port Owners."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def stop(self, stream_id: str) -> bool:
        """Ask a stream's owner to end it; whether there is one that heard it."""
        try:
            await self._client.request(layout.live_stop_subject(stream_id), timeout=ASK_TIMEOUT_S)
        except (nats.errors.Error, TimeoutError):
            return False
        return True
