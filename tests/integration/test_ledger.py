"""The ledger on a real nats-server: append by compare-and-set, fenced by epoch, repeatable by request id."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import nats
import pytest
from weir.timeline.v1 import timeline_pb2 as pb

from chassis import errors, layout
from chassis.grpc_client import peer_errors
from distributor import folds as distributor_folds
from support.distributor import (
    Distributor,
    Writer,
    ended,
    open_request,
    open_writer,
    rendition,
    running_distributor,
    segment,
)
from support.nats import NatsServer
from support.proxy import running_proxy


@pytest.fixture
async def distributor(nats_server: NatsServer) -> AsyncIterator[Distributor]:
    async with running_distributor(nats_server.url) as replica:
        yield replica


async def test_open_append_snapshot_tell_the_same_story(distributor: Distributor) -> None:
    writer = await open_writer(distributor.timeline)
    assert writer.epoch == 1
    first = await writer.append(rendition(), segment(0), segment(1))
    second = await writer.append(segment(2))
    assert second > first > 0
    snapshot = await distributor.timeline.GetSnapshot(pb.GetSnapshotRequest(stream_id="film"))
    assert snapshot.stream.incarnation == writer.incarnation
    assert (snapshot.epoch, snapshot.sequence, snapshot.newest_sequence) == (1, second, second)
    assert len(snapshot.records) == 1  # merged
    kinds = [entry.WhichOneof("kind") for entry in snapshot.records[0].entries]
    assert kinds == ["opened", "rendition", "segment", "segment", "segment"]


async def test_what_the_distributor_does_not_know_is_kept(distributor: Distributor) -> None:
    writer = await open_writer(distributor.timeline)
    novel = segment(0)
    novel.segment.MergeFromString(b"\xfa\x3e\x05later")  # a field of a later version
    await writer.append(rendition(), novel)
    snapshot = await distributor.timeline.GetSnapshot(pb.GetSnapshotRequest(stream_id="film"))
    assert b"later" in snapshot.records[0].entries[-1].SerializeToString()


async def test_of_concurrent_appenders_one_wins_each_sequence(nats_server: NatsServer) -> None:
    """Twelve writers on two replicas race for 40 segments: each lands once and in order."""
    async with running_distributor(nats_server.url) as one, running_distributor(nats_server.url) as two:
        opened = await one.timeline.Open(open_request())
        first = Writer(one.timeline, opened)
        await first.append(rendition())
        won: list[int] = []

        async def race(timeline: Any) -> None:
            writer = Writer(timeline, opened)
            while (msn := len(segments_of(snapshot := await get_snapshot(timeline)))) < 40:
                with suppress(errors.Conflict):
                    async with peer_errors():
                        await writer.append(segment(msn), expected_sequence=snapshot.sequence)
                    won.append(msn)

        await asyncio.gather(*(race(replica.timeline) for replica in (one, two) * 6))
        assert sorted(won) == list(range(40))
        assert segments_of(await get_snapshot(two.timeline)) == list(range(40))


async def test_a_taken_over_stream_refuses_its_old_owner(nats_server: NatsServer) -> None:
    async with running_distributor(nats_server.url) as one, running_distributor(nats_server.url) as two:
        old = await open_writer(one.timeline)
        await old.append(rendition(), segment(0))
        new = await open_writer(two.timeline)
        assert (new.epoch, new.incarnation) == (2, old.incarnation)
        with pytest.raises(errors.FailedPrecondition) as refused:
            async with peer_errors():
                await old.append(segment(1))
        assert refused.value.reason == "STALE_EPOCH"
        with pytest.raises(errors.FailedPrecondition, match="epoch 2"):
            async with peer_errors():
                await old.append(segment(1), expected_sequence=new.sequence)
        await new.append(segment(1))


async def test_an_open_is_not_kept_out_by_the_appends_of_the_owner(nats_server: NatsServer) -> None:
    async with running_distributor(nats_server.url) as one, running_distributor(nats_server.url) as two:
        owner = await open_writer(one.timeline)
        await owner.append(rendition())

        async def append_until_refused() -> int:
            msn = 0
            with pytest.raises(errors.FailedPrecondition, match="taken over under epoch 2"):
                async with peer_errors():
                    for msn in itertools.count():
                        await owner.append(segment(msn))
            return msn

        appending = asyncio.create_task(append_until_refused())
        await asyncio.sleep(0.1)
        new = await open_writer(two.timeline)
        count = await appending
        assert new.epoch == 2
        await new.append(segment(count))


async def test_a_repeated_request_answers_as_the_first_did(nats_server: NatsServer) -> None:
    async with running_distributor(nats_server.url) as one, running_distributor(nats_server.url) as two:
        writer = await open_writer(one.timeline)
        request = writer.request(rendition(), segment(0), request_id="chunk-0")
        first = await one.timeline.Append(request)
        assert await one.timeline.Append(request) == first
        assert await two.timeline.Append(request) == first
        writer.sequence = first.sequence
        await writer.append(segment(1))
        assert await two.timeline.Append(request) == first
        with pytest.raises(errors.Conflict):
            async with peer_errors():
                await two.timeline.Append(writer.request(segment(1), expected_sequence=first.sequence))
        assert await count_segments(two, writer) == 2


async def test_a_repeated_request_is_known_after_jetstream_forgot_its_id(nats_server: NatsServer) -> None:
    """Of what stands behind one sequence there is only one: that tells, without any window of time."""
    async with running_distributor(nats_server.url) as replica:
        client = await nats.connect(nats_server.url)
        config = (await client.jetstream().stream_info("WEIR_TIMELINE")).config
        await client.jetstream().update_stream(config.evolve(duplicate_window=0.1))
        await client.close()
        writer = await open_writer(replica.timeline)
        request = writer.request(rendition(), request_id="again")
        first = await replica.timeline.Append(request)
        await asyncio.sleep(0.5)
        assert await replica.timeline.Append(request) == first


async def test_request_ids_of_different_ledgers_have_nothing_to_do_with_each_other(
    distributor: Distributor,
) -> None:
    for stream_id in ("a", "b"):
        writer = await open_writer(distributor.timeline, stream_id)
        await writer.append(rendition(), segment(0), request_id="chunk-0")
        assert await count_segments(distributor, writer) == 1


async def test_an_append_whose_answer_was_lost_is_stored_once(nats_server: NatsServer) -> None:
    """The distributor asks again by itself, and finds its own record: no request id is needed for that."""
    port = int(nats_server.url.rsplit(":", 1)[1])
    async with (
        running_proxy("127.0.0.1", port) as proxy,
        running_distributor(f"nats://127.0.0.1:{proxy.port}") as replica,
        running_distributor(nats_server.url) as other,
    ):
        writer = await open_writer(replica.timeline)
        await writer.append(rendition())
        proxy.mute()
        appending = asyncio.create_task(writer.append(segment(0)))
        async with asyncio.timeout(10):
            while await count_segments(other, writer) == 0:  # noqa: ASYNC110 - it is elsewhere
                await asyncio.sleep(0.02)
        await proxy.cut()
        await proxy.mend()
        await appending
        await writer.append(segment(1))
        assert await count_segments(other, writer) == 2


async def test_a_repeat_with_other_entries_changes_nothing(nats_server: NatsServer) -> None:
    async with running_distributor(nats_server.url) as one, running_distributor(nats_server.url) as two:
        writer = await open_writer(one.timeline)
        await writer.append(rendition())
        snapshot = await get_snapshot(two.timeline)  # two knows the ledger as of now
        first = await one.timeline.Append(writer.request(segment(0), request_id="x"))
        other = writer.request(segment(0), segment(1), request_id="x")
        assert other.expected_sequence == snapshot.sequence
        assert (await two.timeline.Append(other)).sequence == first.sequence
        writer.timeline, writer.sequence = two.timeline, first.sequence
        await writer.append(segment(1))
        assert await count_segments(one, writer) == 2


async def test_concurrent_repeats_are_stored_once(distributor: Distributor) -> None:
    writer = await open_writer(distributor.timeline)
    request = writer.request(rendition(), segment(0), request_id="same")
    answers = await asyncio.gather(*(distributor.timeline.Append(request) for _ in range(20)))
    assert len({answer.sequence for answer in answers}) == 1
    assert await count_segments(distributor, writer) == 1


async def test_the_law_breaker_is_told_and_nothing_is_stored(distributor: Distributor) -> None:
    writer = await open_writer(distributor.timeline)
    await writer.append(rendition(), segment(0))
    with pytest.raises(
        errors.InvalidArgument, match=r"entries\[1\].segment.msn is 3: it must be 2"
    ) as broken:
        async with peer_errors():
            await writer.append(segment(1), segment(3))
    assert broken.value.metadata["field"] == "entries[1].segment.msn"
    assert await count_segments(distributor, writer) == 1
    await writer.append(segment(1))


async def test_nothing_follows_the_end(distributor: Distributor) -> None:
    writer = await open_writer(distributor.timeline)
    request = writer.request(rendition(), segment(0), ended(), request_id="end")
    end = await distributor.timeline.Append(request)
    assert await distributor.timeline.Append(request) == end
    writer.sequence = end.sequence
    for attempt in (writer.append(segment(1)), open_writer(distributor.timeline)):
        with pytest.raises(errors.FailedPrecondition) as refused:
            async with peer_errors():
                await attempt
        assert refused.value.reason == "TIMELINE_ENDED"
    again = await open_writer(distributor.timeline, new_incarnation=True)
    assert (again.epoch, again.incarnation == writer.incarnation) == (1, False)


async def test_a_restarted_distributor_knows_what_its_predecessor_knew(nats_server: NatsServer) -> None:
    async with running_distributor(nats_server.url) as one:
        writer = await open_writer(one.timeline)
        await writer.append(rendition(), *(segment(msn) for msn in range(5)))
    async with running_distributor(nats_server.url) as two:
        writer.timeline = two.timeline
        with pytest.raises(errors.InvalidArgument, match="msn is 0: it must be 5"):
            async with peer_errors():
                await writer.append(segment(0))
        await writer.append(segment(5))
        assert await count_segments(two, writer) == 6


async def test_a_forgotten_fold_is_made_again(nats_server: NatsServer) -> None:
    """With room for one ledger, two that alternate are each folded anew: slower, and as right."""
    async with running_distributor(nats_server.url, fold_cache_count=1) as replica:
        writers = [await open_writer(replica.timeline, name) for name in ("a", "b")]
        for writer in writers:
            await writer.append(rendition())
        for msn in range(5):
            for writer in writers:
                await writer.append(segment(msn))
        for writer in writers:
            assert await count_segments(replica, writer) == 5


async def test_appends_at_any_replica_need_nothing_but_the_ledger(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What leads the registry or the heads may be away: a replica has heard what the other one appended."""
    monkeypatch.setattr(distributor_folds, "NEWS_S", 20.0)  # this machine may be busy
    async with running_distributor(nats_server.url) as one, running_distributor(nats_server.url) as other:
        writer = await open_writer(one.timeline)
        for replica in (other, one):
            writer.timeline = replica.timeline
            await writer.append(*([rendition()] if replica is other else []), segment(int(replica is one)))
        async with await nats.connect(nats_server.url) as client:
            for bucket in (layout.STREAMS_BUCKET, layout.HEADS_BUCKET):
                await client.jetstream().delete_stream(f"KV_{bucket}")
        for msn in range(2, 12):
            writer.timeline = (one, other)[msn % 2].timeline
            request = writer.request(segment(msn), request_id=f"{msn}")
            writer.sequence = (await writer.timeline.Append(request)).sequence
            again = (other, one)[msn % 2].timeline  # as a caller does whose answer was lost
            assert (await again.Append(request)).sequence == writer.sequence


