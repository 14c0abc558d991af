"""What is known of a viewer, or of all viewers of a recording, as figures."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from abr.domain.estimators import RECENT, harmonic_mean
from abr.domain.qoe import Experience, Qoe
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
    transfer_s: float
    health_ratio: float
    network: Network
    qoe: Qoe
    viewers_count: int


@dataclass(slots=True)
class Mean:
    """A mean in the making; 0 of nothing."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1

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
    min_bps: float = math.inf
    max_bps: float = 0.0
    size_bytes: float = 0.0
    experience: Experience = field(default_factory=Experience)

    def add(self, viewer: Viewer) -> None:
        """Count a viewer in."""
        self.viewers_count += 1
        self.experience.add(viewer.experience)
        if viewer.current != NOWHERE:
            self.current.add(viewer.stream.ladder[viewer.current].rate_bps)
        if (estimate_bps := forecast_bps(viewer)) > 0:
            self.estimate.add(estimate_bps)
        for _, size_bytes, transfer_s, _, latency_s, health_ratio, _ in viewer.history.rows():
            self._add_download(size_bytes, transfer_s, health_ratio)
            if latency_s > 0:
                self.latency.add(latency_s)

    def stats(self, stream: Stream) -> Stats:
        """Say what follows."""
        return Stats(
            current_bps=self.current.value,
            optimal_bps=stream.ladder[stream.carried(self.estimate.value)].rate_bps,
            segments_count=self.rate.count,
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

    def _add_download(self, size_bytes: float, transfer_s: float, health_ratio: float) -> None:
        rate_bps = 8 * size_bytes / transfer_s
        self.rate.add(rate_bps)
        self.square.add(rate_bps**2)
        self.min_bps = min(self.min_bps, rate_bps)
        self.max_bps = max(self.max_bps, rate_bps)
        self.size_bytes += size_bytes
        self.transfer.add(transfer_s)
        self.health.add(health_ratio)


def forecast_bps(viewer: Viewer) -> float:
    """Forecast a viewer's throughput; 0: nothing is known."""
    rates = [8 * size_bytes / transfer_s for _, size_bytes, transfer_s, *_ in viewer.history.rows()]
    return harmonic_mean(rates[-RECENT:]) if rates else viewer.stated_bps
