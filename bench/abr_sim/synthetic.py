"""Networks that nobody recorded: what real ones do at their worst, seeded so that each run sees the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from types import MappingProxyType

from bench.abr_sim.network import Step, Trace

LENGTH_S = 320
LATENCY_S = 0.06


def markov(random: Random) -> Iterator[float]:
    """Wander between levels, with noise about each: a viewer on the move (kbit/s, second by second)."""
    levels = [random.uniform(350, 1200) * ratio for ratio in (0.5, 1.0, 1.7, 2.8)]
    level, spread = random.randrange(4), random.uniform(0.1, 0.4)
    for _ in range(LENGTH_S):
        if random.random() < 0.07:
            level = min(max(level + random.choice((-1, 1)), 0), 3)
        yield levels[level] * math.exp(random.gauss(0, spread))


def steps(random: Random) -> Iterator[float]:
    """Stay steady, then change at once: a line that is shared, or a change of cell."""
    while True:
        level = math.exp(random.uniform(math.log(400), math.log(9000)))
        for _ in range(random.randrange(15, 70)):
            yield level * random.uniform(0.93, 1.07)


def outages(random: Random) -> Iterator[float]:
    """Carry enough, and now and then nearly nothing: tunnels."""
    level = random.uniform(1500, 5000)
    while True:
        for _ in range(random.randrange(20, 80)):
            yield level * math.exp(random.gauss(0, 0.2))
        for _ in range(random.randrange(4, 16)):
            yield random.uniform(20, 120)


def bursts(random: Random) -> Iterator[float]:
    """Alternate between fast and slow within seconds: a crowded WLAN."""
    fast, slow = random.uniform(3000, 9000), random.uniform(200, 900)
    while True:
        for level, longest in ((fast, 5), (slow, 7)):
            for _ in range(random.randrange(1, longest)):
                yield level * random.uniform(0.8, 1.2)


KINDS: Mapping[str, Callable[[Random], Iterator[float]]] = MappingProxyType(
    {kind.__name__: kind for kind in (markov, steps, outages, bursts)}
)


def make_traces(kind: str, count: int, seed: int = 1) -> list[Trace]:
    """Make some traces of one kind."""
    return [_trace(kind, number, Random(f"{kind} {seed} {number}")) for number in range(count)]


def _trace(kind: str, number: int, random: Random) -> Trace:
    rates_kbps = zip(range(LENGTH_S), KINDS[kind](random), strict=False)
    return Trace(
        name=f"{kind} {number}",
        steps=tuple(
            Step(duration_s=1.0, bandwidth_bps=1000 * rate, latency_s=LATENCY_S) for _, rate in rates_kbps
        ),
    )


def mix_traces(recorded: Mapping[str, Sequence[Trace]], count: int, seed: int = 1) -> list[Trace]:
    """Go from one recorded network to another within a trace, as from the WLAN at home to the train."""
    return [_mixed(recorded, number, Random(f"mixed {seed} {number}")) for number in range(count)]


def _mixed(recorded: Mapping[str, Sequence[Trace]], number: int, random: Random) -> Trace:
    steps: list[Step] = []
    length_s = 0.0
    while length_s < LENGTH_S:
        piece = _cut(random.choice(recorded[random.choice(sorted(recorded))]), random)
        length_s += sum(step.duration_s for step in piece)
        steps += piece
    return Trace(name=f"mixed {number}", steps=tuple(steps))


def _cut(trace: Trace, random: Random) -> Sequence[Step]:
    """Take a piece of 20 to 100 s, or what there is until the trace ends."""
    longest_s = random.uniform(20, 100)
    begin = end = random.randrange(len(trace.steps))
    while end < len(trace.steps) and longest_s > 0:
        longest_s -= trace.steps[end].duration_s
        end += 1
    return trace.steps[begin:end]
