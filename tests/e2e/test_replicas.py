"""Two of each service and three NATS servers behind one door: replicas stop and die, and nobody notices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.nats_cluster import stream_leader
from support.replica_suite import ReplicaSuite, calling
from support.stack import Stack, running_stack
from support.transcoder import small_film
from support.viewers import plan_viewers, watching
from weir_cli.plan import Kind, count_replicas

ON_S = 60.0
VIEWERS_COUNT = 10
TARGET_S = 5  # NATS takes 4 to 9 s to choose a new leader; a held request is given up after three of these


@pytest.fixture(scope="module")
def replica_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A suite as `weir run --replicas 2` starts it."""
    with running_stack(tmp_path_factory.mktemp("replicas"), replicas=count_replicas(2)) as stack:
        yield stack


@pytest.fixture
def suite(replica_stack: Stack) -> ReplicaSuite:
    replica_stack.wait_healthy()
    return ReplicaSuite(replica_stack)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_film(tmp_path_factory.mktemp("film"), seconds=12.0)


def test_everything_is_kept_three_times(suite: ReplicaSuite) -> None:
    (server, *others) = suite.stack.plan.of_kind(Kind.NATS)
    assert len(others) == 2
    assert stream_leader(server.listens[1], "WEIR_TIMELINE")
    assert {process.environment["WEIR_NATS_REPLICAS"] for process in suite.stack.plan.of_kind(Kind.ABR)} == {
        "3"
    }


@pytest.mark.torture
def test_replicas_that_stop_or_die_cost_no_request_and_no_segment(suite: ReplicaSuite, film: Path) -> None:
    suite.bring("film", film)
    suite.start_job("film")
    assert suite.finish_job("film")["state"] == "SUCCEEDED"
    stream = suite.create("live", record=True, target_duration=TARGET_S)
    with (
        suite.watch_ledger("live") as ledger,
        suite.publish(stream),
        suite.follow(stream) as follower,
        watching(plan_viewers(suite.stack.url, "film", VIEWERS_COUNT)) as viewers,
        calling(suite, "live") as calls,
    ):
        for name in ("hls-gateway", "distributor"):
            suite.stack.hold(name)
            suite.stack.release(name)
        server = suite.stack.plan.of_kind(Kind.NATS)[0]
        leader = stream_leader(server.listens[1], "WEIR_TIMELINE")
        suite.stack.wait_restarted(leader, suite.stack.kill(leader))
        follower.wait_segments(2, ON_S)
        viewers.wait_playing(1, ON_S)
        suite.do("live", "stop")
        follower.wait_ended(ON_S)
        ledger.wait_alike(ON_S, ended=True)
    assert (calls.failures, viewers.failures, viewers.retries, follower.retries) == ([], [], [], [])
    assert (follower.breaks, follower.gaps_count) == (0, 0)
    assert suite.require_readable("live", ledger) > 0
