"""What a policy sees of one viewer, and what it answers: each policy is a function from one to the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One rendition that a viewer may be told to play."""

    rendition_id: str
    name: str
    rate_bps: int
    """Declared rate, the peak of its segments."""
    width_pixels: int
    height_pixels: int
    frame_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """How one segment, or part, came to the viewer."""

    end_s: float
    """When its last byte was sent, on the clock of View.now_s."""
    size_bytes: int
    transfer_s: float
    """From the request to the last byte; above 0."""
    duration_s: float
    """Media in it; 0: unknown."""
    rung: int
    """Place of its rendition in the ladder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All that is known of one viewer at the moment of a decision."""

    now_s: float
    ladder: tuple[Rung, ...]
    """Lowest rate first, never empty."""
    current: int | None
    """Place of the rendition that plays; None before the first decision."""
    buffer_s: float
    """Media that the player holds, brought up to `now_s` by dead reckoning."""
    buffer_target_s: float
    """Media that the player aims at holding; above 0."""
    segment_s: float
    """How long a segment lasts; above 0."""
    downloads: tuple[Download, ...]
    """The newest ones, oldest first; bounded."""
    stated_bps: float | None
    """Throughput as the player states it: an estimate of its own, smoothed; None: it does not."""
    cap: int
    """Highest place in the ladder that its screen, device or own wish allows."""
    last_drop_s: float | None
    """When it was last led to a lower rendition, on the clock of `now_s`."""
    is_live: bool
    left_s: float | None = None
    """Media that it has yet to fetch until the end; None: nobody knows, or there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a policy answers."""

    rung: int
    """Place in the ladder, 0 to View.cap."""
    reason: str
    """Why, in words for people."""


class Policy(Protocol):
    """A way to decide; holds settings, no state: what it must remember of a viewer is in the View."""

    @property
    def name(self) -> str: ...

    def choose(self, view: View) -> Choice: ...


@runtime_checkable
class Prepared(Policy, Protocol):
    """A policy that rests on tables, which take long to work out and are shared by all viewers of a kind."""

    def prepare(self, view: View) -> None:
        """Work out what choosing needs for whoever has this ladder, cap, segment and buffer target."""
