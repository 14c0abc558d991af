"""Records that other replicas append, heard over core NATS as soon as they are stored.

An append may reach any replica. One that has heard of the append before it need not read anything, so that
it depends on nobody but the leader of the ledger itself. Nothing here must arrive: what is missed is read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from chassis.layout import news_subject
from distributor.adapters.journal import stored_message
from distributor.adapters.ledger_store import EVERYTHING, ledger_of, stored_record
from distributor.folds import Folds


class FoldNews:
    """Keeps the folds that are held up with what is stored."""

    def __init__(self, client: Client, folds: Folds) -> None:
        self._client = client
        self._folds = folds

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Hear all records for as long as the block lasts."""
        hearing = await self._client.subscribe(news_subject(EVERYTHING), cb=self._hear)
        try:
            yield
        finally:
            with suppress(nats.errors.Error):  # the connection may be gone, and the subscription with it
                await hearing.unsubscribe()

    async def _hear(self, news: Msg) -> None:
        message = stored_message(news)
        self._folds.hear(
            ledger_of(news.subject), stored_record(message), previous_sequence=message.previous_sequence
        )
