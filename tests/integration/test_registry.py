"""The registry on a real nats-server: streams are listed, shown and deleted, and their state is true."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import grpc
import nats
import pytest
from nats.js.errors import NotFoundError
from weir.distributor.v1 import distributor_pb2 as api
from weir.distributor.v1 import distributor_pb2_grpc
from weir.timeline.v1 import timeline_pb2 as pb

from chassis import errors
from chassis.grpc_client import peer_errors
from chassis.nats_connection import connect
from chassis.storage import open_store
from distributor.adapters.head_store import open_heads
from distributor.adapters.ledger_store import LedgerStore, open_ledger_journal
from distributor.adapters.registry_store import open_registry
from distributor.adapters.tombstone_store import open_tombstones
from distributor.config import DistributorConfig
from distributor.convert import read_description
from distributor.domain.entries import LedgerId
from distributor.folds import Folds
from distributor.ports import Stored
from distributor.service import Timelines
from distributor.service_remains import Remains
from distributor.service_streams import Streams
from support.distributor import (
    Distributor,
    ended,
    open_request,
    open_writer,
    rendition,
    running_distributor,
    segment,
)
from support.nats import NatsServer


@pytest.fixture
async def distributor(nats_server: NatsServer) -> AsyncIterator[Distributor]:
    async with running_distributor(nats_server.url) as replica:
        yield replica


async def get(replica: Distributor, stream_id: str = "film") -> api.Stream:
    async with peer_errors():
        stream: api.Stream = await replica.streams.GetStream(api.GetStreamRequest(stream_id=stream_id))
    return stream


async def list_ids(replica: Distributor, **fields: Any) -> Sequence[str]:
    async with peer_errors():
        page = await replica.streams.ListStreams(api.ListStreamsRequest(**fields))
    return [stream.stream_id for stream in page.streams]


async def test_a_growing_stream_is_active_and_an_ended_one_ended(nats_server: NatsServer) -> None:
    async with running_distributor(nats_server.url) as one, running_distributor(nats_server.url) as two:
        writer = await open_writer(one.timeline)
        await writer.append(rendition(), segment(0), segment(1, size_bytes=1_000_000))
        for replica in (one, two):
            stream = await get(replica)
            assert (stream.status, stream.type, stream.container) == ("active", "vod", "cmaf")
            assert stream.duration_s == 8.0
            assert stream.HasField("started_at")
            assert not stream.HasField("ended_at")
        await writer.append(segment(2, duration_s=2.5), ended())
        for replica in (one, two):
            stream = await get(replica)
            assert stream.status == "ended"
            assert stream.duration_s == 10.5
            assert stream.HasField("ended_at")
        (variant,) = stream.variants
        assert (variant.variant_id, variant.media, variant.codecs) == ("Low", "video", "avc1.64001f")
        assert (variant.width_pixels, variant.height_pixels, variant.frame_rate) == (854, 480, 30.0)
        assert variant.peak_bps == 2_000_000
        assert variant.average_bps == round(2_000_000 * 8 / 10.5)
        assert variant.playlist_url == "/hls/film/variants/Low/playlist.m3u8"
        assert stream.playback_url == "/hls/film/master.m3u8"
        assert await list_ids(two, filter="status=ended") == ["film"]


async def test_an_end_that_the_registry_never_heard_of_is_noticed(nats_server: NatsServer) -> None:
    """A replica that dies between the ledger's end and the registry leaves it to whoever asks next."""
    async with running_distributor(nats_server.url) as replica:
        writer = await open_writer(replica.timeline)
        await writer.append(rendition(), segment(0))
        client = await nats.connect(nats_server.url)
        record = pb.Record(epoch=writer.epoch, entries=[ended()])
        subject = f"weir.timeline.film.{writer.incarnation}"
        await client.jetstream().publish(subject, record.SerializeToString())
        await client.close()
        assert (await get(replica)).status == "ended"
        assert await list_ids(replica, filter="status=ended") == ["film"]


async def test_of_two_who_create_one_stream_one_wins_and_one_takes_over(nats_server: NatsServer) -> None:
    async with running_distributor(nats_server.url) as one, running_distributor(nats_server.url) as two:
        openings = await asyncio.gather(
            *(replica.timeline.Open(open_request()) for replica in (one, two) * 4), return_exceptions=True
        )
        answers = [answer for answer in openings if isinstance(answer, pb.OpenResponse)]
        assert answers
        assert len({answer.stream.incarnation for answer in answers}) == 1
        assert len({answer.epoch for answer in answers}) == len(answers)  # no epoch is given twice


