"""Policies play made networks as the benchmark does, so that none gets worse unseen."""

from __future__ import annotations

import math
from itertools import product

import pytest
from bench.abr_sim.network import Network, Step, Trace
from bench.abr_sim.optimum import best_total
from bench.abr_sim.playback import Playback, Seen, Video
from bench.abr_sim.qoe import linear_qoe, log_qoe
from bench.abr_sim.synthetic import KINDS, make_traces

from abr.domain.policies import POLICIES

VIDEO = Video(segment_count=36)
TRACES = {kind: make_traces(kind, 4, seed=7) for kind in KINDS}


def score(policy: str, kind: str, seen: Seen = Seen.FRESH, video: Video = VIDEO) -> float:
    """Mean linear QoE per segment."""
    qoe = linear_qoe(video.rates_kbps)
    plays = [Playback(video, Network(trace), seen).run(POLICIES[policy]) for trace in TRACES[kind]]
    total = sum(qoe.total(played.rungs, played.stalls_s) for played in plays)
    return total / len(plays) / video.segment_count


WAS = {
    "default": {"markov": 0.752, "steps": 1.722, "outages": 1.653, "bursts": 1.764},
    "bba": {"markov": 0.724, "steps": 1.357, "outages": 1.503, "bursts": 1.511},
    "bola": {"markov": 0.574, "steps": 1.203, "outages": 1.139, "bursts": 1.153},
    "robust_mpc": {"markov": 0.566, "steps": 1.508, "outages": 0.775, "bursts": 1.262},
}
"""What each scored when it was last changed on purpose."""


@pytest.mark.parametrize("policy", WAS)
def test_no_policy_is_worse_than_it_was(policy: str) -> None:
    for kind, was in WAS[policy].items():
        assert score(policy, kind) >= was - 0.02, kind


def test_the_default_is_the_best_over_all() -> None:
    scores = {policy: sum(score(policy, kind) for kind in KINDS) for policy in WAS}
    assert max(scores, key=scores.__getitem__) == "default"


def test_the_default_is_the_best_over_all_with_the_short_buffer_of_a_live_player() -> None:
    live = Video(segment_s=2.0, buffer_s=6.0, segment_count=60)
    scores = {policy: sum(score(policy, kind, video=live) for kind in KINDS) for policy in WAS}
    assert max(scores, key=scores.__getitem__) == "default", scores


@pytest.mark.parametrize("kind", KINDS)
def test_reckoning_brings_back_what_an_old_view_of_the_buffer_costs(kind: str) -> None:
    assert score("default", kind, Seen.RECKONED) >= 0.91 * score("default", kind)


def test_an_old_view_costs_something() -> None:
    assert score("default", "markov", Seen.STALE) < score("default", "markov", Seen.RECKONED)


def test_the_optimum_is_what_trying_everything_finds() -> None:
    video = Video(segment_count=4)
    for trace in (TRACES["markov"][0], TRACES["bursts"][0]):
        for qoe in (linear_qoe(video.rates_kbps), log_qoe(video.rates_kbps)):
            tried = (play(video, trace, rungs) for rungs in product(range(6), repeat=3))
            best = max(qoe.total(rungs, stalls_s) for rungs, stalls_s in tried)
            assert best_total(video, Network(trace), qoe, bin_s=0.01) == pytest.approx(best)


def test_no_policy_beats_the_optimum() -> None:
    video, qoe = Video(segment_count=12), linear_qoe(VIDEO.rates_kbps)
    network = Network(TRACES["outages"][0])
    best = best_total(video, network, qoe)
    for policy in POLICIES.values():
        played = Playback(video, network).run(policy)
        assert qoe.total(played.rungs, played.stalls_s) <= best + 0.01


def play(video: Video, trace: Trace, rungs: tuple[int, ...]) -> tuple[tuple[int, ...], list[float]]:
    network, now_s, buffer_s, stalls_s = Network(trace), 0.0, 0.0, [0.0]
    for place, rung in enumerate((video.first_rung, *rungs)):
        fetched = video.fetch(network, rung, now_s, buffer_s)
        now_s, buffer_s = fetched.next_s, fetched.buffer_s
        if place:
            stalls_s.append(fetched.stall_s)
    return (video.first_rung, *rungs), stalls_s


def test_bits_arrive_when_the_trace_has_carried_them_and_it_repeats() -> None:
    steps = (
        Step(duration_s=1.0, bandwidth_bps=1e6, latency_s=0.5),
        Step(duration_s=1.0, bandwidth_bps=0.0, latency_s=0.5),
    )
    network = Network(Trace(name="on and off", steps=steps))
    assert network.arrival_s(0.0, 0.95 * 0.25e6) == pytest.approx(0.75)
    assert network.arrival_s(0.0, 0.95 * 1e6) == pytest.approx(2.5)


def test_a_full_buffer_makes_the_player_pause() -> None:
    trace = Trace(name="fast", steps=(Step(duration_s=9.0, bandwidth_bps=1e9, latency_s=0.0),))
    fetched = Video().fetch(Network(trace), 0, 0.0, 59.0)
    assert fetched.buffer_s == pytest.approx(60.0, abs=0.5)
    assert fetched.next_s == pytest.approx(3.0, abs=0.5)
    assert math.isclose(fetched.stall_s, 0.0)
