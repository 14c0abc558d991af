"""What viewers are told, and by which rule."""

from __future__ import annotations

from dataclasses import dataclass

from abr.domain.view import Rung


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one viewer should play from now on."""

    stream_id: str
    viewer_id: str
    place: int
    """In the ladder, from 0."""
    rung: Rung
    policy: str
    reason: str
    """Why, in words for people."""
    time_s: float
    """When it was decided, seconds since 1970."""
