"""Two of each service, three NATS servers, two hundred viewers: all are stopped in turn, then killed in turn.

`make torture` runs it, and prints what viewers saw. What must not take long is held against what the same
viewers saw while nothing happened, because machines are shared and slow at times.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from support.follower import Follower
from support.ledger_watch import LedgerWatches
from support.nats_cluster import stream_leader
from support.replica_suite import ReplicaSuite, calling
from support.stack import running_stack
from support.viewers import Viewers, plan_viewers, watching
from support.viewers_house import House, make_film
from weir_cli.plan import Kind, count_replicas

pytestmark = [pytest.mark.torture, pytest.mark.timeout(900)]

VIEWERS_COUNT = 200
ON_S = 90.0  # how long a shared machine may take to go on
QUIET_S = 15.0
# A request for a part that does not come is answered 503 after three of these, as it should be (rfc8216bis
# 6.2.5.2): longer than a publisher takes to come back to a machine that is busy.
TARGET_S = 5
LEDGER = "WEIR_TIMELINE"
RETURN_S = 1.0  # a publisher that was sent away tries again after half a second
# DESIGN section 5: how long viewers of the edge may see nothing new, seconds.
ALLOWED_S = {"owner": 5.0, "gateway": 1.5, "graceful": 1.0, "unseen": 0.0}
SERVICES = ("distributor", "abr", "hls-gateway", "transcoder")
EVERYTHING = ("nats", "nats-2", "nats-3", *(name for kind in SERVICES for name in (kind, f"{kind}-2")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """A suite with its viewers: half of them watch a film, half of them a live stream, one its very edge."""

    suite: ReplicaSuite
    live: Any
    viewers: Viewers
    edge: Follower
    ledger: LedgerWatches

    @property
    def troubles(self) -> list[str]:
        """Every request of a viewer that was not answered well at once."""
        return [*self.viewers.failures, *self.viewers.retries, *self.edge.retries]

    def longest_stall_s(self, since: float) -> float:
        """How long a player stood still, of the time from `since` on."""
        stalls = self.viewers.stalls(since)
        return max(
            (stall.begin_time + stall.duration_s - max(stall.begin_time, since) for stall in stalls),
            default=0.0,
        )

    def settle(self) -> None:
        """Wait until nobody stands still for what was done before."""
        self.viewers.wait(lambda: not self._standing(), ON_S, "that everybody plays")

    def _standing(self) -> bool:
        now = time.monotonic()
        return any(viewer.clock.is_dry(now) for viewer in self.viewers.all)

    def ledger_leader(self) -> str:
        """Which NATS server leads the ledger now, as any of them knows."""
        for server in self.suite.stack.plan.of_kind(Kind.NATS):
            if leader := stream_leader(server.listens[1], LEDGER):
                return leader
        raise AssertionError("nobody leads the ledger")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """Let two hundred watch; the module begins when all of them play."""
    folder = tmp_path_factory.mktemp("replicas")
    film = make_film(folder / "film.mp4", 24, sound=False)
    with ExitStack() as running:
        stack = running.enter_context(running_stack(folder / "suite", replicas=count_replicas(2)))
        suite = ReplicaSuite(stack)
        House(stack).show("film", film, max_viewers=VIEWERS_COUNT)
        live = suite.create("live", record=True, target_duration=TARGET_S)
        ledger = running.enter_context(suite.watch_ledger("live"))
        running.enter_context(suite.publish(live))
        edge = running.enter_context(suite.follow(live, segments=3))
        plans = (
            *plan_viewers(stack.url, "film", VIEWERS_COUNT // 2),
            *plan_viewers(stack.url, "live", VIEWERS_COUNT // 2, joining=0),
        )
        viewers = running.enter_context(watching(plans))
        viewers.wait_playing(4, ON_S)
        yield Crowd(suite=suite, live=live, viewers=viewers, edge=edge, ledger=ledger)
        _tell(f"two hundred viewers: {viewers.tell()}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What this machine makes viewers wait while nothing happens, seconds."""

    pause_s: float
    """Without new parts at the edge."""
    stall_s: float
    """Of any player."""
    begin_s: float
    """From a publisher's start to the first part that can be seen."""


