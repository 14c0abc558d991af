"""Play a video segment by segment, as Pensieve's simulator does (Mao et al., SIGCOMM 2017, section 4.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from bench.abr_sim.network import Network

from abr.domain.decision import decide
from abr.domain.estimators import reckon_buffer
from abr.domain.view import Download, Policy, Rung, View

REMEMBERED = 12
"""Downloads that a view holds, as the service's do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """What is played, and by what player: the values are those of Pensieve's simulator."""

    rates_kbps: tuple[int, ...] = (300, 750, 1200, 1850, 2850, 4300)
    segment_s: float = 4.0
    segment_count: int = 48
    first_rung: int = 1
    """What every viewer begins with; to wait for it is start-up, no stall."""
    buffer_s: float = 60.0
    """Above this the player pauses."""
    pause_s: float = 0.5
    """For so long at a time."""

    def size_bits(self, rung: int) -> float:
        return 1000.0 * self.rates_kbps[rung] * self.segment_s

    def fetch(self, network: Network, rung: int, now_s: float, buffer_s: float) -> Fetched:
        """Fetch a segment with so much in the buffer."""
        arrival_s = network.arrival_s(now_s, self.size_bits(rung))
        transfer_s = arrival_s - now_s
        left_s = max(buffer_s - transfer_s, 0.0) + self.segment_s
        pause_s = self.pause_s * max(math.ceil((left_s - self.buffer_s) / self.pause_s), 0)
        return Fetched(arrival_s, arrival_s + pause_s, left_s - pause_s, max(transfer_s - buffer_s, 0.0))


class Fetched(NamedTuple):
    """What a fetch led to."""

    arrival_s: float
    next_s: float
    """When the next segment is asked for."""
    buffer_s: float
    """What the player holds then."""
    stall_s: float


class Seen(StrEnum):
    """How new the buffer level is that a policy sees."""

    FRESH = "fresh"
    """As the player holds it now."""
    RECKONED = "one segment old, reckoned"
    """As the player held it one segment ago, brought up to now as the service does it."""
    STALE = "one segment old, as it is"


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What a viewer saw, segment by segment."""

    rungs: tuple[int, ...]
    stalls_s: tuple[float, ...]


class Playback:
    """One viewer, from the first segment to the last."""

    def __init__(self, video: Video, network: Network, seen: Seen = Seen.FRESH) -> None:
        self._video, self._network, self._seen = video, network, seen
        self._ladder = make_ladder(video.rates_kbps)
        self._now_s = self._buffer_s = self._asked_s = self._told_s = 0.0
        self._rungs: list[int] = []
        self._stalls_s: list[float] = []
        self._downloads: list[Download] = []
        self._drop_s: float | None = None

    def run(self, policy: Policy) -> Played:
        """Play it all."""
        self._fetch(self._video.first_rung)
        self._stalls_s = [0.0]
        for _ in range(self._video.segment_count - 1):
            self._fetch(decide(policy, self.view()).rung)
        return Played(rungs=tuple(self._rungs), stalls_s=tuple(self._stalls_s))

    def view(self) -> View:
        """Show what is known of the viewer now."""
        return View(
            now_s=self._now_s,
            ladder=self._ladder,
            current=self._rungs[-1],
            buffer_s=self._seen_buffer_s(),
            buffer_target_s=self._video.buffer_s,
            segment_s=self._video.segment_s,
            downloads=tuple(self._downloads),
            stated_bps=None,
            cap=len(self._ladder) - 1,
            last_drop_s=self._drop_s,
            is_live=False,
            left_s=(self._video.segment_count - len(self._rungs)) * self._video.segment_s,
        )

    def _fetch(self, rung: int) -> None:
        if self._rungs and rung < self._rungs[-1]:
            self._drop_s = self._now_s
        fetched = self._video.fetch(self._network, rung, self._now_s, self._buffer_s)
        self._rungs.append(rung)
        self._stalls_s.append(fetched.stall_s)
        self._downloads = [*self._downloads[1 - REMEMBERED :], self._download(rung, fetched)]
        self._asked_s, self._told_s = self._now_s, self._buffer_s
        self._now_s, self._buffer_s = fetched.next_s, fetched.buffer_s

    def _download(self, rung: int, fetched: Fetched) -> Download:
        return Download(
            end_s=fetched.arrival_s,
            size_bytes=int(self._video.size_bits(rung) / 8),
            transfer_s=fetched.arrival_s - self._now_s,
            duration_s=self._video.segment_s,
            rung=rung,
        )

    def _seen_buffer_s(self) -> float:
        if self._seen is Seen.FRESH:
            return self._buffer_s
        if self._seen is Seen.STALE:
            return self._told_s
        return reckon_buffer(
            known_s=self._told_s,
            arrived_s=self._video.segment_s,
            elapsed_s=self._now_s - self._asked_s,
            most_s=self._video.buffer_s,
        )


def make_ladder(rates_kbps: Sequence[int]) -> tuple[Rung, ...]:
    """Make rungs of rates, lowest first."""
    return tuple(
        Rung(
            rendition_id=f"{rate}k",
            name=f"{rate}k",
            rate_bps=1000 * rate,
            width_pixels=640,
            height_pixels=360,
            frame_rate=25.0,
        )
        for rate in rates_kbps
    )
