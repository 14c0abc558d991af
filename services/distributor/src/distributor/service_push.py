"""What is announced is brought to the edges before viewers ask for it.

Of each stream that was opened to viewers one distributor follows the ledger: whoever is chosen among those
that are alive, so that nobody has to lead. For a moment two may; an edge that has an object already says so.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from chassis.errors import NotFound, WeirError
from chassis.lifecycle import end_tasks
from chassis.telemetry import STREAM, log
from distributor.deliveries import Deliveries
from distributor.domain.delivery import choose_follower, freight_of, order_for
from distributor.domain.entries import Segment, StoredRecord
from distributor.domain.figures import profile_of
from distributor.domain.profiles import Profile
from distributor.domain.stream import Stream
from distributor.ports import Edges, LedgerReader, Purger, Roster
from distributor.service_streams import Streams
from distributor.service_watch import Watches
from distributor.viewers import Viewers

LOOK_INTERVAL_S = 1.0


class Pushing:
    """Follows the streams that fall to this distributor, and orders deliveries of what they announce.

    Args:
        name: Of this distributor, in the roster.
        roster: Who is alive.
        viewers: Which streams are open to viewers, under which profiles.
        streams: The streams that there are.
        watches: News of their ledgers.
        reader: Reads records.
        edges: Where to.
        desk: Who carries.
        purger: Makes CDNs forget a stream.
        profiles: The delivery profiles.
    """

    def __init__(
        self,
        *,
        name: str,
        roster: Roster,
        viewers: Viewers,
        streams: Streams,
        watches: Watches,
        reader: LedgerReader,
        edges: Edges,
        desk: Deliveries,
        purger: Purger,
        profiles: Sequence[Profile],
    ) -> None:
        self._name = name
        self._roster = roster
        self._viewers = viewers
        self._streams = streams
        self._watches = watches
        self._reader = reader
        self._edges = edges
        self._desk = desk
        self._purger = purger
        self._profiles = profiles
        self._following: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Follow what falls to this distributor, for as long as the process lives."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(LOOK_INTERVAL_S)
        finally:
            await self._drop(tuple(self._following))

    async def _look(self) -> None:
        """Begin to follow what is new, and leave what fell to others."""
        wanted = set(self._mine())
        # Who has ended found no stream; there may be one of that id again.
        over = {stream_id for stream_id, task in self._following.items() if task.done()}
        await self._drop(tuple(self._following.keys() - (wanted - over)))
        for stream_id in wanted - self._following.keys():
            follow = self._follow(stream_id)
            self._following[stream_id] = asyncio.create_task(follow, name=f"push {stream_id}")

    def _mine(self) -> Sequence[str]:
        names = tuple(self._roster.alive())
        return [
            stream_id
            for stream_id in self._viewers.stream_ids
            if self._viewers.audience(stream_id).start
            and choose_follower(stream_id, names, _weigh) == self._name
        ]

    async def _drop(self, stream_ids: Sequence[str]) -> None:
        if tasks := [self._following.pop(stream_id) for stream_id in stream_ids]:
            await end_tasks(*tasks)

    async def _follow(self, stream_id: str) -> None:
        """Push until the stream is gone; what was announced before is left to viewers' requests."""
        position: int | None = None
        while True:
            try:
                if position is None:
                    position = await self._newest(stream_id)
                async for pushed in self._pushed(stream_id, position):
                    position = pushed
            except NotFound:
                await self._purger.purge(stream_id)
                return
            except WeirError as error:
                log.info("push begins again", error=error.message, **{STREAM: stream_id})
                await asyncio.sleep(LOOK_INTERVAL_S)
            except Exception:  # noqa: BLE001 - a worker's edge
                log.exception("push failed", **{STREAM: stream_id})
                await asyncio.sleep(LOOK_INTERVAL_S)

    async def _newest(self, stream_id: str) -> int:
        stream = await self._streams.current(stream_id)
        return await self._reader.last_sequence(stream.ledger_id)

    async def _pushed(self, stream_id: str, after_sequence: int) -> AsyncIterator[int]:
        """Push what comes behind a sequence; names each record that was pushed."""
        news = self._watches.watch(stream_id, incarnation="", after_sequence=after_sequence)
        stream: Stream | None = None
        async with aclosing(news) as events:
            async for event in events:
                if isinstance(event, Stream):
                    stream = event
                elif isinstance(event, StoredRecord) and stream:
                    await self._push(stream, event)
                    yield event.sequence

    async def _push(self, stream: Stream, record: StoredRecord) -> None:
        """Order a record's segments to all edges; slowed down by them, not ahead of them."""
        profile = profile_of(self._profiles, self._viewers.audience(stream.stream_id).start)
        for entry in self._reader.decode(record).entries:
            if isinstance(entry, Segment) and not entry.gap:
                for edge in self._edges.all():
                    freight = freight_of(stream.ledger_id, entry)
                    await self._desk.take(order_for(edge, freight, profile, is_new=True))


def _weigh(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
