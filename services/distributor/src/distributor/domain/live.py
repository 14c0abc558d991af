"""What the creator of a live stream asked for, and the keys that let its publishers in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from chassis.errors import InvalidArgument
from chassis.layout import ID_PATTERN


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One rung of a wished ladder; its size is a box that the picture is fitted into, 0 by 0 the source's."""

    name: str
    width_pixels: int
    height_pixels: int
    video_bps: int


NAMED_RUNGS = (
    Rung(name="VeryLow", width_pixels=640, height_pixels=360, video_bps=500_000),
    Rung(name="Low", width_pixels=854, height_pixels=480, video_bps=1_000_000),
    Rung(name="Medium", width_pixels=1280, height_pixels=720, video_bps=2_000_000),
    Rung(name="High", width_pixels=1920, height_pixels=1080, video_bps=4_000_000),
)
"""The four qualities of the API, ascending: the ladder when none is named."""

SIZED_RUNGS = (
    Rung(name="360p", width_pixels=640, height_pixels=360, video_bps=800_000),
    Rung(name="480p", width_pixels=854, height_pixels=480, video_bps=1_400_000),
    Rung(name="720p", width_pixels=1280, height_pixels=720, video_bps=2_800_000),
    Rung(name="1080p", width_pixels=1920, height_pixels=1080, video_bps=5_000_000),
    Rung(name="2160p", width_pixels=3840, height_pixels=2160, video_bps=14_000_000),
)
"""Rungs by their height; the last one on demand only."""


RESERVED_NAMES = frozenset({"audio", "thumbnails"})
"""Of the renditions that the transcoder makes beside the rungs."""


class SourceKind(StrEnum):
    """How a live stream's media comes in."""

    PUSH = "push"
    PULL = "pull"
    RECORDING = "recording"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a live stream's media comes from."""

    kind: SourceKind = SourceKind.PUSH
    pull_url: str = field(default="", repr=False)
    """May hold a password."""
    recording_id: str = ""
    loop: bool = False

    @property
    def is_pulled(self) -> bool:
        return self.kind is not SourceKind.PUSH


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveWish:
    """What beside its description the creator of a stream asked for."""

    text: str = ""
    """A description for people."""
    rungs: Sequence[Rung] = NAMED_RUNGS
    """The ladder, lowest rate first."""
    source: Source = Source()
    max_viewers: int = 0
    """0: the delivery profile's."""
    stream_key: str = field(default="", repr=False)
    """Lets a publisher in."""
    request_id: str = ""
    """Of the request that made the stream."""


def choose_rungs(names: Sequence[str], configured: Sequence[Rung]) -> Sequence[Rung]:
    """Look rungs up by name, lowest rate first and without repeats; no names mean `configured`.

    Raises:
        InvalidArgument: UNKNOWN_PROFILE.
    """
    if not names:
        return tuple(sorted(configured, key=_by_rate))
    known: Mapping[str, Rung] = {rung.name: rung for rung in (*SIZED_RUNGS, *NAMED_RUNGS, *configured)}
    for index, name in enumerate(names):
        if name not in known:
            raise InvalidArgument(
                f"transcode_profiles[{index}] is {name[:80]!r}: it must be one of {', '.join(known)}",
                reason="UNKNOWN_PROFILE",
                field="transcode_profiles",
            )
    return tuple(sorted((known[name] for name in set(names)), key=_by_rate))


def join_key(stream_id: str, secret: str) -> str:
    """Make a stream key: it names its stream, so that no registry need be searched for it."""
    return f"{stream_id}.{secret}"


def stream_of_key(stream_key: str) -> str:
    """Which stream a key claims to be of, if it is a key at all; the secret holds no dot."""
    stream_id = stream_key.rpartition(".")[0]
    return stream_id if ID_PATTERN.fullmatch(stream_id) else ""


def _by_rate(rung: Rung) -> tuple[int, str]:
    return (rung.video_bps, rung.name)
