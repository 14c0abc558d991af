"""Kill any one process of a live stream: no number goes back, nothing announced is missing, it goes on.

Each test hurts one suite and lets it recover; a viewer who trusts nobody looks on. `make torture` runs them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.follower import Follower
from support.live_publisher import plan_publisher, publishing_live
from support.live_suite import LiveSuite
from support.stack import Stack, running_stack
from support.transcoder import small_film
from weir_cli.plan import Kind

pytestmark = pytest.mark.torture

REPLICAS = {Kind.TRANSCODER: 2, Kind.GATEWAY: 2, Kind.DISTRIBUTOR: 2}
# From the kill until the next owner has opened the stream; heard in a log that is read 20 times a second.
TAKE_OVER_S = 5.5
ON_S = 30.0  # how long a shared machine may take to go on
STORAGE_AWAY_S = 12.0


@pytest.fixture(scope="module")
def live_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A suite with two of each service that live streams need, hurt by one test after the other."""
    with running_stack(tmp_path_factory.mktemp("live"), replicas=REPLICAS) as stack:
        yield stack


@pytest.fixture
def live(live_stack: Stack) -> LiveSuite:
    live_stack.wait_healthy()
    return LiveSuite(live_stack)


@contextmanager
def pause_told(viewer: Follower, what: str) -> Iterator[None]:
    """Print how long a viewer saw nothing new."""
    since = time.monotonic()
    yield
    sys.stdout.write(f"{what}: {viewer.longest_pause_s(since):.1f} s without new parts\n")


@pytest.mark.parametrize("away_s", [2, 30])
def test_a_publisher_that_drops_comes_back(live: LiveSuite, away_s: int) -> None:
    stream = live.create(f"dropped-{away_s}")
    with (
        live.publish(stream, faithful=False) as publisher,
        live.follow(stream) as viewer,
        pause_told(viewer, f"publisher away for {away_s} s"),
    ):
        publisher.drop()
        time.sleep(away_s)
        publisher.start()
        viewer.wait_segments(3, ON_S)
    assert viewer.breaks == 1


def test_a_publisher_that_drops_comes_back_to_another_transcoder(live: LiveSuite) -> None:
    stream = live.create("moved")
    with live.publish(stream, to="transcoder", faithful=False) as publisher, live.follow(stream) as viewer:
        publisher.drop()
        time.sleep(2)
        publisher.start(plan_publisher(live.rtmp_url(stream, to="transcoder-2")))
        assert live.wait_owner(stream, 1, ON_S) == (2, "transcoder-2")
        viewer.wait_segments(3, ON_S)
    assert viewer.breaks == 1


@pytest.mark.parametrize(
    ("via", "container", "count"),
    [("rtmp", "cmaf", 2), ("http", "cmaf", 1), ("srt", "cmaf", 1), ("rtmp", "ts", 1)],
)
def test_the_owner_is_killed_again_and_again(live: LiveSuite, via: str, container: str, count: int) -> None:
    stream = live.create(f"killed-{via}-{container}", container=container)
    with live.publish(stream, via=via), live.follow(stream) as viewer:
        for number in range(1, count + 1):
            epoch, owner = live.owner(stream)
            with pause_told(viewer, f"owner SIGKILL, {via} push, {container}"):
                pid = live.stack.kill(owner)
                live.wait_owner(stream, epoch, ON_S)
                viewer.wait_segments(2, ON_S)
            live.stack.wait_restarted(owner, pid)
            assert viewer.breaks >= number


def test_a_publisher_that_asks_for_it_takes_the_place_of_a_living_one(
    live: LiveSuite, tmp_path: Path
) -> None:
    stream = live.create("taken-over")
    with live.publish(stream, to="transcoder", faithful=False) as first, live.follow(stream) as viewer:
        other = live.rtmp_url(stream, to="transcoder-2")
        with publishing_live(other, tmp_path / "refused.log") as refused:
            refused.wait_gone()
        assert live.owner(stream) == (1, "transcoder")
        with (
            pause_told(viewer, "another publisher takes over"),
            publishing_live(f"{other}?take_over=1", tmp_path / "second.log") as second,
        ):
            assert live.wait_owner(stream, 1, ON_S) == (2, "transcoder-2")
            first.wait_gone()
            viewer.wait_segments(2, ON_S)
            assert second.is_running
    assert viewer.breaks == 1


