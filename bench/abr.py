"""How well the abr service's policies do on recorded and made networks, in percent of the best possible.

A player is simulated segment by segment, and what it plays is weighed by the linear and the logarithmic QoE
of the literature. The best possible is what dynamic programming finds that knows the whole trace. Recorded
traces are read from ../shared/traces when that is there; twenty of each set are played (`--all`: all of
them). That takes three minutes of CPU.

Judged by the linear QoE is whether the default does as well as each of its rivals on every set by itself,
made ones too; whether it keeps its score with an old view of the buffer; and how close it comes to the best
possible on 3G, fixed lines and mixed networks. Its settings were found on those recordings, so this is no
test of it: what it reaches on some that a search for settings did not see is what
`python -m bench.abr_sim.folds` prints.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

# This file has the name of the service's package and would hide it: look from the project's root instead.
sys.path.remove(str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.abr_sim.network import Network, Trace, read_traces
from bench.abr_sim.optimum import best_total
from bench.abr_sim.playback import Playback, Seen, Video
from bench.abr_sim.qoe import QOES
from bench.abr_sim.synthetic import KINDS, make_traces, mix_traces

from abr.domain.policies import POLICIES

TRACES = Path(__file__).parents[2] / "shared" / "traces"
JUDGED = 20
"""Traces of each set."""
MIXED = 60
"""Traces that go from one recorded network to another."""
RIVALS = ("bba", "bola", "robust_mpc")
KEPT_PERCENT = 91.0
"""What the default must keep of its own score when its view of the buffer is one segment old."""


class Bar(NamedTuple):
    """What the default should reach on some sets together."""

    name: str
    sets: tuple[str, ...]
    percent: float
    """Of the optimum, by the linear QoE, the buffer seen fresh."""


BARS = (
    Bar("3G", ("3g-train",), 83.0),
    Bar("fixed lines", ("hd", "sd"), 86.0),
    Bar("mixed", ("mixed",), 91.0),
)

Totals = dict[tuple[str, str, str], float]
"""QoE by measure, policy (or "optimum") and what was seen of the buffer."""


def main() -> int:
    """Print the tables; 1 if the default missed anything that is judged."""
    sets = {name: traces if "--all" in sys.argv else _some(traces) for name, traces in _sets().items()}
    sums: dict[str, Totals] = {}
    with ProcessPoolExecutor() as pool:
        for name, traces in sets.items():
            judged = list(pool.map(judge, traces))
            sums[name] = _add(filter(_is_playable, judged))
            if left_out := len(judged) - sum(map(_is_playable, judged)):
                print(f"{name}: {left_out} of {len(judged)} left out, where the optimum is below 0 as well")
    for measure in ("linear", "log"):
        for seen in Seen:
            print_table(sums, measure, seen)
    print_times(next(iter(sets.values())))
    return report(sums)


def judge(trace: Trace) -> Totals:
    """Let every policy play one trace, and find the best that was possible."""
    video, network = Video(), Network(trace)
    qoes = [make(video.rates_kbps) for make in QOES]
    totals = {(qoe.name, "optimum", Seen.FRESH.value): best_total(video, network, qoe) for qoe in qoes}
    for name, policy in POLICIES.items():
        for seen in Seen:
            played = Playback(video, network, seen).run(policy)
            for qoe in qoes:
                totals[qoe.name, name, seen.value] = qoe.total(played.rungs, played.stalls_s)
    return totals


def _is_playable(totals: Totals) -> bool:
    """Whether the optimum is worth anything: a percentage of less says nothing."""
    return totals["linear", "optimum", Seen.FRESH.value] > 0


def print_table(sums: Mapping[str, Totals], measure: str, seen: Seen) -> None:
    """Print policy x set."""
    print(f"\n{measure} QoE, percent of the optimum; buffer seen {seen.value}")
    print(f"{'':12}" + "".join(f"{name:>10}" for name in sums))
    for policy in POLICIES:
        print(f"{policy:12}" + "".join(f"{percent(of, measure, policy, seen):10.1f}" for of in sums.values()))


def print_times(traces: Sequence[Trace]) -> None:
    """Print how long one decision takes, in the middle of a video."""
    playback = Playback(Video(segment_count=20), Network(traces[0]))
    playback.run(POLICIES["bba"])
    view = playback.view()
    print("\none decision, median, microseconds")
    for name, policy in POLICIES.items():
        policy.choose(view)
        times = []
        for _ in range(300):
            start = time.perf_counter()
            policy.choose(view)
            times.append(1e6 * (time.perf_counter() - start))
        print(f"{name:12}{statistics.median(times):10.1f}")


def report(sums: Mapping[str, Totals]) -> int:
    """Print every verdict; 1 if one was missed."""
    print("\nthe default, linear QoE")
    kept = [is_as_good_as_rivals(name, of) for name, of in sums.items()]
    kept += [keeps_with_an_old_view(name, of) for name, of in sums.items()]
    kept += [reaches(bar, sums) for bar in BARS if set(bar.sets) <= set(sums)]
    return int(not all(kept))


def is_as_good_as_rivals(name: str, of: Totals) -> bool:
    """Hold the default against the best of the others on one set."""
    ours = percent(of, "linear", "default", Seen.FRESH)
    best, rival = max((percent(of, "linear", rival, Seen.FRESH), rival) for rival in RIVALS)
    return show(name, f"{ours:.2f} %, best rival {best:.2f} % ({rival})", ok=ours >= best)


def keeps_with_an_old_view(name: str, of: Totals) -> bool:
    """Hold the default against itself on one set."""
    fresh, old = (percent(of, "linear", "default", seen) for seen in (Seen.FRESH, Seen.RECKONED))
    kept = 100 * old / fresh
    return show(name, f"kept {kept:.2f} % with an old view, bar {KEPT_PERCENT:g} %", ok=kept >= KEPT_PERCENT)


def reaches(bar: Bar, sums: Mapping[str, Totals]) -> bool:
    """Hold the default against what it should reach."""
    ours = percent(_add(sums[name] for name in bar.sets), "linear", "default", Seen.FRESH)
    return show(bar.name, f"{ours:.2f} % of the optimum, bar {bar.percent:g} %", ok=ours >= bar.percent)


def show(name: str, figure: str, *, ok: bool) -> bool:
    """Print one verdict."""
    print(f"{name:12}{figure:50}{'ok' if ok else 'MISSED'}")
    return ok


def percent(of: Totals, measure: str, policy: str, seen: Seen) -> float:
    return 100 * of[measure, policy, seen.value] / of[measure, "optimum", Seen.FRESH.value]


def _sets() -> dict[str, list[Trace]]:
    """Find the recorded traces, and make others."""
    recorded = {path.stem.split("-", 1)[1]: read_traces(path) for path in sorted(TRACES.glob("*.jsonl"))}
    if not recorded:
        print(f"no recorded traces in {TRACES}: made ones only")
    mixed = {"mixed": mix_traces(recorded, MIXED)} if recorded else {}
    return recorded | mixed | {kind: make_traces(kind, 2 * JUDGED) for kind in KINDS}


def _some(traces: Sequence[Trace]) -> Sequence[Trace]:
    return traces[:: max(len(traces) // JUDGED, 1)][:JUDGED]


def _add(found: Iterable[Totals]) -> Totals:
    sums: Totals = defaultdict(float)
    for totals in found:
        for key, total in totals.items():
            sums[key] += total
    return sums


if __name__ == "__main__":
    sys.exit(main())