@pytest.fixture(scope="module")
def usual(crowd: Crowd) -> Usual:
    since = time.monotonic()
    stream = crowd.suite.create("fresh")
    with crowd.suite.publish(stream, faithful=False):
        while crowd.suite.status_of("/hls/fresh/master.m3u8") != 200:
            assert time.monotonic() < since + ON_S, "nothing begins"
            time.sleep(0.05)
    begin_s = time.monotonic() - since
    crowd.suite.do("fresh", "stop")
    since = time.monotonic()
    time.sleep(QUIET_S)
    usual = Usual(
        pause_s=crowd.edge.longest_pause_s(since), stall_s=crowd.longest_stall_s(since), begin_s=begin_s
    )
    _tell(
        f"nothing happens: {usual.pause_s:.1f} s without new parts at the edge, longest stall"
        f" {usual.stall_s:.1f} s; a new stream begins within {usual.begin_s:.1f} s"
    )
    return usual


@contextmanager
def told(crowd: Crowd, what: str, allowed_s: float, usual: Usual) -> Iterator[None]:
    """Print what a deed cost viewers, and hold it against what may be; the block lasts until all is well."""
    crowd.settle()
    since, before = time.monotonic(), len(crowd.troubles)
    yield
    pause_s, stall_s = crowd.edge.longest_pause_s(since), crowd.longest_stall_s(since)
    _tell(
        f"{what}: {pause_s:.1f} s without new parts at the edge (allowed {allowed_s:.1f} s, usual"
        f" {usual.pause_s:.1f} s), longest stall of {VIEWERS_COUNT} players {stall_s:.1f} s (usual"
        f" {usual.stall_s:.1f} s), {len(crowd.troubles) - before} requests tried again"
    )
    # What this machine makes viewers wait anyway may come twice: it was looked at but briefly.
    assert pause_s <= allowed_s + 2 * usual.pause_s
    assert stall_s <= allowed_s + 2 * max(usual.pause_s, usual.stall_s)
    assert crowd.viewers.failures == []


def _tell(text: str) -> None:
    sys.stdout.write(text + "\n")


def test_everything_is_restarted_in_turn_and_no_request_fails(crowd: Crowd, usual: Usual) -> None:
    stack, before = crowd.suite.stack, len(crowd.troubles)
    with calling(crowd.suite, "live") as calls:
        for name in EVERYTHING:
            since = time.monotonic()
            stack.hold(name)
            stack.release(name)
            _tell(
                f"{name} restarted: {crowd.edge.longest_pause_s(since):.1f} s without new parts at the edge"
            )
        crowd.edge.wait_segments(2, ON_S)
        crowd.viewers.wait_playing(2, ON_S)
    _tell(f"{calls.count} calls of the API, {len(calls.failures)} failed; usual pause {usual.pause_s:.1f} s")
    assert calls.failures == []
    assert crowd.troubles[before:] == []


def test_an_owner_that_is_stopped_hands_over(crowd: Crowd, usual: Usual) -> None:
    suite, (epoch, owner) = crowd.suite, crowd.suite.owner(crowd.live)
    allowed_s = max(ALLOWED_S["graceful"], usual.begin_s) + RETURN_S
    with told(crowd, f"owner {owner} SIGTERM", allowed_s, usual):
        suite.stack.hold(owner)
        suite.wait_owner(crowd.live, epoch, ON_S)
        crowd.edge.wait_segments(2, ON_S)
    suite.stack.release(owner)


def test_an_owner_that_is_killed_is_replaced(crowd: Crowd, usual: Usual) -> None:
    suite, (epoch, owner) = crowd.suite, crowd.suite.owner(crowd.live)
    allowed_s = max(ALLOWED_S["owner"], usual.begin_s + RETURN_S)
    with told(crowd, f"owner {owner} SIGKILL", allowed_s, usual):
        pid = suite.stack.kill(owner)
        suite.wait_owner(crowd.live, epoch, ON_S)
        crowd.edge.wait_segments(2, ON_S)
    suite.stack.wait_restarted(owner, pid)