def test_an_owner_that_was_frozen_is_refused_when_it_thaws(live: LiveSuite) -> None:
    stream = live.create("frozen")
    with live.publish(stream, to="transcoder", faithful=False) as publisher, live.follow(stream) as viewer:
        with pause_told(viewer, "owner SIGSTOP, publisher moves"):
            live.stack.freeze("transcoder")
            frozen_time = time.monotonic()
            publisher.drop()
            publisher.start(plan_publisher(live.rtmp_url(stream, to="transcoder-2")))
            assert live.wait_owner(stream, 1, ON_S) == (2, "transcoder-2")
            viewer.wait_segments(1, ON_S)
        time.sleep(max(0.0, frozen_time + 10 - time.monotonic()))
        live.stack.thaw("transcoder")
        viewer.wait(lambda: _gave_up(live, "transcoder", stream), ON_S, "the zombie's end")
        viewer.wait_segments(2, ON_S)
        assert live.owner(stream) == (2, "transcoder-2")
    assert viewer.breaks == 1


def _gave_up(live: LiveSuite, name: str, stream: Any) -> bool:
    lines = live.stack.log(name).splitlines()
    return any("live stream given up" in line and f'"{stream["stream_id"]}"' in line for line in lines)


def test_an_owner_that_is_stopped_hands_over_and_loses_nothing(live: LiveSuite) -> None:
    stream = live.create("handed-over")
    with live.publish(stream), live.follow(stream) as viewer:
        epoch, owner = live.owner(stream)
        with pause_told(viewer, "owner SIGTERM"):
            live.stack.hold(owner)
            assert live.wait_owner(stream, epoch, ON_S)[1] != owner
            viewer.wait_segments(2, ON_S)
        live.stack.release(owner)
    assert (viewer.breaks, viewer.gaps_count) == (1, 0)


@pytest.mark.parametrize("hurt", ["kill", "freeze"])
def test_a_stop_behind_the_owners_death_withdraws_nothing(live: LiveSuite, hurt: str) -> None:
    """The viewer holds every part that was announced against the segments of the last playlists."""
    stream = live.create(f"stopped-{hurt}")
    with live.publish(stream, faithful=False), live.follow(stream) as viewer:
        _, owner = live.owner(stream)
        getattr(live.stack, hurt)(owner)
        live.do(stream["stream_id"], "stop")
        viewer.wait_ended(ON_S)
        if hurt == "freeze":
            live.stack.thaw(owner)
    assert (viewer.breaks, viewer.gaps_count) == (0, 0)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_film(tmp_path_factory.mktemp("film"), seconds=20.0)


def test_a_puller_that_is_killed_is_replaced_within_five_seconds(live: LiveSuite, film: Path) -> None:
    stream = live.create_pulled("pulled", film)
    with live.follow(stream) as viewer:
        epoch, owner = live.owner(stream)
        with pause_told(viewer, "owner SIGKILL, pull"):
            pid = live.stack.kill(owner)
            assert live.wait_owner(stream, epoch, within_s=TAKE_OVER_S)[0] == epoch + 1
            viewer.wait_segments(2, ON_S)
        live.stack.wait_restarted(owner, pid)
    live.do("pulled", "stop")
    assert viewer.breaks >= 1


def test_a_puller_that_was_frozen_is_refused_when_it_thaws(live: LiveSuite, film: Path) -> None:
    stream = live.create_pulled("pull-frozen", film)
    with live.follow(stream) as viewer:
        epoch, owner = live.owner(stream)
        with pause_told(viewer, "owner SIGSTOP, pull"):
            live.stack.freeze(owner)
            frozen_time = time.monotonic()
            assert live.wait_owner(stream, epoch, ON_S)[1] != owner
            viewer.wait_segments(2, ON_S)
        time.sleep(max(0.0, frozen_time + 10 - time.monotonic()))
        live.stack.thaw(owner)
        viewer.wait(lambda: _gave_up(live, owner, stream), ON_S, "the zombie's end")
        viewer.wait_segments(2, ON_S)
    live.do("pull-frozen", "stop")


