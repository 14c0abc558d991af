"""Cloud storage that nobody reaches for half a minute: live viewers go on where they were, nothing is lost.

A relay stands before an S3 server. It refuses connections first, then lets them in and says nothing; those
stay dead when others get through again, as behind a router that has forgotten them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest

from support.ledger_watch import watching_ledgers
from support.live_suite import LiveSuite
from support.relay import Relay, running_relay
from support.stack import running_stack
from support.storage_servers import S3Server, running_storage

pytestmark = pytest.mark.torture

REFUSED_S, SILENT_S = 10.0, 20.0
AWAY_S = REFUSED_S + SILENT_S
ON_S = 60.0  # how long a shared machine may take to go on
SEGMENT_S = 2.0


@pytest.fixture
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_storage("s3", tmp_path_factory.mktemp("s3")) as server:
        assert isinstance(server, S3Server)
        yield server


@pytest.fixture
def relay(storage: S3Server) -> Iterator[Relay]:
    with running_relay("127.0.0.1", storage.port) as relay:
        yield relay


@pytest.fixture
def live(storage: S3Server, relay: Relay, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSuite]:
    settings = {
        **storage.environment(relay.port),
        "WEIR_STORAGE_ALLOW_HTTP": "true",
        "WEIR_LIVE_HOLD_S": f"{AWAY_S + ON_S:g}",
    }
    with running_stack(tmp_path_factory.mktemp("live"), settings=settings, storage_url=storage.url) as stack:
        yield LiveSuite(stack)


def require_for(seconds: float, live: LiveSuite, *, readable: list[str], unread: str) -> None:
    """What only storage has is said to be away; what is in memory is there all the time."""
    deadline = time.monotonic() + seconds
    status, headers = live.ask(unread)
    assert (status, "retry-after" in headers) == (503, True)
    while time.monotonic() < deadline:
        assert {live.status_of(path) for path in readable} == {200}
        time.sleep(0.5)


def test_live_outlives_half_a_minute_without_storage(
    live: LiveSuite, storage: S3Server, relay: Relay
) -> None:
    stream, unseen = live.create("kept"), live.create("unseen")
    addresses = [live.stack.grpc_address("distributor")]
    with (
        live.publish(unseen),
        live.publish(stream, faithful=False),
        watching_ledgers("kept", addresses, storage.read) as watches,
        live.follow(stream, segments=5, within_s=2 * ON_S, away_s=AWAY_S + ON_S) as viewer,
    ):
        unread = live.first_segment(unseen)
        playlists = [f"/hls/kept/{name}" for name in viewer.laws]
        in_memory = [*playlists, *(live.segments(path)[0] for path in playlists)]
        since = time.monotonic()
        relay.cut()
        require_for(REFUSED_S, live, readable=in_memory, unread=unread)
        relay.hang()
        require_for(SILENT_S, live, readable=in_memory, unread=unread)
        relay.mend()
        viewer.wait_segments(int(AWAY_S / SEGMENT_S), 2 * ON_S)  # what was made meanwhile
        sys.stdout.write(
            f"S3 away for {AWAY_S:g} s: {viewer.longest_pause_s(since):.1f} s without new parts\n"
        )
        assert live.status_of(unread) == 200
        assert (viewer.breaks, viewer.gaps_count) == (0, 0)
        assert live.owner(stream)[0] == 1  # nobody had to take over
        live.do("kept", "stop")
        viewer.wait_ended(ON_S)
        watches.wait_alike(ON_S, ended=True)
    pid = live.stack.kill("hls-gateway")  # what is read now comes from storage
    live.stack.wait_restarted("hls-gateway", pid)
    live.stack.wait_healthy()  # to Envoy, too
    for path in playlists:
        segments = live.segments(path)
        assert len(segments) > AWAY_S / SEGMENT_S
        assert {live.status_of(found) for found in segments} == {200}
