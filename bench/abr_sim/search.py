"""Search for the default's settings: `python -m bench.abr_sim.search`.

A random walk from the settings that stand: one to three of them are changed, and kept if the traces that are
seen are played better. With `--without`, traces of one fold are not seen. The same arguments find the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from random import Random

from bench.abr_sim.campaigns import FOLDS_COUNT, read_campaigns
from bench.abr_sim.folds import score
from bench.abr_sim.network import Network
from bench.abr_sim.optimum import best_total
from bench.abr_sim.playback import Video
from bench.abr_sim.qoe import linear_qoe
from bench.abr_sim.variants import RANGES, Settings, setting, with_settings

LOST_AT_MOST = 60.0
"""What one case counts at most, as QoE lost: an outage of minutes says little of a policy."""
WEIGHTS: Mapping[str, float] = {"3g, later": 3.0, "3g, scaled": 3.0, "3g-train": 2.0, "hd": 2.5, "sd": 2.5}
"""How much a set counts; 1 where nothing is said."""

Seen = Mapping[str, list[tuple[Network, float]]]
"""Networks and their optimum, by set."""


def main() -> int:
    """Print each improvement, and at last the settings as JSON; 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without", type=int, choices=range(FOLDS_COUNT))
    parser.add_argument("--tries", type=int, default=300)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    found = search(look(given.without, given.every), given.tries, Random(given.seed))
    print(json.dumps(found))
    return 0


def look(without: int | None, every: int) -> Seen:
    """Work out the optimum of what may be seen."""
    video = Video()
    qoe = linear_qoe(video.rates_kbps)
    return {
        name: [
            (network, best_total(video, network, qoe))
            for network in (Network(case.trace) for case in cases[::every] if case.fold != without)
        ]
        for name, cases in read_campaigns().items()
    }


def search(seen: Seen, tries: int, random: Random) -> Settings:
    """Walk."""
    best: Settings = {}
    record = weigh(best, seen)
    for number in range(tries):
        settings = _change(best, random)
        if (found := weigh(settings, seen)) > record:
            best, record = settings, found
            print(f"{number}: {record:.2f}", file=sys.stderr)
    return best


def weigh(settings: Settings, seen: Seen) -> float:
    """Mean of the sets' percentages, by their weights."""
    video, policy = Video(), with_settings(settings)
    qoe = linear_qoe(video.rates_kbps)
    total = 0.0
    for name, networks in seen.items():
        ours = sum(max(score(policy, video, network, qoe), best - LOST_AT_MOST) for network, best in networks)
        total += WEIGHTS.get(name, 1.0) * 100 * ours / sum(best for _, best in networks)
    return total / sum(WEIGHTS.get(name, 1.0) for name in seen)


def _change(settings: Settings, random: Random) -> Settings:
    policy, changed = with_settings(settings), dict(settings)
    for name in random.sample(sorted(RANGES), random.randint(1, 3)):
        low, high = RANGES[name]
        value = setting(policy, name) + random.gauss(0, random.choice((0.04, 0.12)) * (high - low))
        changed[name] = min(max(value, low), high)
    return changed


if __name__ == "__main__":
    sys.exit(main())