async def test_a_long_ledger_is_read_in_several_answers(distributor: Distributor) -> None:
    writer = await open_writer(distributor.timeline)
    await writer.append(rendition())
    long_key = "k" * 500
    for block in range(0, 4_000, 500):
        segments = (segment(msn, object_key=long_key, init_key=long_key) for msn in range(block, block + 500))
        await writer.append(*segments)
    msns: list[int] = []
    sequence, answers_count = 0, 0
    while True:
        request = pb.GetSnapshotRequest(stream_id="film", after_sequence=sequence)
        snapshot = await distributor.timeline.GetSnapshot(request)
        msns += segments_of(snapshot)
        sequence, answers_count = snapshot.sequence, answers_count + 1
        if sequence == snapshot.newest_sequence:
            break
    assert msns == list(range(4_000))
    assert answers_count > 1


async def test_an_append_that_nats_could_not_carry_is_refused(distributor: Distributor) -> None:
    writer = await open_writer(distributor.timeline)
    await writer.append(rendition())
    iframes = [pb.IFrame(offset_bytes=i * 10, size_bytes=10, duration_s=0.01) for i in range(400)]
    with pytest.raises(errors.InvalidArgument, match="give at most"):
        async with peer_errors():
            await writer.append(*(segment(msn, iframes=iframes) for msn in range(300)))


