"""The delivery routes as the distributor told them last."""

from __future__ import annotations

from collections.abc import AsyncIterator

from hls_gateway.domain.steering import Pathway, Steering


class Pathways:
    """Knows where viewers may be led; nowhere, until the distributor says so."""

    def __init__(self) -> None:
        self.steering = Steering()

    async def learn(self, feed: AsyncIterator[tuple[Pathway, ...]]) -> None:
        """Keep up with what the distributor tells, for ever."""
        async for pathways in feed:
            self.steering = Steering(pathways=pathways)
