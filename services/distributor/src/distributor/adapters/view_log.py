"""The log of views in JetStream: one stream for all replicas, which read it whole and in its order.

What is stored is told again over core NATS, headers alone: a bell, at which the log is read. So nothing is
lost with a connection, and many messages are read with one request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import api

from chassis import layout
from chassis.errors import DataLoss
from chassis.messaging import ensure_stream, jetstream
from chassis.telemetry import log
from distributor.adapters.journal import MESSAGE_ID, Journal, Message
from distributor.adapters.view_codec import read_commands, read_stored_report, write_commands
from distributor.domain.views import Command, Report
from distributor.ports import StoredView

DUPLICATE_WINDOW_S = 600.0
MAX_AGE_S = 7 * 86_400.0
_BATCH_COUNT = 50


async def open_view_log(client: Client, *, replicas: int, max_bytes: int) -> ViewLog:
    """Open the log, made if it is not there yet.

    Args:
        client: The connection to NATS.
        replicas: Copies that JetStream keeps.
        max_bytes: Bound above which the oldest is dropped; snapshots keep it far below.
    """
    everything = layout.EVERY_VIEW_SUBJECT
    config = api.StreamConfig(
        name=layout.VIEWS_STREAM,
        subjects=[everything],
        storage=api.StorageType.FILE,
        num_replicas=replicas,
        max_bytes=max_bytes,
        max_age=MAX_AGE_S,
        discard=api.DiscardPolicy.OLD,  # counting goes on, whatever becomes of snapshots
        duplicate_window=DUPLICATE_WINDOW_S,
        allow_direct=True,
        republish=api.RePublish(src=everything, dest=layout.news_subject(everything), headers_only=True),
    )
    await ensure_stream(jetstream(client), config)
    return ViewLog(client, Journal(client, layout.VIEWS_STREAM))


class ViewLog:
    """Appends to and reads the log; implements the port ViewLog."""

    def __init__(self, client: Client, journal: Journal) -> None:
        self._client = client
        self._journal = journal
        self._rung = asyncio.Event()
        self._heard = 0

    async def ask(self, commands: Sequence[Command], *, message_id: str) -> int:
        """Store what was asked for; answers its sequence."""
        data = write_commands(commands)
        return await self._journal.add(layout.VIEWS_ASKED_SUBJECT, data, message_id=message_id)

    async def report(self, wire: bytes, *, message_id: str) -> int:
        """Store a gateway's report; one that is repeated is stored once."""
        return await self._journal.add(layout.VIEWS_REPORTED_SUBJECT, wire, message_id=message_id)

    async def read(self, *, after_sequence: int, up_to: int) -> AsyncIterator[StoredView]:
        """Read one by one, at least to `up_to`; NotFound if that is gone."""
        batches = self._journal.read(
            layout.EVERY_VIEW_SUBJECT, after_sequence=after_sequence, up_to=up_to, count=_BATCH_COUNT
        )
        async for batch in batches:
            for message in batch:
                view = _stored_view(message)
                await asyncio.sleep(0)  # a report may hold a thousand samples: others have their turn
                yield view

    async def newest(self) -> int:
        """The newest sequence that was given out."""
        return await self._journal.newest()

    async def trim(self, *, up_to: int) -> None:
        """Drop what no replica needs any more."""
        await self._journal.purge(layout.EVERY_VIEW_SUBJECT, up_to=up_to)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Hear what is stored, for as long as the block lasts."""
        subject = layout.news_subject(layout.EVERY_VIEW_SUBJECT)
        subscription = await self._client.subscribe(subject, cb=self._hear)
        try:
            yield
        finally:
            with suppress(Exception):  # the connection may be gone, and the subscription with it
                await subscription.unsubscribe()

    async def news(self, *, timeout_s: float) -> int:
        """Wait until something was stored; answers the newest sequence heard of, 0 if nothing was."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        self._rung.clear()
        heard, self._heard = self._heard, 0
        return heard

    async def _hear(self, news: Msg) -> None:
        self._heard = max(self._heard, int((news.headers or {})["Nats-Sequence"]))
        self._rung.set()


def _stored_view(message: Message) -> StoredView:
    return StoredView(
        sequence=message.sequence,
        store_time=datetime.fromisoformat(message.headers["Nats-Time-Stamp"]).timestamp(),
        message_id=message.headers.get(MESSAGE_ID, ""),
        event=_event(message),
    )


def _event(message: Message) -> Report | Sequence[Command]:
    try:
        if message.headers["Nats-Subject"] == layout.VIEWS_REPORTED_SUBJECT:
            return read_stored_report(message.data)
        return read_commands(message.data)
    except DataLoss as error:  # of another release; every replica passes it over
        log.warning("view passed over", sequence=message.sequence, error=error.message)
        return ()
