"""One tail per followed subject and process, shared by all who watch it.

A tail listens to the news of its subject over core NATS, which costs JetStream nothing per watcher and works
on while it elects a leader. News may be lost with a connection. Each piece names its predecessor, so the next
one shows the gap, and the gap is read from JetStream; in case no next one comes, every tail is compared with
JetStream after a reconnection and every `reread_interval_s`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Generic, TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from chassis.errors import Unavailable, WeirError
from chassis.layout import news_subject
from chassis.telemetry import log
from distributor.adapters.journal import Journal, Message, stored_message
from distributor.mailbox import Mailbox

Item = TypeVar("Item")

_TICK_S = 0.25
_REREADS_AT_ONCE = 16


class Tail(Generic[Item]):
    """The end of one subject, with the mailboxes of those who follow it."""

    def __init__(self, journal: Journal, subject: str, read_item: Callable[[Message], Item]) -> None:
        self._journal = journal
        self._subject = subject
        self._read_item = read_item
        self._mailboxes: set[Mailbox[Item]] = set()
        self._advancing = asyncio.Lock()
        self._subscription: Subscription | None = None
        self._position = -1
        self.users_count = 0

    async def join(self, client: Client, mailbox: Mailbox[Item]) -> int:
        """Add a mailbox; answers the sequence behind which it gets everything."""
        async with self._advancing:
            if self._subscription is None:
                await self._begin(client)
            self._mailboxes.add(mailbox)
            return self._position

    def leave(self, mailbox: Mailbox[Item]) -> None:
        self._mailboxes.discard(mailbox)

    async def end(self) -> None:
        """Stop listening."""
        if self._subscription is not None:
            with suppress(Exception):  # the connection may be gone, and the subscription with it
                await self._subscription.unsubscribe()

    def fail(self, failure: WeirError) -> None:
        """End all who follow."""
        for mailbox in self._mailboxes:
            mailbox.fail(failure)

    async def catch_up(self) -> None:
        """Read what news may have been lost."""
        async with self._advancing:
            async for batch in self._journal.read(self._subject, after_sequence=self._position):
                self._deliver(batch)

    async def _begin(self, client: Client) -> None:
        # Listen first: what is stored after `last_sequence` has answered is then heard for certain.
        subscription = await client.subscribe(news_subject(self._subject), cb=self._hear)
        try:
            self._position = await self._journal.last_sequence(self._subject)
        except BaseException:
            await subscription.unsubscribe()
            raise
        self._subscription = subscription

    async def _hear(self, news: Msg) -> None:
        message = stored_message(news)
        async with self._advancing:
            if message.previous_sequence > self._position:
                missing = self._journal.read(
                    self._subject, after_sequence=self._position, up_to=message.previous_sequence
                )
                async for batch in missing:
                    self._deliver(batch)
            self._deliver((message,))

    def _deliver(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if message.sequence <= self._position:
                continue
            self._position = message.sequence
            item = self._read_item(message)
            for mailbox in self._mailboxes:
                mailbox.put(item, len(message.data))


class Tails(Generic[Item]):
    """The tails of one JetStream stream that are followed in this process.

    Args:
        client: The connection on which news are heard.
        journal: Where gaps are read from.
        read_item: What a message is to those who follow.
        reread_interval_s: How often each tail is compared with JetStream.
    """

    def __init__(
        self,
        client: Client,
        journal: Journal,
        read_item: Callable[[Message], Item],
        *,
        reread_interval_s: float,
    ) -> None:
        self._client = client
        self._journal = journal
        self._read_item = read_item
        self._reread_interval_s = reread_interval_s
        self._tails: dict[str, Tail[Item]] = {}
        self._closed: WeirError | None = None

    def __len__(self) -> int:
        """Subjects that are followed."""
        return len(self._tails)

    @asynccontextmanager
    async def follow(self, subject: str, mailbox: Mailbox[Item]) -> AsyncIterator[int]:
        """Put each new item of a subject into a mailbox; yields the sequence behind which they begin.

        Raises:
            Unavailable: NATS does not answer, or STOPPING.
        """
        if self._closed:
            raise self._closed
        tail = self._tails.get(subject)
        if tail is None:
            tail = self._tails[subject] = Tail(self._journal, subject, self._read_item)
        tail.users_count += 1
        try:
            yield await tail.join(self._client, mailbox)
        finally:
            tail.leave(mailbox)
            tail.users_count -= 1
            if tail.users_count == 0:
                del self._tails[subject]
                await tail.end()

    def close(self) -> None:
        """End all who follow: the process stops."""
        self._closed = Unavailable("this distributor stops: watch another replica", reason="STOPPING")
        for tail in self._tails.values():
            tail.fail(self._closed)

    async def heal(self) -> None:
        """Compare tails with JetStream, for as long as the process lives."""
        reconnections, elapsed_s = self._client.stats["reconnects"], 0.0
        while True:
            await asyncio.sleep(_TICK_S)
            elapsed_s += _TICK_S
            if self._client.stats["reconnects"] == reconnections and elapsed_s < self._reread_interval_s:
                continue
            reconnections, elapsed_s = self._client.stats["reconnects"], 0.0
            await self.catch_up()

    async def catch_up(self) -> None:
        """Compare all tails with JetStream now."""
        at_once = asyncio.Semaphore(_REREADS_AT_ONCE)

        async def catch_up(tail: Tail[Item]) -> None:
            async with at_once:
                try:
                    await tail.catch_up()
                except Exception as error:  # noqa: BLE001 - a loop of the process: the next round tries again
                    log.warning("tail not compared", error=repr(error))

        await asyncio.gather(*(catch_up(tail) for tail in tuple(self._tails.values())))
