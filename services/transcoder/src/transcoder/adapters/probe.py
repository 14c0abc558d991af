"""Probe a source: what is in it, measured, or the reason why it is refused.

libav reads hostile bytes here, so it runs in a process of its own under limits on memory, time and picture size.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transcoder.domain.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeLimits:
    """What a probe may cost, and what a source may ask for."""

    max_pixel_count: int = 7680 * 4320
    """Largest picture, width times height."""
    max_duration_s: float = 24 * 3600.0
    memory_bytes: int = 2 << 30
    """Address space of the probing process."""
    base_timeout_s: float = 30.0
    """Deadline of a small source; larger ones get the time to be read at `read_bytes_per_s` besides."""
    read_bytes_per_s: float = 20e6


async def probe(path: Path, limits: ProbeLimits = ProbeLimits()) -> Source:
    """Measure a source file.

    Raises:
        InvalidArgument: The file is no media that can be transcoded; the message says what is wrong. Reasons:
            EMPTY_SOURCE, NOT_MEDIA, UNSUPPORTED_CONTAINER, NO_TRACKS, UNSUPPORTED_CODEC, ZERO_DURATION,
            TRUNCATED_SOURCE, PICTURE_TOO_LARGE, SOURCE_TOO_LONG, PROBE_LIMIT.
    """
    raise NotImplementedError
