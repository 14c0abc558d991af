"""Traces in folds: the recorded ones, as they are, later, slower and faster, and made ones beside them.

All that comes from one recording is in one fold, so that what was found on some folds can be judged on the
others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.abr_sim.network import Step, Trace, read_traces
from bench.abr_sim.synthetic import KINDS, make_traces

TRACES = Path(__file__).parents[3] / "shared" / "traces"
FOLDS_COUNT = 5
MADE_COUNT = 30
STARTS_S = (6.0, 21.0)
"""How much later a player comes, in the sets that are played later."""
SPEEDS = (0.82, 1.22)
"""Another campaign, another cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A trace to play, and the fold that it belongs to."""

    fold: int
    trace: Trace


def read_campaigns() -> dict[str, list[Case]]:
    """Read the recorded sets and make the others; without recordings, the made ones only."""
    recorded = {path.stem.split("-", 1)[1]: read_traces(path) for path in sorted(TRACES.glob("*.jsonl"))}
    cases = {name: _in_folds(traces) for name, traces in recorded.items()}
    for name in tuple(cases):
        if name.startswith("3g"):
            cases["3g, later"] = [_later(case, start_s) for start_s in STARTS_S for case in cases[name]]
            cases["3g, scaled"] = [_scaled(case, ratio) for ratio in SPEEDS for case in cases[name]]
    return cases | {kind: _in_folds(make_traces(kind, MADE_COUNT)) for kind in KINDS}


def _in_folds(traces: Sequence[Trace]) -> list[Case]:
    return [Case(fold=number % FOLDS_COUNT, trace=trace) for number, trace in enumerate(traces)]


def _scaled(case: Case, ratio: float) -> Case:
    steps = tuple(replace(step, bandwidth_bps=ratio * step.bandwidth_bps) for step in case.trace.steps)
    return replace(case, trace=Trace(name=f"{case.trace.name} x {ratio}", steps=steps))


def _later(case: Case, start_s: float) -> Case:
    """Begin later; what was before comes at the end, because traces repeat."""
    steps = [*_cut(case.trace.steps, start_s, from_s=start_s), *_cut(case.trace.steps, start_s, from_s=0.0)]
    return replace(case, trace=Trace(name=f"{case.trace.name} + {start_s} s", steps=tuple(steps)))


def _cut(steps: Sequence[Step], at_s: float, *, from_s: float) -> Iterator[Step]:
    """Take the steps from `at_s` on, or with `from_s` 0 those before."""
    begin_s = 0.0
    for step in steps:
        before_s = min(max(at_s - begin_s, 0.0), step.duration_s)
        begin_s += step.duration_s
        duration_s = step.duration_s - before_s if from_s else before_s
        if duration_s > 0:
            yield replace(step, duration_s=duration_s)
