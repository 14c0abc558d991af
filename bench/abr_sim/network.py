"""A recorded or made network: how long it takes to send some bits, begun at some moment."""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

PAYLOAD_RATIO = 0.95
"""Part of the bandwidth that carries media; the rest is headers (Pensieve's simulator)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Bandwidth for a while."""

    duration_s: float
    bandwidth_bps: float
    latency_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a network did; it does it again when it is through."""

    name: str
    steps: tuple[Step, ...]


class Network:
    """Answers when bits that are asked for at a moment have come, along one trace."""

    def __init__(self, trace: Trace) -> None:
        steps = [step for step in trace.steps if step.duration_s > 0]
        self._rates = [PAYLOAD_RATIO * step.bandwidth_bps for step in steps]
        self._latencies = [step.latency_s for step in steps]
        sent = [rate * step.duration_s for rate, step in zip(self._rates, steps, strict=True)]
        self._begins_s = [0.0, *accumulate(step.duration_s for step in steps)]
        self._sent_bits = [0.0, *accumulate(sent)]
        if self._sent_bits[-1] <= 0:
            raise ValueError(f"{trace.name}: nothing is ever sent on this trace")

    def arrival_s(self, start_s: float, size_bits: float) -> float:
        """Tell when the last of some bits has come that were asked for at `start_s`."""
        period_s = self._begins_s[-1]
        latency_s = self._latencies[bisect_right(self._begins_s, start_s % period_s) - 1]
        return self._moment_s(self._sent_until(start_s + latency_s) + size_bits)

    def _sent_until(self, moment_s: float) -> float:
        rounds, within_s = divmod(moment_s, self._begins_s[-1])
        at = bisect_right(self._begins_s, within_s) - 1
        sent_bits = self._sent_bits[at] + self._rates[at] * (within_s - self._begins_s[at])
        return rounds * self._sent_bits[-1] + sent_bits

    def _moment_s(self, sent_bits: float) -> float:
        rounds, within = divmod(sent_bits, self._sent_bits[-1])
        at = bisect_right(self._sent_bits, within) - 1
        rest_s = (within - self._sent_bits[at]) / self._rates[at] if self._rates[at] else 0.0
        return rounds * self._begins_s[-1] + self._begins_s[at] + rest_s


def read_traces(path: Path) -> list[Trace]:
    """Read traces, one JSON object per line: {"name": ..., "steps": [[seconds, kbit/s, latency_ms], ...]}."""
    return [_parse(line) for line in path.read_text().splitlines()]


def _parse(line: str) -> Trace:
    record = json.loads(line)
    steps = (
        Step(duration_s=duration_s, bandwidth_bps=1000 * rate_kbps, latency_s=latency_ms / 1000)
        for duration_s, rate_kbps, latency_ms in record["steps"]
    )
    return Trace(name=record["name"], steps=tuple(steps))
