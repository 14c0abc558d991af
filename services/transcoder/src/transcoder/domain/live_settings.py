"""What a live stream is to become, as the distributor tells it to whoever takes the media in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from transcoder.domain.ladder import Rung
from transcoder.domain.plan import Container
from transcoder.domain.source import Source


class LiveKind(StrEnum):
    """How a live stream is played."""

    LIVE = "live"
    EVENT = "event"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullSource:
    """Where the media of a pulled stream come from: one of the two."""

    url: str = ""
    recording_id: str = ""
    loop: bool = False
    """A recording begins again at its end; else the stream ends with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """One life of a live stream, and what to make of its media."""

    stream_id: str
    incarnation: str
    kind: LiveKind = LiveKind.LIVE
    container: Container = Container.CMAF
    title: str = ""
    target_duration_s: int
    part_target_s: float = 0.0
    """0: segments only."""
    dvr_window_s: float = 0.0
    record: bool = False
    rungs: tuple[Rung, ...] = ()
    pull: PullSource = field(default_factory=PullSource)
    """Empty: the stream is pushed."""

    @property
    def is_pulled(self) -> bool:
        """Whether media come from a source that is asked for them, so that the next owner has the same."""
        return self.pull != PullSource()


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What the owner of a live stream says of itself."""

    stream_id: str
    incarnation: str
    epoch: int
    owner: str
    protocol: str = ""
    """How media come in; empty: nobody publishes."""
    silent_s: float = 0.0
    """Since media came."""
    is_finishing: bool = False
    """The publisher has gone, but its last media are still on their way."""
    source: Source | None = None
    """What a pulled source holds, from an owner that leaves it to the next one: that need not look again."""

    @property
    def is_feeding(self) -> bool:
        """Whether a publisher is there, though it may be silent."""
        return bool(self.protocol)
