"""Delivery profiles: how much a viewer should hold, how many may watch, how segments are delivered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from chassis.errors import InvalidArgument

MAX_VIEWERS = 1_000_000
DEFAULT_PROFILE = "Medium"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What is promised to the viewers of a stream, and what its deliveries may take."""

    name: str
    segment_s: float
    """Duration of a segment, as the profile counts buffers."""
    buffer_segments_count: int
    """Segments that a player should hold."""
    max_viewers: int
    """At one time, unless the stream or its start says."""
    retries_count: int
    """Further attempts at a delivery that failed."""
    timeout_s: float
    """For one attempt at a delivery."""
    compression_level: int
    """Of text (WebVTT) that is put to CDNs, 0 to 9; media is compressed as it is, playlists elsewhere."""

    @property
    def buffer_s(self) -> float:
        """The buffer that a player should hold."""
        return self.segment_s * self.buffer_segments_count


def _profile(name: str, buffer: int, viewers: int, retries: int, timeout_s: float, level: int) -> Profile:  # noqa: PLR0917 - a row of the table
    return Profile(
        name=name,
        segment_s=2.0,
        buffer_segments_count=buffer,
        max_viewers=viewers,
        retries_count=retries,
        timeout_s=timeout_s,
        compression_level=level,
    )


PROFILES = (
    _profile("VeryLow", 3, 100, 3, 5.0, 6),
    _profile("Low", 4, 75, 3, 5.0, 5),
    _profile("Medium", 5, 50, 3, 6.0, 4),
    _profile("High", 6, 25, 2, 7.0, 3),
)
"""The profiles of the API, unless configured otherwise."""


class ConnectionQuality(StrEnum):
    """What a viewer's buffer says of their connection."""

    EXCELLENT = "excellent"
    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"


_ABOVE = ((80.0, ConnectionQuality.EXCELLENT), (60.0, ConnectionQuality.GOOD), (40.0, ConnectionQuality.FAIR))


def check_profiles(profiles: Sequence[Profile]) -> Sequence[Profile]:
    """Return the profiles if deliveries can go by them.

    Raises:
        ValueError: Names what is wrong, and the range.
    """
    names = [profile.name for profile in profiles]
    if len(set(names)) < len(names) or DEFAULT_PROFILE not in names:
        raise ValueError(f"names are {names}: they must differ, and {DEFAULT_PROFILE} be one of them")
    for profile in profiles:
        for field, lowest, highest in _RANGES:
            if not lowest <= getattr(profile, field) <= highest:
                raise ValueError(
                    f"{field} of {profile.name!r} is {getattr(profile, field)}: "
                    f"it must lie from {lowest} to {highest}"
                )
    return profiles


_RANGES = (
    ("segment_s", 0.1, 60),
    ("buffer_segments_count", 1, 1_000),
    ("max_viewers", 1, MAX_VIEWERS),
    ("retries_count", 0, 100),
    ("timeout_s", 0.1, 600),
    ("compression_level", 0, 9),
)


def find_profile(profiles: Sequence[Profile], name: str) -> Profile:
    """Look a profile up by name; no name means the default.

    Raises:
        InvalidArgument: UNKNOWN_PROFILE.
    """
    for profile in profiles:
        if profile.name == (name or DEFAULT_PROFILE):
            return profile
    names = ", ".join(profile.name for profile in profiles)
    raise InvalidArgument(
        f"profile is {name[:80]!r}: it must be one of {names}", reason="UNKNOWN_PROFILE", field="profile"
    )


def buffer_health(buffer_s: float, aimed_s: float) -> float:
    """How much of the buffer that it aims at a player holds, percent, 0 to 100."""
    return min(100.0, 100.0 * buffer_s / aimed_s)


def connection_quality(health: float) -> ConnectionQuality:
    """Name what a buffer health, in percent, says of the connection."""
    return next((quality for limit, quality in _ABOVE if health > limit), ConnectionQuality.POOR)