async def test_of_two_who_begin_a_life_at_once_the_epochs_never_meet(nats_server: NatsServer) -> None:
    async with running_distributor(nats_server.url) as one, running_distributor(nats_server.url) as two:
        await open_writer(one.timeline)
        openings = await asyncio.gather(
            *(replica.timeline.Open(open_request(new_incarnation=True)) for replica in (one, two) * 4),
            return_exceptions=True,
        )
        answers = [answer for answer in openings if isinstance(answer, pb.OpenResponse)]
        marks = [(answer.stream.incarnation, answer.epoch) for answer in answers]
        assert len(set(marks)) == len(marks) >= 1
        present = await get(two)
        assert present.incarnation in {incarnation for incarnation, _ in marks}


async def test_a_deleted_stream_is_gone_with_its_ledger(nats_server: NatsServer) -> None:
    async with running_distributor(nats_server.url) as one, running_distributor(nats_server.url) as two:
        writer = await open_writer(one.timeline)
        await writer.append(rendition(), segment(0))
        await two.streams.DeleteStream(api.DeleteStreamRequest(stream_id="film"))
        with pytest.raises(errors.NotFound, match="there is no stream 'film'"):
            await get(one)
        with pytest.raises(errors.NotFound):
            async with peer_errors():
                await writer.append(segment(1))
        with pytest.raises(errors.NotFound):
            async with peer_errors():
                await one.streams.DeleteStream(api.DeleteStreamRequest(stream_id="film"))
        assert await list_ids(one) == []
        assert await messages_count(nats_server, "weir.timeline.>") == 0


async def test_deleted_while_it_is_opened_a_stream_leaves_nothing(nats_server: NatsServer) -> None:
    """The worst moment: the registry has the stream already, the ledger is still empty."""
    config = DistributorConfig(nats_url=nats_server.url)
    async with connect(config, name="test") as client:
        heads = await open_heads(client, replicas=1)
        store = LedgerStore(await open_ledger_journal(client, heads, replicas=1, max_bytes=-1), now)
        registry, _ = await open_registry(client, replicas=1)
        folds = Folds(store, limit_count=10)
        remains = Remains(
            registry=registry,
            reader=store,
            heads=heads,
            folds=folds,
            objects=open_store("memory:"),
            tombstones=await open_tombstones(client, replicas=1),
            now=now,
        )
        streams = Streams(
            registry=registry,
            writer=store,
            reader=store,
            folds=folds,
            heads=heads,
            remains=remains,
            now=now,
        )
        timelines = Timelines(
            writer=Interrupted(store, streams),
            reader=store,
            registry=registry,
            folds=folds,
            streams=streams,
            now=now,
        )
        description = read_description(open_request().stream)
        with pytest.raises(errors.Conflict, match="opened or deleted"):
            await timelines.open(description, new_incarnation=False, owner="test")
        assert await messages_count(nats_server, "weir.timeline.>") == 0


class Interrupted(LedgerStore):
    """A real store, before whose first record somebody deletes the stream."""

    def __init__(self, store: LedgerStore, streams: Streams) -> None:
        self._store = store
        self._streams = streams

    async def append_opened(self, ledger_id: LedgerId, **fields: Any) -> Stored:
        await self._streams.delete(ledger_id.stream_id)
        return await self._store.append_opened(ledger_id, **fields)


def now() -> datetime:
    return datetime.now(UTC)


async def test_a_new_life_leaves_nothing_of_the_old_ledger(nats_server: NatsServer) -> None:
    async with running_distributor(nats_server.url) as replica:
        old = await open_writer(replica.timeline)
        await old.append(rendition(), segment(0))
        request = open_request(new_incarnation=True)
        request.stream.title = "Again"
        await replica.timeline.Open(request)
        assert await messages_count(nats_server, f"weir.timeline.film.{old.incarnation}") == 0
        assert await messages_count(nats_server, "weir.timeline.>") == 1
        assert (await get(replica)).title == "Again"


async def test_a_ledger_without_a_stream_is_swept_and_others_are_not(nats_server: NatsServer) -> None:
    client = await nats.connect(nats_server.url)
    async with running_distributor(nats_server.url, sweep_interval_s=1) as replica:
        writer = await open_writer(replica.timeline)
        await writer.append(rendition(), segment(0))
        orphan = pb.Record(epoch=1, entries=[pb.Entry(opened=pb.Opened(owner="died"))]).SerializeToString()
        await client.jetstream().publish("weir.timeline.nobody.0badcafe", orphan)
        await client.jetstream().publish("weir.timeline.film.0badcafe", orphan)
        async with asyncio.timeout(10):
            while await messages_count(nats_server, "weir.timeline.*.0badcafe"):  # noqa: ASYNC110 - elsewhere
                await asyncio.sleep(0.1)
        assert await messages_count(nats_server, "weir.timeline.film.*") == 2
    await client.close()


