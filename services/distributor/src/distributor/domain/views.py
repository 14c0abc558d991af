"""What the log of views is made of: what was asked for viewers, and what gateways measured of them.

Instants are seconds since 1970, UTC: there are thousands of them a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

# Of a report's samples so many are dealt with at a time: about a millisecond's work.
SLICE_COUNT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Open a stream to viewers under a profile; a later one replaces it."""

    stream_id: str
    profile: str
    max_viewers: int
    """0: the stream's, or the profile's."""
    kind: Literal["start"] = "start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Let a viewer in, unless `limit` who joined are watching already."""

    stream_id: str
    viewer_id: str
    session_id: str
    """Of the session that begins, if one does."""
    variant_id: str
    """To begin with; empty: unknown."""
    limit: int
    kind: Literal["join"] = "join"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """Let a viewer go."""

    stream_id: str
    viewer_id: str
    kind: Literal["leave"] = "leave"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapt:
    """Note which rendition a viewer was told to play."""

    stream_id: str
    viewer_id: str
    variant_id: str
    kind: Literal["adapt"] = "adapt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Drop what is known of a stream that is gone; the totals of all streams keep it."""

    stream_id: str
    kind: Literal["forget"] = "forget"


Command = Start | Join | Leave | Adapt | Forget


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What was served: of one variant, by one stream, or to all."""

    segments_count: int = 0
    size_bytes: int = 0
    requests_count: int = 0
    failed_count: int = 0

    def plus(self, other: Served) -> Served:
        """Add two of them."""
        return Served(
            segments_count=self.segments_count + other.segments_count,
            size_bytes=self.size_bytes + other.size_bytes,
            requests_count=self.requests_count + other.requests_count,
            failed_count=self.failed_count + other.failed_count,
        )

    @property
    def error_rate(self) -> float:
        """Failed requests per request, 0 to 1."""
        return self.failed_count / self.requests_count if self.requests_count else 0.0


NOTHING_SERVED = Served()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one gateway sent to one session since its last report."""

    stream_id: str
    session_id: str
    joined_session_id: str = ""
    """Another name of the same session; empty: none."""
    place_session_id: str = ""
    """Of the session that it may have been before it said its name; empty: none."""
    variant_id: str = ""
    """Played last."""
    last_time: float = 0.0
    """When the last of it was sent; 0: not said."""
    segments_count: int = 0
    size_bytes: int = 0
    cache_hits_count: int = 0
    cache_misses_count: int = 0
    buffer_s: float | None = None
    latency_s: float | None = None
    served: Sequence[tuple[str, Served]] = ()
    """By variant."""

    @property
    def got_something(self) -> bool:
        """Whether any request was answered with what it asked for."""
        return any(
            served.requests_count > served.failed_count or served.size_bytes for _, served in self.served
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One message of a gateway."""

    gateway: str
    report_number: int
    """Tells a repeated report."""
    grpc_address: str
    """Where the gateway takes segments; empty: it takes none."""
    samples: Iterable[Sample]
    """To be gone through once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for all sessions; every replica must be given the same."""

    timeout_s: float = 60.0
    """A session of which nothing is heard for so long is over."""
    limit_count: int = 100_000
    """Sessions of one stream that are held at most, open and over ones."""
