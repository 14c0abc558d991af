"""What the gateway needs from the world, as it sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from chassis.errors import WeirError
from hls_gateway.domain.reports import Decision, DeliveryReport, JoinedSession, SampleReport
from hls_gateway.domain.steering import Pathway
from hls_gateway.domain.stream import Record, Stream

Printed_co = TypeVar("Printed_co", covariant=True)

STORAGE_SILENT = "STORAGE_SILENT"
"""The reason of a failure that took a read's whole time; asking another gateway would take it once more."""


class CaughtUp:
    """Everything that existed when following began has been told."""


class BrokeOff:
    """Nothing is heard for now: others may know more, until the next CaughtUp."""


TimelineEvent = Stream | Record | CaughtUp | BrokeOff


class TimelineFeed(Protocol):
    """The ledger, as the distributor tells it."""

    def follow(self, stream_id: str, incarnation: str) -> AsyncGenerator[TimelineEvent]:
        """Follow a stream: its description, its records, a CaughtUp, then each new record.

        Goes on over breaks of the connection: each is told by a BrokeOff, and by a CaughtUp when nothing is
        missing any more. A record may come twice. With an empty incarnation the current one is followed, and
        each later one after a description of its own.

        Raises:
            NotFound: There is no such stream, or not any more.
        """


class HeldObject(Protocol):
    """An object's bytes in memory; they stay there while it is pinned."""

    @property
    def data(self) -> bytes:
        """All of its bytes."""

    def pin(self) -> None:
        """Keep it from being let go; every pin needs its `unpin`."""

    def unpin(self) -> None:
        """Undo one `pin`."""


class MediaStore(Protocol):
    """Announced objects, from memory or by way of it."""

    def held(self, key: str) -> HeldObject | None:
        """Give an object that is in memory now."""

    async def read(self, key: str, size_bytes: int) -> HeldObject | None:
        """Read an object into memory, once for all who ask; None if there is no room for it.

        Raises:
            NotFound: There is no such object.
            Unavailable: Storage is away; STORAGE_SILENT, it did not answer in time.
        """

    def receive(self, key: str, size_bytes: int) -> AbstractContextManager[Callable[[bytes], None]]:
        """Have room for an object that comes from elsewhere; gives what puts it there, once it is whole.

        Raises:
            ResourceExhausted: There is none.
        """

    async def reserve_stream(self) -> None:
        """Wait for the right to `stream`; it must be given back by `release_stream`.

        Raises:
            Unavailable: Too many are under way.
        """

    def release_stream(self) -> None:
        """Give the right back."""

    def stream(self, key: str, start: int, length: int) -> AsyncGenerator[bytes]:
        """Read part of an object piece by piece, past the memory that is shared."""


class DeliveryPeer(Protocol):
    """Who is told what sessions were sent: the distributor."""

    async def report(self, reports: Sequence[DeliveryReport]) -> Sequence[JoinedSession]:
        """Tell it all, in order; returns once it is counted.

        Returns:
            Sessions among them of which another gateway was shown that they had joined.

        Raises:
            InvalidArgument: Something was refused; it will not be taken another time either.
            WeirError: It may not have been heard: say it again.
        """


@dataclass(frozen=True, slots=True)
class Unheard:
    """Samples that may not have been heard, and why."""

    reports: Sequence[SampleReport]
    failure: WeirError


class SamplePeer(Protocol):
    """Who is told what viewers measured: the replicas of abr."""

    async def report(self, reports: Sequence[SampleReport]) -> Unheard | None:
        """Tell it all, of each viewer in order; takes as long as the slowest replica needs to take it in.

        What is refused is dropped: it will not be taken another time either.
        """


class DecisionFeed(Protocol):
    """What abr decides, over every break of the connection."""

    def follow(self) -> AsyncGenerator[Sequence[Decision]]:
        """Give decisions as they are made, for ever."""


class PathwayFeed(Protocol):
    """Where the distributor lets viewers be led, over every break of the connection."""

    def follow(self) -> AsyncGenerator[tuple[Pathway, ...]]:
        """Give all pathways, and all of them again whenever one changes, for ever."""


class Press(Protocol[Printed_co]):
    """Makes a playlist ready to be sent, once for all who will ask."""

    def __call__(self, text: str, *, cache_control: str) -> Printed_co:
        """Prepare the text, encoded and compressed, with its headers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFile:
    """A file, the path that it is served under, and what it is."""

    path: str
    body: bytes
    content_type: str
    compress: bool
