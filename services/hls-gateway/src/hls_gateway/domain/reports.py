"""What a gateway tells others about viewers, and what it hears from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# A pace is known once the client has set it for so long, and for so much.
_LEAST_PACED_S, _LEAST_PACED_BYTES = 0.05, 65_536
# What takes longer was not watched, but left lying.
_MOST_TRANSFER_MS = 600_000.0

BATCH_COUNT = 1000
"""What one message tells of at most: sessions, or samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantReport:
    """What one session was sent of one variant since the last report.

    Args:
        variant_id: Empty: requests that belong to none.
        segments_count: Segments sent whole.
        size_bytes: Media bytes sent.
    """

    variant_id: str
    segments_count: int
    size_bytes: int
    requests_count: int
    failed_requests_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionReport:
    """What one session was sent since the last report.

    Args:
        joined_session_id: The session of JoinStream that this one is; empty: none.
        variant_id: Played last.
        buffer_s: What the player said last; None: nothing.
        last_time: When it was last seen, seconds since 1970.
        place_id: How it would be known without a name of its own; empty: it has none.
    """

    stream_id: str
    session_id: str
    joined_session_id: str
    variant_id: str
    variants: tuple[VariantReport, ...]
    cache_hits_count: int
    cache_misses_count: int
    buffer_s: float | None
    latency_s: float | None
    last_time: float
    place_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReport:
    """One message to the distributor; sent again with the same number until it is acknowledged."""

    report_number: int
    sessions: tuple[SessionReport, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedSession:
    """A player's own session that is one that JoinStream handed out."""

    stream_id: str
    session_id: str
    joined_session_id: str


class Sample(NamedTuple):
    """One measurement of one viewer; a tuple, because one is made per segment that is sent.

    Args:
        viewer_id: The session that was handed out, else the player's own.
        msn: None: a part, or no media.
        sample_time: When the object's last byte was sent, seconds since 1970.
        transfer_ms: How long the object takes at the pace that was seen; None: none was.
    """

    stream_id: str
    viewer_id: str
    variant_id: str
    msn: int | None = None
    sample_time: float = 0.0
    size_bytes: int = 0
    transfer_ms: float | None = None
    player_throughput_bps: float | None = None
    buffer_s: float | None = None
    starved: bool = False
    encoded_bps: int = 0
    top_bps: int = 0
    duration_s: float = 0.0
    playback_rate_ratio: float | None = None
    startup: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleReport:
    """One message to abr.

    Args:
        dropped_count: Samples that were let go since the message before.
    """

    samples: tuple[Sample, ...]
    dropped_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one viewer should play."""

    stream_id: str
    viewer_id: str
    variant_id: str
    variant_bps: int


def transfer_ms(size_bytes: int, paced_bytes: int, paced_s: float) -> float | None:
    """Tell how long an object takes at the pace that its client set; None where it set none for long enough.

    What went into buffers at once is taken to have travelled at the same pace. Of small objects and of fast
    links nothing can be known: buffers take them whole.
    """
    if paced_s < _LEAST_PACED_S or paced_bytes < _LEAST_PACED_BYTES:
        return None
    taken_ms = size_bytes * paced_s / paced_bytes * 1e3
    return taken_ms if taken_ms <= _MOST_TRANSFER_MS else None
