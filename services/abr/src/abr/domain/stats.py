"""What is known of a viewer, or of all viewers of a recording, as figures."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from abr.domain.estimators import RECENT, harmonic_mean
from abr.domain.qoe import SUMS, Experience, Qoe
from abr.domain.stream import Stream
from abr.domain.viewer import NOWHERE, Viewer


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What the network did, over the recent segments; all 0 without any."""

    estimated_bps: float
    mean_bps: float
    min_bps: float
    max_bps: float
    deviation_bps: float
    latency_s: float
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """The figures of GetStats."""

    current_bps: float
    """Rate that plays; of several viewers the mean; 0: none is known."""
    optimal_bps: int
    """The rate of the ladder that the throughput carries."""
    segments_count: int
    """Parts count as what they are of a segment."""
    transfer_s: float
    health_ratio: float
    network: Network
    qoe: Qoe
    viewers_count: int


class Figures(NamedTuple):
    """One viewer's share in the figures of all: sums over its newest downloads, and of its session."""

    heard_s: float
    """When it was measured last, or heard of without that: of a viewer whom two replicas know, the newer
    figures count."""
    current_bps: float
    """0: unknown."""
    estimate_bps: float
    """0: unknown."""
    segments: float = 0.0
    downloads_count: float = 0.0
    size_bytes: float = 0.0
    transfer_s: float = 0.0
    latency_s: float = 0.0
    latencies_count: float = 0.0
    health_ratio: float = 0.0
    rate_bps: float = 0.0
    rate_squares: float = 0.0
    min_bps: float = math.inf
    max_bps: float = 0.0
    sums: tuple[float, ...] = (0.0,) * len(SUMS)
    """Of its Experience, in the order of SUMS."""

    def pack(self) -> bytes:
        """Write them for another replica."""
        *own, sums = self
        return _PACKED.pack(*own, *sums)


_OWN_COUNT = len(Figures._fields) - 1
_PACKED = struct.Struct(f"<{_OWN_COUNT + len(SUMS)}d")
PACKED_BYTES = _PACKED.size
_sums = attrgetter(*SUMS)


def unpack_figures(packed: bytes) -> Figures:
    """Read what another replica wrote. struct.error: it is not that."""
    values = _PACKED.unpack(packed)
    return Figures._make((*values[:_OWN_COUNT], values[_OWN_COUNT:]))


def figures_of(viewer: Viewer) -> Figures:
    """Sum up one viewer."""
    stream, rows = viewer.stream, tuple(viewer.history.rows())
    rates = [8 * size_bytes / transfer_s for _, size_bytes, transfer_s, *_ in rows]
    latencies = [row[4] for row in rows if row[4] > 0]
    return Figures(
        heard_s=viewer.sampled_s or viewer.heard_s,
        current_bps=0.0 if viewer.current == NOWHERE else stream.ladder[viewer.current].rate_bps,
        estimate_bps=harmonic_mean(rates[-RECENT:]) if rates else viewer.stated_bps,
        segments=sum(stream.segments(row[3]) for row in rows),
        downloads_count=len(rows),
        size_bytes=sum(row[1] for row in rows),
        transfer_s=sum(row[2] for row in rows),
        latency_s=sum(latencies),
        latencies_count=len(latencies),
        health_ratio=sum(row[5] for row in rows),
        rate_bps=sum(rates),
        rate_squares=sum(rate * rate for rate in rates),
        min_bps=min(rates, default=math.inf),
        max_bps=max(rates, default=0.0),
        sums=_sums(viewer.experience),
    )


@dataclass(slots=True)
class Mean:
    """A mean in the making; 0 of nothing."""

    total: float = 0.0
    count: float = 0.0

    def add(self, total: float, count: float) -> None:
        self.total += total
        self.count += count

    @property
    def value(self) -> float:
        return self.total / self.count if self.count else 0.0


@dataclass(slots=True)
class Tally:
    """Sums over viewers, added one by one: there may be thousands, and others wait."""

    viewers_count: int = 0
    current: Mean = field(default_factory=Mean)
    estimate: Mean = field(default_factory=Mean)
    transfer: Mean = field(default_factory=Mean)
    latency: Mean = field(default_factory=Mean)
    health: Mean = field(default_factory=Mean)
    rate: Mean = field(default_factory=Mean)
    square: Mean = field(default_factory=Mean)
    segments: float = 0.0
    min_bps: float = math.inf
    max_bps: float = 0.0
    size_bytes: float = 0.0
    experience: Experience = field(default_factory=Experience)

    def add(self, figures: Figures) -> None:
        """Count a viewer in."""
        count = figures.downloads_count
        self.viewers_count += 1
        self.current.add(figures.current_bps, figures.current_bps > 0)
        self.estimate.add(figures.estimate_bps, figures.estimate_bps > 0)
        self.latency.add(figures.latency_s, figures.latencies_count)
        self.transfer.add(figures.transfer_s, count)
        self.health.add(figures.health_ratio, count)
        self.rate.add(figures.rate_bps, count)
        self.square.add(figures.rate_squares, count)
        self.segments += figures.segments
        self.min_bps = min(self.min_bps, figures.min_bps)
        self.max_bps = max(self.max_bps, figures.max_bps)
        self.size_bytes += figures.size_bytes
        self.experience.add(figures.sums)

    def stats(self, stream: Stream) -> Stats:
        """Say what follows."""
        return Stats(
            current_bps=self.current.value,
            optimal_bps=stream.ladder[stream.carried(self.estimate.value)].rate_bps,
            segments_count=math.ceil(self.segments - ROUNDING),
            transfer_s=self.transfer.value,
            health_ratio=self.health.value,
            network=Network(
                estimated_bps=self.estimate.value,
                mean_bps=self.rate.value,
                min_bps=self.min_bps if self.rate.count else 0.0,
                max_bps=self.max_bps,
                deviation_bps=math.sqrt(max(self.square.value - self.rate.value**2, 0.0)),
                latency_s=self.latency.value,
                size_bytes=int(self.size_bytes),
            ),
            qoe=self.experience.qoe(),
            viewers_count=self.viewers_count,
        )


ROUNDING = 1e-3
"""Parts of a segment do not add up to one exactly."""
