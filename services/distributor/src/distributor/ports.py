"""What the distributor needs of the world outside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chassis.errors import WeirError
from distributor.domain.audiences import Held, Outline
from distributor.domain.delivery import Edge, Order
from distributor.domain.entries import Entry, LedgerId, Record, StoredRecord
from distributor.domain.retention import Head
from distributor.domain.steering import Route
from distributor.domain.stream import Stream
from distributor.domain.views import Command, Report
from distributor.mailbox import Mailbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Entries to append, as the laws read them and, in `wire`, as they will be stored: nothing gets lost."""

    epoch: int
    entries: Sequence[Entry]
    wire: bytes
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Where an append stands in the ledger; `repeated`: an earlier call with its request id had stored it."""

    sequence: int
    repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A stream as it stands in the registry, under the revision that a change of it must name."""

    stream: Stream
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamChanged:
    """News from the registry: what it holds of a stream is not what it held before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldHead:
    """A ledger's head, under the revision that a change of it must name; 0: there is none yet."""

    head: Head
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredView:
    """One message of the log of views."""

    sequence: int
    store_time: float
    """By the clock of NATS, seconds since 1970: the same for all who read it."""
    message_id: str
    event: Report | Sequence[Command]


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewState:
    """The fold of the log of views up to a sequence."""

    sequence: int
    outline: Outline
    held: Sequence[Held]


