"""Abr processes around one NATS: what one knows outlives it, and what one decides all tell."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import nats
import pytest
from weir.abr.v1 import abr_pb2 as pb
from weir.abr.v1 import abr_pb2_grpc as pb_grpc

from chassis import layout
from chassis.errors import NotFound
from chassis.grpc_client import open_channel, peer_errors
from support.abr import StreamsPeer, batches, running_abr, running_streams_peer, sample, watching
from support.nats import NatsServer
from support.ports import free_base

ANN = pb.GetStatsRequest(recording_id="film", viewer_id="ann")
ASK_ANN = pb.SelectQualityRequest(recording_id="film", viewer_id="ann")
VIEWERS_COUNT = 20


@pytest.fixture
async def peer() -> AsyncIterator[StreamsPeer]:
    async with running_streams_peer() as peer:
        yield peer


async def until(ask: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool]) -> Any:
    """Ask again until the answer holds what is wanted; answers that."""
    async with asyncio.timeout(20):
        while True:
            if holds(answer := await ask()):
                return answer
            await asyncio.sleep(0.02)


async def saved(nats_server: NatsServer, viewer_id: str = "ann") -> int:
    """The revision under which a viewer was saved last; 0: it never was."""
    async with await nats.connect(nats_server.url) as client:
        try:
            bucket = await client.jetstream().key_value(layout.ABR_VIEWERS_BUCKET)
            return (await bucket.get(layout.abr_viewer_key("film", viewer_id))).revision or 0
        except (nats.js.errors.NotFoundError, nats.errors.Error):
            return 0


async def stored_count(nats_server: NatsServer) -> int:
    """How often any viewer was saved."""
    async with await nats.connect(nats_server.url) as client:
        info = await client.jetstream().stream_info(f"KV_{layout.ABR_VIEWERS_BUCKET}")
        return info.state.last_seq


@contextmanager
def process(peer: StreamsPeer, nats_url: str, **settings: str) -> Iterator[tuple[str, Any]]:
    """Run one abr as production does; yields its address and its process."""
    address = f"127.0.0.1:{free_base()}"
    environment = {
        "WEIR_GRPC_ADDRESS": address,
        "WEIR_NATS_URL": nats_url,
        "WEIR_DISTRIBUTOR_ADDRESS": peer.address,
        "WEIR_SNAPSHOT_INTERVAL_S": "0.2",
        **settings,
    }
    started = subprocess.Popen(
        [sys.executable, "-m", "abr"], env={**os.environ, **environment}, stdout=subprocess.DEVNULL
    )
    try:
        yield address, started
    finally:
        started.kill()
        started.wait()


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[Any]:
    async with open_channel(address) as channel:
        async with asyncio.timeout(20):
            await channel.channel_ready()
        yield pb_grpc.AbrServiceStub(channel)


async def watch_a_while(abr: Any, viewers: list[str]) -> None:
    """Let viewers load eight segments of Medium, with a network for more and 20 s of buffer."""
    samples = [sample(name, msn=msn) for msn in range(8) for name in viewers]
    assert (await abr.ReportSamples(batches(samples))).accepted_count == len(samples)


async def test_a_kill_leads_nobody_to_the_lowest_rung(peer: StreamsPeer, nats_server: NatsServer) -> None:
    viewers = [f"viewer-{number}" for number in range(VIEWERS_COUNT)]
    with process(peer, nats_server.url) as (address, first):
        async with calling(address) as abr:
            await watch_a_while(abr, viewers)
            before = {name: await abr.SelectQuality(ask(name)) for name in viewers}
            assert {answer.bitrate_level > 0 for answer in before.values()} == {True}
            await until(lambda: settled(nats_server), bool)
            stats = await abr.GetStats(stats_of(viewers[0]))
            first.kill()
    async with running_abr(peer.address, nats_server.url) as abr:
        after = {name: await abr.SelectQuality(ask(name)) for name in viewers}
        lower = [name for name in viewers if after[name].bitrate_level < before[name].bitrate_level]
        assert lower == []
        found = await abr.GetStats(stats_of(viewers[0]))
        assert found.recent_segments_count == stats.recent_segments_count == 8
        assert found.qoe == stats.qoe


def ask(viewer_id: str) -> pb.SelectQualityRequest:
    return pb.SelectQualityRequest(recording_id="film", viewer_id=viewer_id)


def stats_of(viewer_id: str) -> pb.GetStatsRequest:
    return pb.GetStatsRequest(recording_id="film", viewer_id=viewer_id)


async def test_who_comes_from_another_replica_is_known(peer: StreamsPeer, nats_server: NatsServer) -> None:
    async with (
        running_abr(peer.address, nats_server.url) as one,
        running_abr(peer.address, nats_server.url) as two,
    ):
        with pytest.raises(NotFound):
            async with peer_errors():
                await two.GetStats(ANN)
        await watch_a_while(one, ["ann"])
        await until(lambda: settled(nats_server), bool)
        assert (await two.GetStats(ANN)).recent_segments_count == 8
        await two.ReportSamples(batches([sample("bob"), sample("ann", msn=8)]))
        await until(lambda: two.GetStats(ANN), lambda stats: stats.recent_segments_count == 9)
        # What the other one heard since is asked for again, once what is known here is old.
        await until(lambda: one.GetStats(ANN), lambda stats: stats.recent_segments_count == 9)


async def test_viewers_of_all_replicas_are_counted_once(peer: StreamsPeer, nats_server: NatsServer) -> None:
    everybody = pb.GetStatsRequest(recording_id="film")
    async with running_abr(peer.address, nats_server.url) as one:
        await watch_a_while(one, ["ann", "bob"])
        await until(lambda: settled(nats_server), bool)
        async with running_abr(peer.address, nats_server.url) as two:
            await until(lambda: two.GetStats(everybody), lambda stats: stats.viewers_count == 2)
            await watch_a_while(two, ["cid", "dan", "eve"])
            first = await until(lambda: one.GetStats(everybody), lambda stats: stats.viewers_count == 5)
            second = await until(lambda: two.GetStats(everybody), lambda stats: stats.viewers_count == 5)
            assert first.recent_segments_count == second.recent_segments_count == 40
            assert first.qoe == second.qoe
            await two.ReportSamples(batches([sample("ann", msn=8)]))  # whom the other one knows, too
            await until(lambda: two.GetStats(everybody), lambda stats: stats.recent_segments_count == 41)
            assert (await one.GetStats(everybody)).viewers_count == 5
        # Who is gone is not waited for any longer, and its viewers are not counted.
        await until(lambda: one.GetStats(everybody), lambda stats: stats.viewers_count == 2)


async def test_every_replica_tells_what_any_decides(peer: StreamsPeer, nats_server: NatsServer) -> None:
    async with (
        running_abr(peer.address, nats_server.url) as one,
        running_abr(peer.address, nats_server.url) as two,
        watching(one) as here,
        watching(two) as there,
    ):
        for abr, name in ((one, "ann"), (two, "bob")):
            await abr.SelectQuality(
                pb.SelectQualityRequest(recording_id="film", viewer_id=name, bandwidth=2_500)
            )
        told = [await watcher.until(2) for watcher in (here, there)]
        assert [sorted(one.viewer_id for one in decisions) for decisions in told] == [["ann", "bob"]] * 2
        assert told[0][0].policy == "default"


async def test_a_viewer_is_saved_when_it_changed_and_not_more_often_than_is_set(
    peer: StreamsPeer, nats_server: NatsServer
) -> None:
    interval_s = 0.4
    revisions: set[int] = set()
    async with running_abr(peer.address, nats_server.url, snapshot_interval_s=interval_s) as abr:
        start = time.monotonic()
        while len(revisions) < 4:
            await abr.ReportSamples(batches([sample()]))
            if revision := await saved(nats_server):
                revisions.add(revision)
        assert time.monotonic() - start >= 3 * interval_s
        await until(lambda: settled(nats_server), bool)


async def test_who_is_measured_for_the_first_time_is_saved_soon_and_then_as_often_as_is_set(
    peer: StreamsPeer, nats_server: NatsServer
) -> None:
    with process(peer, nats_server.url, WEIR_SNAPSHOT_INTERVAL_S="600") as (address, first):
        async with calling(address) as abr:
            await watch_a_while(abr, ["ann"])
            revision = await until(lambda: saved(nats_server), bool)
            await abr.ReportSamples(batches([sample(msn=8), sample("bob")]))
            await until(lambda: saved(nats_server, "bob"), bool)
            assert await saved(nats_server) == revision
            first.kill()
    async with running_abr(peer.address, nats_server.url) as abr:
        # "Soon" may have come before all eight were told; the ninth came behind it.
        assert 0 < (await abr.GetStats(ANN)).recent_segments_count < 9
        assert (await abr.SelectQuality(ASK_ANN)).bitrate_level > 0


async def test_who_changes_what_it_plays_is_saved_soon(peer: StreamsPeer, nats_server: NatsServer) -> None:
    with process(peer, nats_server.url, WEIR_SNAPSHOT_INTERVAL_S="600") as (address, first):
        async with calling(address) as abr:
            await watch_a_while(abr, ["ann"])
            revision = await until(lambda: saved(nats_server), bool)
            await abr.ReportSamples(batches([sample(msn=8, variant_id="high")]))
            await until(lambda: saved(nats_server), lambda newest: newest > revision)
            first.kill()
    async with running_abr(peer.address, nats_server.url) as abr:
        assert (await abr.SelectQuality(ASK_ANN)).bitrate_label == "High"


async def test_who_was_just_saved_for_the_first_time_is_not_saved_at_once_again(
    peer: StreamsPeer, nats_server: NatsServer
) -> None:
    interval_s = 2.4  # half of it is over soon after the first second
    saved_times: dict[int, float] = {}
    async with running_abr(peer.address, nats_server.url, snapshot_interval_s=interval_s) as abr:
        while len(saved_times) < 2:
            await abr.ReportSamples(batches([sample()]))
            if revision := await saved(nats_server):
                saved_times.setdefault(revision, time.monotonic())
    first_s, second_s = saved_times.values()
    assert second_s - first_s > interval_s / 3


async def settled(nats_server: NatsServer) -> bool:
    """Something is saved, and nothing more was for a while, because nothing changes."""
    before = await stored_count(nats_server)
    await asyncio.sleep(0.8)
    return 0 < before == await stored_count(nats_server)


async def test_a_graceful_stop_saves_what_is_new(peer: StreamsPeer, nats_server: NatsServer) -> None:
    settings: dict[str, Any] = {"snapshot_interval_s": 600}
    async with running_abr(peer.address, nats_server.url, **settings) as abr:
        await watch_a_while(abr, ["ann"])
        revision = await until(lambda: saved(nats_server), bool)
        await abr.ReportSamples(batches([sample(msn=8)]))
        assert await saved(nats_server) == revision
    async with running_abr(peer.address, nats_server.url, **settings) as abr:
        assert (await abr.GetStats(ANN)).recent_segments_count == 9


async def test_nats_may_come_later_and_go_and_come_again(peer: StreamsPeer, nats_server: NatsServer) -> None:
    nats_server.stop()
    async with running_abr(peer.address, nats_server.url, nats_connect_timeout_s=0.5) as abr:
        await watch_a_while(abr, ["ann"])
        assert (await abr.GetStats(ANN)).recent_segments_count == 8
        nats_server.start()
        first = await until(lambda: saved(nats_server), lambda revision: revision > 0)
        nats_server.freeze()
        async with asyncio.timeout(20):
            for number in range(8):
                await abr.SelectQuality(
                    pb.SelectQualityRequest(recording_id="film", viewer_id=f"new-{number}", bandwidth=2_500)
                )
        nats_server.kill()
        await watch_a_while(abr, ["bob"])
        assert (await abr.SelectQuality(ASK_ANN)).bitrate_label
        nats_server.start()
        await until(lambda: saved(nats_server, "bob"), lambda revision: revision > first)