async def test_lists_are_paged_newest_first(distributor: Distributor) -> None:
    for number in range(7):
        await distributor.timeline.Open(
            open_request(f"s.{number}", recording_id="odd" if number % 2 else "even")
        )
    first = await distributor.streams.ListStreams(api.ListStreamsRequest(page_size=3))
    assert [stream.stream_id for stream in first.streams] == ["s.6", "s.5", "s.4"]
    await distributor.streams.DeleteStream(api.DeleteStreamRequest(stream_id="s.4"))
    second = await list_ids(distributor, page_size=3, page_token=first.next_page_token)
    assert second == ["s.3", "s.2", "s.1"]
    last = await distributor.streams.ListStreams(api.ListStreamsRequest(page_size=1000))
    assert last.next_page_token == ""
    assert len(last.streams) == 6
    assert await list_ids(distributor, filter="type=live") == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"page_size": 1001}, "page_size is 1001"),
        ({"page_size": -1}, "page_size is -1"),
        ({"page_token": "xyz!"}, "page_token is"),
        ({"filter": "title=x"}, "filter has 'title=x'"),
    ],
)
async def test_a_bad_list_request_is_told(
    distributor: Distributor, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(errors.InvalidArgument, match=message):
        await list_ids(distributor, **fields)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stream_id": "a/b"}, "stream_id"),
        ({"stream_id": "streams"}, "a word of the API"),
        ({"kind": 0}, "stream.kind is 0: it must be one of vod, live, event"),
        ({"container": 9}, "stream.container is 9"),
        ({"target_duration_s": 0}, "target_duration_s is 0: it must lie from 1 to 60"),
        ({"target_duration_s": 61}, "target_duration_s is 61"),
        ({"title": "x" * 201}, "stream.title"),
        ({"recording_id": "../x"}, "recording_id"),
    ],
)
async def test_a_stream_that_makes_no_sense_is_not_opened(
    distributor: Distributor, changes: dict[str, Any], message: str
) -> None:
    request = open_request()
    for name, value in changes.items():
        setattr(request.stream, name, value)
    with pytest.raises(errors.InvalidArgument, match=message):
        async with peer_errors():
            await distributor.timeline.Open(request)
    assert await list_ids(distributor) == []


async def test_a_life_of_another_kind_does_not_replace_a_stream(distributor: Distributor) -> None:
    await open_writer(distributor.timeline)
    with pytest.raises(errors.FailedPrecondition) as refused:
        async with peer_errors():
            await distributor.timeline.Open(open_request(new_incarnation=True, kind=pb.STREAM_KIND_LIVE))
    assert refused.value.reason == "STREAM_KIND"


async def test_health_is_unavailable_while_nats_is_away(nats_server: NatsServer) -> None:
    async with (
        running_distributor(nats_server.url) as replica,
        grpc.aio.insecure_channel(replica.address) as channel,  # one that does not try again by itself
    ):
        stub: Any = distributor_pb2_grpc.DistributionServiceStub(channel)
        healthy = await stub.GetHealth(api.GetHealthRequest())
        needs = dict(healthy.needs)
        assert (needs["nats"], needs["storage"]) == ("ok", "ok")
        assert healthy.status == "degraded"  # nobody decides here what viewers play
        assert needs["abr"] != "ok"
        nats_server.freeze()
        try:
            with pytest.raises(errors.Unavailable, match="nats"):
                async with peer_errors():
                    await stub.GetHealth(api.GetHealthRequest())
        finally:
            nats_server.thaw()
        await becomes_healthy(stub)


async def becomes_healthy(stub: Any) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                async with peer_errors():
                    await stub.GetHealth(api.GetHealthRequest())
                return
            except errors.Unavailable:
                await asyncio.sleep(0.1)


async def test_ledgers_keep_to_the_room_they_have(nats_server: NatsServer) -> None:
    async with running_distributor(nats_server.url, ledger_limit_bytes=100_000) as replica:
        writer = await open_writer(replica.timeline)
        await writer.append(rendition())
        with pytest.raises(errors.ResourceExhausted):
            async with peer_errors():
                for block in range(0, 1000, 100):
                    await writer.append(*(segment(msn) for msn in range(block, block + 100)))
        assert (await get(replica)).status == "active"


async def messages_count(server: NatsServer, pattern: str) -> int:
    client = await nats.connect(server.url)
    try:
        info = await client.jetstream().stream_info("WEIR_TIMELINE", subjects_filter=pattern)
        return sum((info.state.subjects or {}).values())
    except NotFoundError:
        return 0
    finally:
        await client.close()
