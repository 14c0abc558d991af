"""What abr has decided last for each viewer; bounded, the oldest decision is forgotten first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from hls_gateway.domain.reports import Decision


class Decisions:
    """The newest decision for each viewer of each stream."""

    def __init__(self, most_count: int) -> None:
        self._most_count = most_count
        self._decisions: dict[tuple[str, str], Decision] = {}

    def __len__(self) -> int:
        return len(self._decisions)

    def find(self, stream_id: str, viewer_id: str) -> Decision | None:
        """Give what was decided for a viewer."""
        return self._decisions.get((stream_id, viewer_id))

    async def learn(self, feed: AsyncIterator[Sequence[Decision]]) -> None:
        """Keep up with what is decided, for ever."""
        async for decisions in feed:
            for decision in decisions:
                self._keep(decision)

    def _keep(self, decision: Decision) -> None:
        key = (decision.stream_id, decision.viewer_id)
        self._decisions.pop(key, None)
        if len(self._decisions) >= self._most_count:
            del self._decisions[next(iter(self._decisions))]
        self._decisions[key] = decision