async def test_unknown_streams_and_incarnations_are_not_found(distributor: Distributor) -> None:
    writer = await open_writer(distributor.timeline)
    calls = [
        distributor.timeline.Append(writer.request(rendition(), stream_id="nobody")),
        distributor.timeline.Append(writer.request(rendition(), incarnation="00000000")),
        distributor.timeline.GetSnapshot(pb.GetSnapshotRequest(stream_id="nobody")),
        distributor.timeline.GetSnapshot(pb.GetSnapshotRequest(stream_id="film", incarnation="00000000")),
    ]
    for call in calls:
        with pytest.raises(errors.NotFound):
            async with peer_errors():
                await call


async def get_snapshot(timeline: Any, stream_id: str = "film") -> pb.GetSnapshotResponse:
    snapshot: pb.GetSnapshotResponse = await timeline.GetSnapshot(pb.GetSnapshotRequest(stream_id=stream_id))
    return snapshot


def segments_of(snapshot: pb.GetSnapshotResponse) -> Sequence[int]:
    entries = (entry for record in snapshot.records for entry in record.entries)
    return [entry.segment.msn for entry in entries if entry.HasField("segment")]


async def count_segments(replica: Distributor, writer: Writer) -> int:
    return len(segments_of(await get_snapshot(replica.timeline, writer.stream_id)))
