"""How well the default does on networks that its settings were not found on: `python -m bench.abr_sim.folds`.

Each case is played with what a search found that did not see its fold (bench/abr_sim/search.py). Beside it
stand the default as it is, with settings found on all folds, and its rivals. `--every N` plays one case in N.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from random import Random

from bench.abr_sim.campaigns import Case, read_campaigns
from bench.abr_sim.network import Network
from bench.abr_sim.optimum import best_total
from bench.abr_sim.playback import Playback, Seen, Video
from bench.abr_sim.qoe import Qoe, linear_qoe
from bench.abr_sim.variants import read_found, with_settings

from abr.domain.policies import POLICIES
from abr.domain.view import Policy

EVERY = 12
"""Of so many cases one is played, unless told otherwise."""
RIVALS = ("bba", "bola", "robust_mpc")
LEFT_OUT = "fold left out"
DRAWS_COUNT = 400
"""Samples drawn with replacement from the traces, for the interval."""

Scores = Mapping[str, float]
"""Of one case: the linear QoE by player, and the optimum's."""


def main() -> int:
    """Print the table; 0."""
    every = int(sys.argv[sys.argv.index("--every") + 1]) if "--every" in sys.argv else EVERY
    without = [with_settings(settings) for settings in read_found()]
    print(f"linear QoE in percent of the optimum, one case in {every}; 95 % interval of what was left out")
    players = (LEFT_OUT, "default", *RIVALS)
    print(f"{'':12}" + "".join(f"{player:>15}" for player in players))
    for name, cases in read_campaigns().items():
        scores = [judge(case, without[case.fold]) for case in cases[::every]]
        low, high = interval(scores, LEFT_OUT)
        shares = "".join(f"{percent(scores, player):15.1f}" for player in players)
        print(f"{name:12}{shares}   {low:.1f} to {high:.1f}")
    return 0


def judge(case: Case, left_out: Policy) -> Scores:
    """Let everybody play one case."""
    video, network = Video(), Network(case.trace)
    qoe = linear_qoe(video.rates_kbps)
    policies = {LEFT_OUT: left_out} | {name: POLICIES[name] for name in ("default", *RIVALS)}
    played = {name: score(policy, video, network, qoe) for name, policy in policies.items()}
    return played | {"optimum": best_total(video, network, qoe)}


def score(policy: Policy, video: Video, network: Network, qoe: Qoe) -> float:
    """Play one case."""
    played = Playback(video, network, Seen.FRESH).run(policy)
    return qoe.total(played.rungs, played.stalls_s)


def percent(scores: Iterable[Scores], player: str) -> float:
    """What a player reached of all that was possible."""
    pairs = [(of[player], of["optimum"]) for of in scores]
    return 100 * sum(ours for ours, _ in pairs) / sum(best for _, best in pairs)


def interval(scores: Sequence[Scores], player: str) -> tuple[float, float]:
    """Tell within what the percentage would lie, of other traces of the same kind (bootstrap)."""
    random = Random(1)
    drawn = sorted(percent(random.choices(scores, k=len(scores)), player) for _ in range(DRAWS_COUNT))
    return drawn[DRAWS_COUNT // 40], drawn[-DRAWS_COUNT // 40]


if __name__ == "__main__":
    sys.exit(main())
