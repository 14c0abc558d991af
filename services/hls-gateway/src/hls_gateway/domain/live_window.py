"""How far back a live playlist reaches, and for how long what has left it is kept (rfc8216bis 6.2.2).

What is listed follows from the segments alone, so that every gateway says the same, whenever it began to
read. What is kept also depends on when the ledger took it: after an outage minutes of media may come at once,
and who was told of the first of them has not read a byte when the last ones are there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from hls_gateway.domain.stream import Part, Segment, Stream

# In target durations: what a playlist may never be shorter than, and for how long parts are listed.
LEAST_TARGETS = PARTS_TARGETS = 3
# Parts can be read for three target durations behind their listing; one more for what comes late.
_PARTS_HELD_TARGETS = 2 * PARTS_TARGETS + 1
# Ends are sums of durations: they may miss each other by rounding.
_ROUNDING_S = 1e-6


def window_start(stream: Stream, segments: Sequence[Segment]) -> int:
    """Find the index of the first segment that is listed.

    Those whose end lies within the window of the newest end are, and never less than three target durations,
    which no two segments last. As segments come it only grows.
    """
    if not (stream.slides and segments):
        return 0
    horizon_s = segments[-1].end_s - stream.dvr_window_s + _ROUNDING_S
    in_time = bisect_right(segments, horizon_s, key=_end_s)
    least = count_newest(segments, LEAST_TARGETS * stream.target_duration_s)
    return min(in_time, len(segments) - least)


def held_s(stream: Stream) -> float:
    """How much media a sliding stream holds, and for how long each at least: twice its longest playlist.

    A segment must be there for its own duration and that of the longest playlist that listed it, counted from
    when it was listed first (6.2.2). This counts media, not the stream's clock, which may jump.
    """
    longest_s = max(stream.dvr_window_s, LEAST_TARGETS * stream.target_duration_s)
    return 2 * (longest_s + stream.target_duration_s)


def first_msn_with_parts(stream: Stream, segments: Sequence[Segment], *, held: bool = False) -> int:
    """Find the oldest segment whose parts are listed, or with `held` can still be read."""
    targets = _PARTS_HELD_TARGETS if held else PARTS_TARGETS
    count = count_newest(segments, targets * stream.target_duration_s)
    return segments[-count].msn if count else 0


def parts_held_s(stream: Stream) -> float:
    """For how long parts can be read at least."""
    return _PARTS_HELD_TARGETS * stream.target_duration_s


def is_new(media: Segment | Part, *, now_s: float, within_s: float) -> bool:
    """Tell whether media were announced within a time; not where the ledger does not tell the time."""
    return now_s - media.announced_s < within_s if now_s else False


def count_newest(segments: Sequence[Segment], duration_s: float) -> int:
    """Count how many of the newest segments it takes to last as long; all, if they do not."""
    count, total_s = 0, 0.0
    while count < len(segments) and total_s < duration_s - _ROUNDING_S:
        count += 1
        total_s += segments[-count].duration_s
    return count


def _end_s(segment: Segment) -> float:
    return segment.end_s
