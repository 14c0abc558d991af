"""Live streams through the door: pushed by a real publisher, watched by a viewer who trusts nobody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.live_publisher import publishing_live
from support.live_suite import LiveSuite
from support.stack import Stack, running_stack
from weir_cli.plan import Kind

REPLICAS = {Kind.TRANSCODER: 2, Kind.GATEWAY: 2}


@pytest.fixture(scope="module")
def live_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A suite with two transcoders and two gateways."""
    with running_stack(tmp_path_factory.mktemp("live"), replicas=REPLICAS) as stack:
        yield stack


@pytest.fixture(scope="module")
def live(live_stack: Stack) -> LiveSuite:
    return LiveSuite(live_stack)


@pytest.mark.parametrize("via", ["rtmp", "srt", "http-flv", "http-mp4"])
def test_what_is_pushed_plays_until_it_is_stopped(live: LiveSuite, via: str) -> None:
    stream = live.create(f"by-{via}")
    assert stream["status"] == "created"
    with live.publish(stream, via=via, faithful=False) as publisher, live.follow(stream) as viewer:
        assert live.get(f"by-{via}")["status"] == "active"
        assert len(viewer.laws) == 2
        live.do(f"by-{via}", "stop")
        viewer.wait_ended(within_s=5)  # those who waited for a part were let go
        publisher.wait_gone()
    assert viewer.breaks == viewer.gaps_count == 0
    assert live.get(f"by-{via}")["status"] == "stopped"


def test_what_http_brings_plays_as_vod_once_it_is_stopped(live: LiveSuite) -> None:
    stream = live.create("by-http", record=True, dvr_window_s=6)
    with live.publish(stream, via="http", faithful=False), live.follow(stream, segments=6) as viewer:
        assert all(laws.last and laws.last.first_msn > 0 for laws in viewer.laws.values())  # the window slid
        live.do("by-http", "stop")
        viewer.wait(lambda: bool(viewer.ended), 5, "the end")
    with live.follow(stream, segments=6, within_s=10) as later:
        later.wait_ended(within_s=5)
    for laws in later.laws.values():
        assert [segment.msn for segment in laws.segments[:6]] == list(range(6))


def test_a_wrong_key_is_refused(live: LiveSuite, tmp_path: Path) -> None:
    stream = live.create("locked")
    key = stream["ingest"]["stream_key"]
    for url in (live.rtmp_url(stream), live.http_url(stream)):
        with publishing_live(url.replace(key, key[:-1]), tmp_path / "log") as publisher:
            publisher.wait_gone()
    assert live.get("locked")["status"] == "created"
    assert live.status_of("/hls/locked/master.m3u8") == 404


def test_of_two_publishers_the_first_stays(live: LiveSuite, tmp_path: Path) -> None:
    stream = live.create("twice")
    with live.publish(stream, to="transcoder", faithful=False) as first, live.follow(stream) as viewer:
        with publishing_live(live.rtmp_url(stream, to="transcoder-2"), tmp_path / "second") as second:
            second.wait_gone()
        viewer.wait_segments(2, within_s=15)
        assert first.is_running
    assert viewer.breaks == 0
    assert live.owner(stream) == (1, "transcoder")


def test_a_deleted_stream_is_gone(live: LiveSuite) -> None:
    stream = live.create("deleted")
    with live.publish(stream, faithful=False) as publisher:
        with live.follow(stream, segments=1):
            pass
        assert live.call("DELETE", "/hls/streams/deleted")[0] == 200
        deadline = time.monotonic() + 5
        while live.status_of("/hls/deleted/master.m3u8") == 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        publisher.wait_gone()
    assert live.status_of("/hls/deleted/master.m3u8") in {404, 410}
    assert live.call("GET", "/hls/streams/deleted")[0] == 404


@pytest.mark.torture
def test_a_killed_owner_is_replaced_once_its_publisher_is_back(live: LiveSuite) -> None:
    stream = live.create("owner-killed")
    with live.publish(stream), live.follow(stream) as viewer:
        epoch, owner = live.owner(stream)
        pid = live.stack.kill(owner)
        assert live.wait_owner(stream, epoch, within_s=10)[0] == epoch + 1
        viewer.wait_segments(3, within_s=20)
        live.stack.wait_restarted(owner, pid)
    assert viewer.breaks == 1
