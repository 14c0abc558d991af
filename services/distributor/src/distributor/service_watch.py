"""How a reader follows a stream: what it is, what happened so far, what happens.

Every step listens before it reads, so that nothing falls between past and present; what is heard twice is
told by its sequence.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from chassis.errors import DataLoss, NotFound
from distributor.domain.entries import LedgerId, StoredRecord
from distributor.domain.snapshot import compact
from distributor.domain.stream import Stream
from distributor.mailbox import Mailbox
from distributor.ports import Feeds, Item, LedgerReader, StreamChanged
from distributor.service_streams import Streams

PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Everything that existed when the watch began has been sent."""


Event = Stream | StoredRecord | CaughtUp


class Watches:
    """The use-case Watch of TimelineService.

    Args:
        reader: Where history is read from.
        streams: Where the present life of a stream is known.
        feeds: Where news come from.
        queue_count: Records that may wait for one watcher.
        queue_bytes: Their bytes.
    """

    def __init__(
        self,
        *,
        reader: LedgerReader,
        streams: Streams,
        feeds: Feeds,
        queue_count: int,
        queue_bytes: int,
    ) -> None:
        self._reader = reader
        self._streams = streams
        self._feeds = feeds
        self._queue_count = queue_count
        self._queue_bytes = queue_bytes

    async def watch(
        self, stream_id: str, *, incarnation: str, after_sequence: int
    ) -> AsyncGenerator[Event, None]:
        """Follow one life of a stream, or with an empty `incarnation` each life after the other.

        Raises:
            NotFound: The stream, or the incarnation asked for, is not there or is gone.
            Unavailable: WATCHER_TOO_SLOW, STOPPING, or NATS does not answer.
        """
        while True:
            life = self._watch_life(stream_id, incarnation, after_sequence)
            async with aclosing(life) as events:
                async for event in events:
                    yield event
            after_sequence = 0

    async def _watch_life(
        self, stream_id: str, incarnation: str, after_sequence: int
    ) -> AsyncGenerator[Event, None]:
        mailbox: Mailbox[Item] = Mailbox(limit_count=self._queue_count, limit_bytes=self._queue_bytes)
        async with self._feeds.follow_stream(stream_id, mailbox):
            stream = await self._streams.current(stream_id, incarnation=incarnation)
            sent = await self._place(stream.ledger_id, incarnation, after_sequence)
            async with self._feeds.follow_ledger(stream.ledger_id, mailbox) as position:
                yield stream
                async with aclosing(self._history(stream, sent, position)) as records:
                    async for record in records:
                        sent = record.sequence
                        yield record
                if sent < position:
                    return
                yield CaughtUp()
                async with aclosing(self._present(stream, incarnation, mailbox, sent)) as records:
                    async for record in records:
                        yield record

    async def _place(self, ledger_id: LedgerId, incarnation: str, after_sequence: int) -> int:
        """Where to go on; a sequence of another life than the present one means nothing in this."""
        if after_sequence == 0 or incarnation:
            return after_sequence
        return after_sequence if await self._reader.holds(ledger_id, after_sequence) else 0

    async def _history(
        self, stream: Stream, after_sequence: int, position: int
    ) -> AsyncGenerator[StoredRecord, None]:
        """Send what stands there already; ends early if this life of the stream is over."""
        batches = self._reader.read(stream.ledger_id, after_sequence=after_sequence, up_to=position)
        try:
            async for batch in batches:
                for record in compact(batch, limit_bytes=PIECE_BYTES):
                    yield record
        except NotFound as error:
            present = await self._streams.current(stream.stream_id)
            if present.incarnation == stream.incarnation:
                raise DataLoss(f"the ledger of stream {stream.stream_id!r} is gone") from error

    async def _present(
        self, stream: Stream, incarnation: str, mailbox: Mailbox[Item], sent: int
    ) -> AsyncGenerator[StoredRecord, None]:
        """Send what is appended, until this life of the stream is over."""
        while True:
            item = await mailbox.take()
            if isinstance(item, StreamChanged):
                present = await self._streams.current(stream.stream_id, incarnation=incarnation)
                if present.incarnation != stream.incarnation:
                    return
            elif item.sequence > sent:
                sent = item.sequence
                yield item