@dataclass(frozen=True, slots=True, kw_only=True)
class AbrDecision:
    """What a viewer should play, and why."""

    rendition: str
    """Its name."""
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFigures:
    """What the delivery workers of one distributor do."""

    workers_count: int = 0
    queued_count: int = 0

    def plus(self, other: DeliveryFigures) -> DeliveryFigures:
        """Add another distributor's."""
        return DeliveryFigures(
            workers_count=self.workers_count + other.workers_count,
            queued_count=self.queued_count + other.queued_count,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """A life of a stream that is over, and when what it left in storage may be removed."""

    ledger_id: LedgerId
    due_time: datetime


Item = StoredRecord | StreamChanged

Carried = int | WeirError
"""The bytes of an object that was brought, or why it was not. All failures but Unavailable are final."""

Carry = Callable[[Sequence[Order]], Awaitable[Sequence[Carried]]]
"""Brings objects to one edge; answers for each, in order, or raises what fails for all of them."""


class LedgerWriter(Protocol):
    """Where records are stored, by compare-and-set."""

    async def append(self, ledger_id: LedgerId, draft: Draft, *, expected_sequence: int) -> Stored:
        """Store a record; Conflict if `expected_sequence` is not the newest, or Unavailable."""

    async def append_opened(
        self, ledger_id: LedgerId, *, epoch: int, owner: str, expected_sequence: int
    ) -> Stored:
        """Store the record by which a new owner begins; fails as `append` does."""

    async def append_last(
        self, ledger_id: LedgerId, entries: Sequence[Entry], *, epoch: int, owner: str, expected_sequence: int
    ) -> Stored:
        """Store the record by which a new owner begins, appends, and ends everything; fails as `append`."""

    async def find(self, ledger_id: LedgerId, *, after_sequence: int, request_id: str) -> int | None:
        """Look whether the record right behind `after_sequence` bears this request id; its sequence if so."""

    async def purge(self, ledger_id: LedgerId, *, up_to: int | None = None) -> None:
        """Remove a whole ledger, or its beginning up to a sequence."""

    async def remove(self, sequence: int) -> None:
        """Remove one record; one that is not there is no error."""

    def encode(self, entries: Sequence[Entry], *, epoch: int = 0) -> bytes:
        """Write entries as they are stored; `append` adds epoch and time of its own."""


class LedgerReader(Protocol):
    """Where records are read from."""

    async def last_sequence(self, ledger_id: LedgerId) -> int:
        """Read the newest sequence; 0 of a ledger that is empty or gone."""

    def read(
        self, ledger_id: LedgerId, *, after_sequence: int, up_to: int, count: int = ...
    ) -> AsyncIterator[Sequence[StoredRecord]]:
        """Read in batches, at least to `up_to`; NotFound if the ledger was purged before that.

        `count` bounds a batch, for those who may need only a few records.
        """

    def decode(self, record: StoredRecord) -> Record:
        """Read a record as the laws do."""

    async def holds(self, ledger_id: LedgerId, sequence: int) -> bool:
        """Whether `sequence` is one of this ledger."""

    async def list_ledgers(self) -> Sequence[LedgerId]:
        """List all ledgers that hold a record."""


class Registry(Protocol):
    """The streams that there are."""

    async def get(self, stream_id: str) -> Registered:
        """Read a stream; NotFound."""

    async def create(self, stream: Stream) -> int:
        """Store a new stream; AlreadyExists if its id is taken."""

    async def update(self, stream: Stream, *, revision: int) -> int:
        """Replace the stream that was read under `revision`; Conflict if it changed since."""

    async def delete(self, stream_id: str, *, revision: int) -> None:
        """Remove the stream that was read under `revision`; Conflict if it changed since."""

    async def list(self) -> Sequence[Stream]:
        """List all streams, in no order."""


class Heads(Protocol):
    """What stands in the place of the beginnings of ledgers."""

    async def get(self, ledger_id: LedgerId) -> HeldHead:
        """Read a ledger's head; an empty one under revision 0 if nothing has left it."""

    async def put(self, ledger_id: LedgerId, head: Head, *, revision: int) -> int:
        """Replace the head that was read under `revision`; AlreadyExists or Conflict if it changed since."""

    async def delete(self, ledger_id: LedgerId) -> None:
        """Remove the head of a ledger that is gone."""


class Tombstones(Protocol):
    """Lives of streams that are over, until what they left is removed."""

    async def put(self, tombstone: Tombstone) -> None:
        """Keep a tombstone; a later one of the same life replaces it."""

    async def list(self) -> Sequence[Tombstone]:
        """List all tombstones."""

    async def delete(self, ledger_id: LedgerId) -> None:
        """Forget a life of which nothing is left."""


class Objects(Protocol):
    """Where media lies."""

    async def delete(self, *keys: str) -> None:
        """Remove objects; a key that is not there is no error."""

    async def delete_below(self, prefix: str, *, spares: Callable[[str], bool]) -> int:
        """Remove the objects below a prefix that ends with '/', but those that are spared; answers how many.

        What killed processes left of uploads goes too.
        """


class Feeds(Protocol):
    """News of ledgers and streams, as they are stored by any replica; none is lost."""

    def follow_ledger(self, ledger_id: LedgerId, mailbox: Mailbox[Item]) -> AbstractAsyncContextManager[int]:
        """Put each new StoredRecord behind the sequence that this answers into a mailbox, in order."""

    def follow_stream(self, stream_id: str, mailbox: Mailbox[Item]) -> AbstractAsyncContextManager[int]:
        """Put a StreamChanged into a mailbox whenever the registry's entry changes from now on."""


class Puller(Protocol):
    """Those who pull the sources of streams."""

    async def pull(self, stream: Stream) -> None:
        """Let a stream be pulled; asking again for one start changes nothing. ResourceExhausted."""


class Owners(Protocol):
    """Those who own live streams, whoever they are."""

    async def stop(self, stream_id: str) -> bool:
        """Ask a stream's owner to end it; whether there is one that heard it."""


class Closer(Protocol):
    """Those who can end a stream's ledger whole in the place of its owner."""

    async def close(self, stream: Stream, *, epoch: int, sequence: int) -> None:
        """Let what is open be closed, and the ledger ended, under an epoch that was opened for it.

        FailedPrecondition: a newer epoch was opened; Unavailable: nobody can do it now.
        """


class ViewLog(Protocol):
    """What happened to viewers, in one order for all replicas."""

    async def ask(self, commands: Sequence[Command], *, message_id: str) -> int:
        """Store what was asked for; answers its sequence."""

    async def report(self, wire: bytes, *, message_id: str) -> int:
        """Store a gateway's report; one that is repeated is stored once."""

    def read(self, *, after_sequence: int, up_to: int) -> AsyncIterator[StoredView]:
        """Read one by one, at least to `up_to`; NotFound if that is gone."""

    async def newest(self) -> int:
        """The newest sequence that was given out."""

    async def news(self, *, timeout_s: float) -> int:
        """Wait until something was stored; answers the newest sequence heard of, 0 if nothing was."""

    async def trim(self, *, up_to: int) -> None:
        """Drop what no replica needs any more."""


class ViewStates(Protocol):
    """States of the fold of that log, for those who start."""

    async def newest_sequence(self) -> int:
        """Up to which sequence of the log the newest state reaches; 0: there is none."""

    async def put(self, sequence: int, outline: Outline, held: Iterable[Held]) -> None:
        """Store a state; Conflict if somebody else did at the same moment."""

    async def get(self) -> ViewState | None:
        """Read the newest state; None if there is none, DataLoss if a newer one just replaced it."""


class Abr(Protocol):
    """Who decides what viewers play."""

    async def decide(
        self, stream_id: str, session_id: str, *, buffer_health: float, current: str, policy: str
    ) -> AbrDecision:
        """Choose a rendition; `current` is the name of the one that plays. Unavailable if nobody decides."""


class Roster(Protocol):
    """The distributors that are alive."""

    def alive(self) -> Mapping[str, DeliveryFigures]:
        """What each does, by name; this one is among them."""


class Purger(Protocol):
    """Who makes CDNs forget."""

    async def purge(self, stream_id: str) -> None:
        """Drop what is kept under a stream's URLs; CDNs that fail are logged."""


class DeadLetters(Protocol):
    """Orders that were given up, for people to look at."""

    async def put(self, order: Order, *, attempts_count: int, error: str) -> None:
        """Keep one."""

    async def count(self) -> int:
        """How many were ever kept, by any distributor."""


class Edges(Protocol):
    """Where viewers are served from, now."""

    def all(self) -> Sequence[Edge]:
        """List the gateways that report, and the CDNs."""

    def of_viewer(self, stream_id: str, viewer_id: str) -> Edge | None:
        """Find the gateway that served a viewer last."""


class Probe(Protocol):
    """Who looks whether a pathway answers."""

    async def answers(self, route: Route) -> bool:
        """Look once."""


class Needs(Protocol):
    """What the distributor needs to serve."""

    async def check(self) -> Mapping[str, str]:
        """Tell of each need by name whether it is "ok", or what is wrong; Unavailable without NATS."""
