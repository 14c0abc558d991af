"""Judge whether a live run keeps up: pure sums over what was measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

JUDGED_S = 6.0
"""A run is judged by so much of its latest time, seconds: a busy moment is no reason to drop a rung."""

SLOW_RATIO = 0.97
"""A slower encoder is falling behind: clocks of publishers differ from ours by far less."""

WAITING_RATIO = 0.25
"""An encoder that keeps its publisher waiting for so much of the time is slow itself, not the network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedMark:
    """What a run has come to at an instant, counted from its start."""

    wall_s: float
    media_s: float
    """How far its renditions reach."""
    waited_s: float
    """How long, in all, its input waited for the encoder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveProgress:
    """How a live run went between two instants."""

    span_s: float
    """Of wall-clock time."""
    media_s: float
    """How far the run's renditions reach at its end."""
    speed_ratio: float
    """Media seconds per wall-clock second; about 1 where all is well, above it while catching up."""
    waiting_ratio: float
    """Share of the time in which the input waited for the encoder: near 0 where that has time to spare."""


def measure_speed(before: SpeedMark, now: SpeedMark) -> LiveProgress:
    """Tell how a run went between two marks, the second one later."""
    span_s = now.wall_s - before.wall_s
    return LiveProgress(
        span_s=span_s,
        media_s=now.media_s,
        speed_ratio=(now.media_s - before.media_s) / span_s,
        waiting_ratio=min(1.0, (now.waited_s - before.waited_s) / span_s),
    )


def should_drop_top_rung(progress: Sequence[LiveProgress], rung_count: int) -> bool:
    """Decide whether to go on with the ladder's top rung left out, since the encoder falls behind.

    Args:
        progress: The run's latest, oldest first; without a span between them.
        rung_count: Of the ladder; the last rung is never dropped.
    """
    judged: list[LiveProgress] = []
    for news in reversed(progress):
        if sum(known.span_s for known in judged) < JUDGED_S:
            judged.append(news)
    span_s = sum(news.span_s for news in judged)
    if rung_count < 2 or span_s < JUDGED_S:  # noqa: PLR2004 - a rung and another one
        return False
    speed = sum(news.speed_ratio * news.span_s for news in judged) / span_s
    waiting = sum(news.waiting_ratio * news.span_s for news in judged) / span_s
    return speed < SLOW_RATIO and waiting > WAITING_RATIO