def test_a_puller_that_is_stopped_hands_over(live: LiveSuite, film: Path) -> None:
    stream = live.create_pulled("pull-handed", film)
    with live.follow(stream) as viewer:
        epoch, owner = live.owner(stream)
        with pause_told(viewer, "owner SIGTERM, pull"):
            live.stack.hold(owner)
            assert live.wait_owner(stream, epoch, ON_S)[1] != owner
            viewer.wait_segments(2, ON_S)
        live.stack.release(owner)
    live.do("pull-handed", "stop")
    assert viewer.gaps_count == 0


def test_a_gateway_is_killed(live: LiveSuite) -> None:
    stream = live.create("gateway-killed")
    with live.publish(stream), live.follow(stream) as viewer:
        for name in ("hls-gateway", "hls-gateway-2"):
            with pause_told(viewer, f"{name} SIGKILL"):
                pid = live.stack.kill(name)
                viewer.wait_segments(2, ON_S)
            live.stack.wait_restarted(name, pid)
            viewer.wait_segments(1, ON_S)
    assert viewer.breaks == 0


def test_a_distributor_is_killed(live: LiveSuite) -> None:
    stream = live.create("distributor-killed")
    with live.publish(stream), live.follow(stream) as viewer:
        for name in ("distributor", "distributor-2"):
            with pause_told(viewer, f"{name} SIGKILL"):
                pid = live.stack.kill(name)
                viewer.wait_segments(3, ON_S)
            live.stack.wait_restarted(name, pid)
    assert (viewer.breaks, viewer.gaps_count) == (0, 0)  # what was made meanwhile was held, not lost


def test_nats_is_killed(live: LiveSuite) -> None:
    stream = live.create("nats-killed")
    with live.publish(stream), live.follow(stream) as viewer:
        with pause_told(viewer, "the only NATS server SIGKILL"):
            pid = live.stack.kill("nats")
            viewer.wait_segments(3, ON_S)
        live.stack.wait_restarted("nats", pid)
    assert (viewer.breaks, viewer.gaps_count) == (0, 0)


def test_while_nats_is_away_viewers_read_from_memory_and_nothing_is_lost(live: LiveSuite) -> None:
    stream = live.create("nats-away")
    with live.publish(stream), live.follow(stream, segments=3) as viewer:
        playlists = [f"/hls/nats-away/{name}" for name in viewer.laws]
        with pause_told(viewer, "the only NATS server away for 8 s"):
            live.stack.hold("nats")
            deadline = time.monotonic() + 8
            while time.monotonic() < deadline:
                assert {live.status_of(path) for path in playlists} == {200}
                time.sleep(0.2)
            live.stack.release("nats")
            viewer.wait_segments(6, 2 * ON_S)
    assert (viewer.breaks, viewer.gaps_count) == (0, 0)


def test_while_storage_is_away_live_is_held_and_what_is_not_in_memory_is_told(live: LiveSuite) -> None:
    stream, unseen = live.create("storage-away"), live.create("storage-unseen")
    with (
        live.publish(unseen),
        live.publish(stream),
        live.follow(stream, segments=3) as viewer,
    ):
        segment = live.first_segment(unseen)
        playlists = [f"/hls/storage-away/{name}" for name in viewer.laws]
        with pause_told(viewer, f"object storage away for {STORAGE_AWAY_S:g} s"):
            with live.stack.without_storage():
                deadline = time.monotonic() + STORAGE_AWAY_S
                while time.monotonic() < deadline:
                    assert {live.status_of(path) for path in playlists} == {200}
                    status, headers = live.ask(segment)
                    assert (status, "retry-after" in headers) == (503, True)
                    time.sleep(0.5)
            viewer.wait_segments(6, 2 * ON_S)
        assert live.status_of(segment) == 200
    assert (viewer.breaks, viewer.gaps_count) == (0, 0)


def test_envoy_is_killed(live: LiveSuite) -> None:
    stream = live.create("door-killed")
    with (
        live.publish(stream),
        live.follow(stream) as viewer,
        pause_told(viewer, "the only Envoy SIGKILL"),
    ):
        pid = live.stack.kill("envoy")
        live.stack.wait_restarted("envoy", pid)
        viewer.wait_segments(3, ON_S)
    assert viewer.breaks == 1  # the publisher came through it too
