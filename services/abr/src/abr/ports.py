"""What adaptation needs of the world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from abr.domain.news import Decision
from abr.domain.stats import Figures
from abr.domain.stream import Stream
from abr.mailbox import Mailbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A viewer's state as it is kept outside the process."""

    stream_id: str
    viewer_id: str
    data: bytes


class Streams(Protocol):
    """The streams' ladders, as the distributor tells them."""

    def known(self, stream_id: str) -> Stream | None:
        """Answer what is at hand, at once; None: get it first, or it is not there."""

    async def get(self, stream_id: str) -> Stream:
        """Get a stream. NotFound: there is none, or nothing of it to play; Unavailable."""


class Snapshots(Protocol):
    """Viewers' states outside the process; what cannot be kept or found there is done without."""

    @property
    def is_open(self) -> bool:
        """Whether there is anything to be asked."""

    async def load(self, stream_id: str, viewer_id: str) -> bytes | None:
        """Read what was saved last of a viewer, by any replica; None: nothing, or it cannot be had now."""

    async def save(self, snapshots: Sequence[Snapshot]) -> bool:
        """Keep states; False: they are not kept."""


class Bulletin(Protocol):
    """Decisions of all replicas, as they are made."""

    def publish(self, decision: Decision) -> None:
        """Tell all replicas; never waits."""

    def follow(self, mailbox: Mailbox) -> AbstractContextManager[None]:
        """Put batches of decisions, as the contract writes them, into a mailbox. Unavailable: STOPPING."""


class Replicas(Protocol):
    """The other processes of this service."""

    @property
    def heard_s(self) -> float:
        """When one of them was heard of last, seconds since 1970; 0: never."""

    async def figures(self, stream_id: str) -> Sequence[Mapping[bytes, Figures]]:
        """Ask what each of them knows of a stream's viewers; who does not answer in time is left out."""