@pytest.mark.parametrize("name", [f"{kind}{number}" for kind in SERVICES[:3] for number in ("", "-2")])
def test_death_of_a_replica_is_no_longer_than_allowed(crowd: Crowd, usual: Usual, name: str) -> None:
    allowed_s = ALLOWED_S["gateway" if name.startswith("hls") else "unseen"] + (
        1.0 if name.startswith("distributor") else 0.0
    )
    with told(crowd, f"{name} SIGKILL", allowed_s, usual):
        pid = crowd.suite.stack.kill(name)
        crowd.suite.stack.wait_restarted(name, pid)
        crowd.edge.wait_segments(2, ON_S)
        crowd.viewers.wait_playing(1, ON_S)


def test_no_viewer_notices_the_death_of_the_nats_leader(crowd: Crowd, usual: Usual) -> None:
    crowd.settle()
    before, breaks = len(crowd.troubles), crowd.edge.breaks
    leader = crowd.ledger_leader()
    pid = crowd.suite.stack.kill(leader)
    since = time.monotonic()
    crowd.suite.stack.wait_restarted(leader, pid)
    crowd.edge.wait_segments(3, ON_S)
    crowd.viewers.wait_playing(1, ON_S)
    _tell(
        f"NATS leader {leader} SIGKILL: {crowd.edge.longest_pause_s(since):.1f} s without new parts"
        f" (appends are held while NATS elects), longest stall of {VIEWERS_COUNT} players"
        f" {crowd.longest_stall_s(since):.1f} s, {len(crowd.troubles) - before} requests tried again"
    )
    assert crowd.troubles[before:] == []
    assert (crowd.edge.breaks, crowd.edge.gaps_count) == (breaks, 0)
    assert crowd.longest_stall_s(since) <= 2 * max(usual.pause_s, usual.stall_s)


@pytest.mark.parametrize("kind", [Kind.NATS, Kind.TRANSCODER])
def test_nobody_notices_the_death_of_a_bystander(crowd: Crowd, usual: Usual, kind: Kind) -> None:
    """A NATS server that does not lead the ledger, a transcoder that does not own the stream."""
    crowd.settle()
    busy = crowd.ledger_leader() if kind is Kind.NATS else crowd.suite.owner(crowd.live)[1]
    name = next(one.name for one in crowd.suite.stack.plan.of_kind(kind) if one.name != busy)
    with told(crowd, f"{name} SIGKILL, a bystander", ALLOWED_S["unseen"], usual):
        pid = crowd.suite.stack.kill(name)
        crowd.suite.stack.wait_restarted(name, pid)
        crowd.edge.wait_segments(2, ON_S)
    if kind is Kind.NATS:
        _tell(f"{busy} led the ledger before, {crowd.ledger_leader()} does now")


def test_behind_the_death_of_the_only_door_everybody_plays_on(crowd: Crowd) -> None:
    since, before = time.monotonic(), len(crowd.troubles)
    pid = crowd.suite.stack.kill("envoy")
    crowd.suite.stack.wait_restarted("envoy", pid)
    crowd.edge.wait_segments(2, ON_S)
    crowd.viewers.wait_playing(1, ON_S)
    _tell(
        f"the only Envoy SIGKILL: {crowd.edge.longest_pause_s(since):.1f} s without new parts at the edge,"
        f" longest stall of {VIEWERS_COUNT} players {crowd.longest_stall_s(since):.1f} s,"
        f" {len(crowd.troubles) - before} requests tried again"
    )
    assert crowd.viewers.failures == []


def test_what_was_announced_is_served_by_every_gateway(crowd: Crowd) -> None:
    """Last of all: the stream ends, and its history is judged."""
    crowd.suite.do("live", "stop")
    crowd.edge.wait_ended(ON_S)
    crowd.ledger.wait_alike(ON_S, ended=True)
    count = crowd.suite.require_readable("live", crowd.ledger)
    epochs = {told.epoch for told in crowd.ledger.laws.segments.values()}
    _tell(f"{count} segments of {len(epochs)} owners, each the same by hash at every gateway")
