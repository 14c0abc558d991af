"""What every ingest protocol needs of live sessions, and nothing more: to be let in, and to hand bytes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishClaim:
    """What a publisher shows when it asks to be let in."""

    protocol: str
    """For people and logs: "rtmp", "srt", "http"."""
    peer: str
    """Where it comes from, for logs: "192.0.2.7:41532"."""
    stream_key: str
    stream_id: str = ""
    """The stream that it names besides; empty: the key alone decides."""
    take_over: bool = False
    """It asks to end the connection of a publisher that is already there."""


class Session(Protocol):
    """One publisher's connection to the stream that it feeds. Runs once."""

    @property
    def stream_id(self) -> str: ...

    async def run(self, demuxer: str, pieces: AsyncIterator[bytes]) -> None:
        """Make the stream out of what comes, until the pieces end.

        However it ends, the stream stays open to its next publisher. A protocol that cancels this gives up
        what the publisher sent last.

        Args:
            demuxer: The container of the pieces: "flv", "mpegts", "mov" or "matroska".
            pieces: Bytes of any size, as they come in; closed by the caller.

        Raises:
            InvalidArgument: The bytes are no media, or none that can be transcoded.
            FailedPrecondition: The stream was stopped, or another publisher took it over: disconnect.
            Unavailable: The ledger or storage was away for too long.
        """


class Publishers(Protocol):
    """Lets publishers in."""

    async def admit(self, claim: PublishClaim) -> Session:
        """Let a publisher in.

        Raises:
            PermissionDenied: No stream has this key.
            FailedPrecondition: The stream takes no media now.
            AlreadyExists: Another publisher feeds the stream, and no take-over was asked for.
            Unavailable: The distributor does not answer.
        """
