"""Watch on real servers: past, mark, then present; whatever breaks, nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import nats
import pytest
from weir.distributor.v1 import distributor_pb2 as api
from weir.timeline.v1 import timeline_pb2 as pb
from weir.timeline.v1 import timeline_pb2_grpc

from chassis import errors
from chassis.grpc_client import open_channel, peer_errors
from chassis.grpc_server import serve
from chassis.nats_connection import connect
from distributor.adapters.feeds import Tails
from distributor.adapters.head_store import open_heads
from distributor.adapters.ledger_store import open_ledger_journal, stored_record
from distributor.bootstrap import SERVICES
from distributor.bootstrap_room import build
from distributor.config import DistributorConfig
from distributor.domain.entries import StoredRecord
from distributor.mailbox import Mailbox
from support.distributor import (
    Distributor,
    ended,
    msns_of,
    open_writer,
    rendition,
    running_distributor,
    segment,
    watch_until,
)
from support.nats import NatsServer
from support.proxy import running_proxy

FILM = pb.WatchRequest(stream_id="film")


@pytest.fixture
async def distributor(nats_server: NatsServer) -> AsyncIterator[Distributor]:
    async with running_distributor(nats_server.url) as replica:
        yield replica


class Watcher:
    """Reads a watch in the background, until it fails or the test is over."""

    def __init__(self, timeline: Any, request: pb.WatchRequest = FILM) -> None:
        self.events: list[pb.WatchResponse] = []
        self.failure: errors.WeirError | None = None
        self._changed = asyncio.Condition()
        self._task = asyncio.create_task(self._read(timeline, request))

    async def until(self, msns_count: int, *, timeout_s: float = 20.0) -> Sequence[int]:
        """Wait for so many segments; all that came."""
        await self._until(lambda: len(msns_of(self.events)) >= msns_count, timeout_s)
        return msns_of(self.events)

    async def until_caught_up(self) -> None:
        await self._until(lambda: any(event.HasField("caught_up") for event in self.events), 20.0)

    async def until_incarnation(self, incarnation: str) -> None:
        await self._until(lambda: any(event.stream.incarnation == incarnation for event in self.events), 20.0)

    async def until_failed(self) -> errors.WeirError:
        await self._until(lambda: self.failure is not None, 20.0)
        assert self.failure is not None
        return self.failure

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _until(self, holds: Any, timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(holds)

    async def _read(self, timeline: Any, request: pb.WatchRequest) -> None:
        try:
            async with peer_errors():
                async for event in timeline.Watch(request):
                    await self._note(event, None)
        except errors.WeirError as error:
            await self._note(None, error)

    async def _note(self, event: pb.WatchResponse | None, failure: errors.WeirError | None) -> None:
        async with self._changed:
            self.events += [event] if event else []
            self.failure = failure
            self._changed.notify_all()


def kinds_of(events: Sequence[pb.WatchResponse]) -> Sequence[str | None]:
    return [event.WhichOneof("event") for event in events]


async def test_a_watch_tells_past_mark_and_present_in_this_order(distributor: Distributor) -> None:
    writer = await open_writer(distributor.timeline)
    await writer.append(rendition(), segment(0))
    await writer.append(segment(1))
    watcher = Watcher(distributor.timeline)
    await watcher.until_caught_up()
    await writer.append(segment(2))
    await writer.append(segment(3), ended())
    assert await watcher.until(4) == [0, 1, 2, 3]
    assert kinds_of(watcher.events) == ["stream", "record", "caught_up", "record", "record"]
    assert watcher.events[0].stream.title == "A film"
    assert watcher.events[1].record.record.epoch == 1
    await watcher.stop()


async def test_a_watch_resumes_behind_a_sequence(distributor: Distributor) -> None:
    writer = await open_writer(distributor.timeline)
    await writer.append(rendition(), segment(0))
    seen = await writer.append(segment(1))
    last = await writer.append(segment(2))
    for incarnation in (writer.incarnation, ""):
        request = pb.WatchRequest(stream_id="film", incarnation=incarnation, after_sequence=seen)
        events = await watch_until(distributor.timeline, request, sequence=last)
        assert kinds_of(events) == ["stream", "record"]
        assert msns_of(events) == [2]


async def test_a_place_in_an_earlier_life_means_the_beginning_of_this_one(distributor: Distributor) -> None:
    old = await open_writer(distributor.timeline)
    seen = await old.append(rendition(), segment(0))
    new = await open_writer(distributor.timeline, new_incarnation=True)
    last = await new.append(rendition(), segment(0))
    request = pb.WatchRequest(stream_id="film", after_sequence=seen)
    events = await watch_until(distributor.timeline, request, sequence=last)
    assert events[0].stream.incarnation == new.incarnation
    assert msns_of(events) == [0]


async def test_a_new_incarnation_reaches_those_who_follow_the_stream(nats_server: NatsServer) -> None:
    async with running_distributor(nats_server.url) as one, running_distributor(nats_server.url) as two:
        old = await open_writer(one.timeline)
        await old.append(rendition(), segment(0), segment(1))
        follower = Watcher(one.timeline)
        bound = Watcher(one.timeline, pb.WatchRequest(stream_id="film", incarnation=old.incarnation))
        await follower.until(2)
        await bound.until(2)
        new = await open_writer(two.timeline, new_incarnation=True)
        await new.append(rendition("High"), segment(0, "High"))
        assert await follower.until(3) == [0, 1, 0]
        streams = [event.stream.incarnation for event in follower.events if event.HasField("stream")]
        assert streams == [old.incarnation, new.incarnation]
        assert isinstance(await bound.until_failed(), errors.NotFound)
        await follower.stop()


async def test_deletion_ends_a_watch(nats_server: NatsServer) -> None:
    async with running_distributor(nats_server.url) as one, running_distributor(nats_server.url) as two:
        writer = await open_writer(one.timeline)
        await writer.append(rendition(), segment(0))
        watcher = Watcher(two.timeline)
        await watcher.until_caught_up()
        await one.streams.DeleteStream(api.DeleteStreamRequest(stream_id="film"))
        failure = await watcher.until_failed()
        assert isinstance(failure, errors.NotFound)
        assert failure.reason == "NO_STREAM"
        again = await open_writer(one.timeline)
        assert again.incarnation != writer.incarnation


async def test_nobody_watches_what_is_not_there(distributor: Distributor) -> None:
    assert isinstance(await Watcher(distributor.timeline).until_failed(), errors.NotFound)


async def test_a_killed_nats_server_loses_and_doubles_nothing(nats_server: NatsServer) -> None:
    """Appends go on while the server is dead; they wait, and are stored and told once it is back."""
    async with running_distributor(nats_server.url) as one, running_distributor(nats_server.url) as two:
        writer = await open_writer(one.timeline)
        await writer.append(rendition(), *(segment(msn) for msn in range(10)))
        watcher = Watcher(two.timeline)
        await watcher.until(10)
        nats_server.kill()
        during = asyncio.create_task(writer.append(segment(10), request_id="during"))
        await asyncio.sleep(0.5)
        nats_server.start()
        await during
        for msn in range(11, 20):
            await writer.append(segment(msn))
        assert await watcher.until(20) == list(range(20))
        fresh = await watch_until(two.timeline, FILM, sequence=writer.sequence)
        assert msns_of(fresh) == list(range(20))
        await watcher.stop()


async def test_what_was_appended_while_a_replica_was_cut_off_arrives(nats_server: NatsServer) -> None:
    """The last record is among them: no later one shows the gap."""
    port = int(nats_server.url.rsplit(":", 1)[1])
    async with (
        running_proxy("127.0.0.1", port) as proxy,
        running_distributor(nats_server.url) as writing,
        running_distributor(f"nats://127.0.0.1:{proxy.port}", reread_interval_s=3600) as watching,
    ):
        writer = await open_writer(writing.timeline)
        await writer.append(rendition(), segment(0))
        watcher = Watcher(watching.timeline)
        await watcher.until_caught_up()
        await proxy.cut()
        for msn in range(1, 6):
            await writer.append(segment(msn))
        await asyncio.sleep(0.3)
        assert msns_of(watcher.events) == [0]
        await proxy.mend()
        assert await watcher.until(6) == list(range(6))
        await watcher.stop()


async def test_news_that_never_came_is_read_when_the_next_shows_the_gap(nats_server: NatsServer) -> None:
    async with running_distributor(nats_server.url, reread_interval_s=3600) as replica:
        writer = await open_writer(replica.timeline)
        watcher = Watcher(replica.timeline)
        await watcher.until_caught_up()
        async with silence(nats_server):
            await writer.append(rendition(), segment(0))
            await writer.append(segment(1))
        await asyncio.sleep(0.3)
        assert msns_of(watcher.events) == []
        await writer.append(segment(2))
        assert await watcher.until(3) == [0, 1, 2]
        await watcher.stop()


async def test_news_that_never_came_is_read_within_the_interval(nats_server: NatsServer) -> None:
    async with running_distributor(nats_server.url, reread_interval_s=0.5) as replica:
        writer = await open_writer(replica.timeline)
        watcher = Watcher(replica.timeline)
        await watcher.until_caught_up()
        async with silence(nats_server):
            await writer.append(rendition(), segment(0))
            assert await watcher.until(1) == [0]
        await watcher.stop()


@pytest.mark.parametrize(
    "settings", [{"watch_queue_count": 5}, {"watch_queue_bytes": 50_000}], ids=["count", "bytes"]
)
async def test_a_slow_watcher_is_ended_and_may_resume(
    nats_server: NatsServer, settings: dict[str, int]
) -> None:
    async with (
        running_distributor(nats_server.url, **settings) as replica,
        # Without probes for more, HTTP/2 holds 64 KiB on the way.
        grpc.aio.insecure_channel(replica.address, options=[("grpc.http2.bdp_probe", 0)]) as narrow,
    ):
        writer = await open_writer(replica.timeline)
        await writer.append(rendition())
        quick = Watcher(replica.timeline)
        slow = timeline_pb2_grpc.TimelineServiceStub(narrow).Watch(FILM)
        beginning = [await anext(aiter(slow)) for _ in range(2)]
        assert kinds_of(beginning) == ["stream", "record"]
        await quick.until_caught_up()
        for block in range(30):  # each of about 20 kB
            await writer.append(*(segment(msn) for msn in range(block * 100, block * 100 + 100)))
            await quick.until((block + 1) * 100)
        received, failure = await drain(slow)
        assert failure.reason == "WATCHER_TOO_SLOW"
        assert msns_of(received)
        rest = await watch_until(
            replica.timeline,
            pb.WatchRequest(stream_id="film", after_sequence=received[-1].record.sequence),
            sequence=writer.sequence,
        )
        assert [*msns_of(received), *msns_of(rest)] == list(range(3000))
        await quick.stop()


async def test_a_slow_watcher_within_the_bounds_misses_nothing(distributor: Distributor) -> None:
    writer = await open_writer(distributor.timeline)
    await writer.append(rendition())
    slow = distributor.timeline.Watch(FILM)
    assert (await anext(aiter(slow))).HasField("stream")
    for block in range(30):
        await writer.append(*(segment(msn) for msn in range(block * 100, block * 100 + 100)))
    events = []
    async for event in slow:
        events.append(event)
        if event.record.sequence == writer.sequence:
            break
    assert msns_of(events) == list(range(3000))
    slow.cancel()


async def test_who_begins_to_watch_amid_appends_hears_each_once(distributor: Distributor) -> None:
    writer = await open_writer(distributor.timeline)
    await writer.append(rendition())
    watchers = []
    for msn in range(150):
        if msn % 5 == 0:
            watchers.append(Watcher(distributor.timeline))
        await writer.append(segment(msn))
    for watcher in watchers:
        assert await watcher.until(150) == list(range(150))
        await watcher.stop()


async def test_news_of_what_was_read_already_is_no_news(nats_server: NatsServer) -> None:
    config = DistributorConfig(nats_url=nats_server.url, storage_url="memory:")
    async with connect(config, name="test") as client:
        journal = await open_ledger_journal(
            client, await open_heads(client, replicas=1), replicas=1, max_bytes=-1
        )
        tails = Tails(client, journal, stored_record, reread_interval_s=3600)
        box: Mailbox[StoredRecord] = Mailbox(limit_count=1000, limit_bytes=10**9)
        async with tails.follow("weir.timeline.film.0", box):
            sequence = 0
            for number in range(100):
                ack, _ = await asyncio.gather(
                    journal.append(
                        "weir.timeline.film.0", b"x", expected_sequence=sequence, message_id=str(number)
                    ),
                    tails.catch_up(),
                )
                sequence = ack.sequence
            await tails.catch_up()
            await client.flush()
            sequences = [(await box.take()).sequence for _ in range(100)]
            assert sequences == sorted(set(sequences))
            box.put(StoredRecord(sequence=-1, wire=b""), 0)
            assert (await box.take()).sequence == -1  # nothing else was there


async def test_a_hundred_watchers_hear_the_same(distributor: Distributor) -> None:
    writer = await open_writer(distributor.timeline)
    await writer.append(rendition(), segment(0))
    watchers = [Watcher(distributor.timeline) for _ in range(100)]
    for watcher in watchers:
        await watcher.until_caught_up()
    for msn in range(1, 20):
        await writer.append(segment(msn))
    for watcher in watchers:
        assert await watcher.until(20) == list(range(20))
        await watcher.stop()


async def test_watchers_share_a_tail_and_the_last_one_ends_it(nats_server: NatsServer) -> None:
    config = DistributorConfig(nats_url=nats_server.url, storage_url="memory:")
    async with connect(config, name="test") as client, open_channel("127.0.0.1:1") as nobody:
        room = await build(config, client, nobody, nobody)
        async with (
            serve("127.0.0.1:0", room.register, services=SERVICES, grace_s=0) as (_, port),
            open_channel(f"127.0.0.1:{port}") as channel,
        ):
            timeline = timeline_pb2_grpc.TimelineServiceStub(channel)
            writer = await open_writer(timeline)
            await writer.append(rendition(), segment(0))
            watchers = [Watcher(timeline) for _ in range(20)]
            for watcher in watchers:
                await watcher.until_caught_up()
            assert (len(room.feeds.ledgers), len(room.feeds.registry)) == (1, 1)
            for watcher in watchers:
                await watcher.stop()
            async with asyncio.timeout(10):
                while len(room.feeds.ledgers) or len(room.feeds.registry):  # noqa: ASYNC110 - elsewhere
                    await asyncio.sleep(0.05)


async def test_five_hundred_records_are_replayed_as_a_few_at_once(distributor: Distributor) -> None:
    writer = await open_writer(distributor.timeline)
    renditions = ("VeryLow", "Low", "Medium", "High")
    await writer.append(*(rendition(name) for name in renditions))
    for msn in range(500):
        await writer.append(*(segment(msn, name) for name in renditions))
    start = time.monotonic()
    events = await watch_until(distributor.timeline, FILM, sequence=writer.sequence)
    assert time.monotonic() - start < 1.0
    assert sum(event.HasField("record") for event in events) <= 4
    assert len(msns_of(events)) == 2000


async def test_a_stopping_distributor_sends_its_watchers_to_another(nats_server: NatsServer) -> None:
    async with running_distributor(nats_server.url) as staying:
        writer = await open_writer(staying.timeline)
        await writer.append(rendition(), segment(0))
        async with running_distributor(nats_server.url, shutdown_grace_s=20.0) as stopping:
            channel = open_channel(stopping.address)
            watcher = Watcher(timeline_pb2_grpc.TimelineServiceStub(channel))
            await watcher.until_caught_up()
            start = time.monotonic()
        assert time.monotonic() - start < 5.0  # it did not wait for them until its grace was over
        failure = await watcher.until_failed()
        await channel.close()
        assert isinstance(failure, errors.Unavailable)
        sequence = watcher.events[-2].record.sequence
        last = await writer.append(segment(1))
        request = pb.WatchRequest(stream_id="film", after_sequence=sequence)
        assert msns_of(await watch_until(staying.timeline, request, sequence=last)) == [1]


class silence:  # noqa: N801 - reads as the context that it is
    """JetStream stores without telling: as if the news were lost on their way."""

    def __init__(self, server: NatsServer) -> None:
        self._server = server

    async def __aenter__(self) -> None:
        self._client = await nats.connect(self._server.url)
        self._js = self._client.jetstream()
        self._config = (await self._js.stream_info("WEIR_TIMELINE")).config
        await self._js.update_stream(self._config.evolve(republish=None))

    async def __aexit__(self, *_: object) -> None:
        await self._js.update_stream(self._config)
        await self._client.close()


async def drain(call: Any) -> tuple[Sequence[pb.WatchResponse], errors.WeirError]:
    """Read a call to its failure."""
    events = []
    try:
        async with peer_errors():
            async for event in call:
                events.append(event)  # noqa: PERF401 - it ends with an exception
    except errors.WeirError as error:
        return events, error
    raise AssertionError("the call ended without a failure")
