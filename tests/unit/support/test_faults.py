from __future__ import annotations

from itertools import pairwise

from support.faults import APART_S, LENGTH_S, Hurt, kind_of, plan_schedule, render_schedule

NAMES = ("nats", "nats-2", "nats-3", "abr", "abr-2", "hls-gateway", "hls-gateway-2", "envoy")
SEEDS = range(200)


def test_a_schedule_is_made_of_its_seed_alone() -> None:
    assert plan_schedule(7, NAMES) == plan_schedule(7, NAMES)
    assert len({plan_schedule(seed, NAMES) for seed in SEEDS}) == len(SEEDS)


def test_every_process_is_hurt_in_every_way_by_some_seed() -> None:
    done = {(fault.name, fault.hurt) for seed in SEEDS for fault in plan_schedule(seed, NAMES)}
    assert done == {(name, hurt) for name in NAMES for hurt in Hurt}


def test_faults_come_in_order_within_bounds_and_never_to_two_of_a_kind_at_once() -> None:
    for seed in SEEDS:
        faults = plan_schedule(seed, NAMES)
        assert faults
        assert all(0 <= fault.at_s <= LENGTH_S for fault in faults)
        assert list(faults) == sorted(faults, key=lambda fault: fault.at_s)
        for kind in {kind_of(fault.name) for fault in faults}:
            alike = [fault for fault in faults if kind_of(fault.name) == kind]
            assert all(later.at_s >= one.at_s + one.for_s + APART_S for one, later in pairwise(alike))


def test_a_replica_is_of_the_kind_that_its_name_begins_with() -> None:
    assert [kind_of(name) for name in ("nats", "nats-3", "hls-gateway", "hls-gateway-2")] == [
        "nats",
        "nats",
        "hls-gateway",
        "hls-gateway",
    ]


def test_a_schedule_says_how_to_run_it_again() -> None:
    text = render_schedule(7, plan_schedule(7, NAMES))
    assert text.startswith("WEIR_FAULT_SEED=7:\n")
    assert text.count("\n") == len(plan_schedule(7, NAMES))
