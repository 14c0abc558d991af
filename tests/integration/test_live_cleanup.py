"""What has left every playlist leaves storage and the ledger, in time and not before, whoever dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import nats
import pytest
from weir.distributor.v1 import distributor_pb2 as api
from weir.timeline.v1 import timeline_pb2 as pb

from chassis.nats_connection import connect
from chassis.storage import open_store
from distributor.adapters.head_store import HeadStore, open_heads
from distributor.adapters.ledger_store import LedgerStore, open_ledger_journal
from distributor.adapters.registry_store import RegistryStore, open_registry
from distributor.config import DistributorConfig
from distributor.domain.entries import Entry, LedgerId, Segment, Trimmed
from distributor.service_cleanup import Cleanup
from support.distributor import Writer, ended, entries_of, msns_of, watch_until
from support.live_ledger import (
    PARTS_COUNT,
    RENDITIONS,
    SEGMENT_S,
    Camera,
    Clock,
    Replica,
    open_camera,
    running_replica,
)
from support.nats import NatsServer

WINDOW_S = 10.0
# When it left the playlist: its own duration, and that of the longest playlist.
STAY_S = SEGMENT_S + WINDOW_S + SEGMENT_S
ENOUGH_COUNT = 30  # segments until every bound is reached


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def objects(storage: Path) -> set[str]:
    return {key async for key in open_store(f"file://{storage}").list("streams/")}


async def segments(storage: Path) -> set[str]:
    return {key for key in await objects(storage) if "init" not in key and "." not in key.split("/")[-1][:-6]}


async def parts(storage: Path) -> set[str]:
    return {key for key in await objects(storage) if "init" not in key} - await segments(storage)


def leave_unfinished(storage: Path, key: str) -> Path:
    """Leave what a process leaves on a disk that is killed while it writes an object: no listing shows it."""
    path = storage / f"{key}#1"
    path.write_bytes(b"the first of it")
    return path


async def messages_count(server: NatsServer) -> int:
    client = await nats.connect(server.url)
    try:
        return (await client.jetstream().stream_info("WEIR_TIMELINE")).state.messages
    finally:
        await client.close()


async def read_all(replica: Replica, camera: Camera) -> Sequence[pb.Entry]:
    """What a reader is told who begins at the beginning."""
    request = pb.WatchRequest(stream_id=camera.writer.stream_id)
    return entries_of(await watch_until(replica.timeline, request, sequence=camera.writer.sequence))


def may_be_asked_for(camera: Camera) -> set[str]:
    """By the rule, from when segments were announced: a newer one's announcement pushes an older one out."""
    times = [time for time, _ in camera.made]
    wanted = set()
    for index, (_, key) in enumerate(camera.made):
        window_count = int(WINDOW_S / SEGMENT_S) * len(camera.renditions)
        pushed_out = times[index + window_count :][:1]
        if not pushed_out or camera.clock.time - pushed_out[0] < timedelta(seconds=STAY_S):
            wanted.add(key)
    return wanted


@pytest.mark.torture
async def test_disk_and_ledger_stay_bounded_and_nobody_misses_anything(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    async with (
        running_replica(nats_server.url, clock, tmp_path) as one,
        running_replica(nats_server.url, clock, tmp_path) as two,
    ):
        camera = await open_camera(one, clock, tmp_path)
        counts = []
        for number in range(3 * ENOUGH_COUNT):
            await camera.shoot()
            await (one, two)[number % 2].clean()
            missing = may_be_asked_for(camera) - await segments(tmp_path)
            assert missing == set()
            counts.append((len(await objects(tmp_path)), await messages_count(nats_server)))
        settled = counts[ENOUGH_COUNT:]
        assert max(settled) == max(counts)
        most_objects, most_messages = max(count for count, _ in settled), max(count for _, count in settled)
        stay_count = (WINDOW_S + STAY_S) / SEGMENT_S + 3
        assert most_objects <= len(RENDITIONS) * (stay_count + 12 * PARTS_COUNT + 1)
        assert most_messages <= stay_count + 12 * PARTS_COUNT
        assert len(await segments(tmp_path)) < 0.3 * len(camera.made)


async def test_readers_begin_at_the_head(nats_server: NatsServer, clock: Clock, tmp_path: Path) -> None:
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        camera = await open_camera(replica, clock, tmp_path)
        await camera.shoot(ENOUGH_COUNT)
        await replica.clean()
        told = await read_all(replica, camera)
        kinds = [entry.WhichOneof("kind") for entry in told]
        head_count = 2 * len(RENDITIONS)
        assert kinds[:head_count] == ["rendition", "trimmed"] * len(RENDITIONS)
        trimmed = {entry.trimmed.rendition_id: entry.trimmed for entry in told[1:head_count:2]}
        assert set(trimmed) == set(RENDITIONS)
        for rendition_id, gone in trimmed.items():
            msns = [entry.segment.msn for entry in told if entry.segment.rendition_id == rendition_id]
            assert msns == [*range(gone.first_msn, camera.msn)]
            assert gone.start_s == gone.first_msn * SEGMENT_S == gone.media_s
            assert gone.size_bytes == gone.first_msn * 4
        old_parts = [entry.part.msn for entry in told if entry.HasField("part")]
        assert min(old_parts) > camera.msn - 12
        snapshot = await replica.timeline.GetSnapshot(pb.GetSnapshotRequest(stream_id="cam"))
        assert [entry for record in snapshot.records for entry in record.entries] == list(told)
        behind = pb.WatchRequest(stream_id="cam", after_sequence=3)  # of a reader that was away for long
        late = entries_of(await watch_until(replica.timeline, behind, sequence=camera.writer.sequence))
        assert late == told


async def test_a_trimmed_ledger_grows_by_the_same_laws_elsewhere(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        camera = await open_camera(replica, clock, tmp_path)
        await camera.shoot(ENOUGH_COUNT)
        await replica.clean()
        stream = await replica.streams.GetStream(api.GetStreamRequest(stream_id="cam"))
    async with running_replica(nats_server.url, clock, tmp_path) as fresh:
        same = await fresh.streams.GetStream(api.GetStreamRequest(stream_id="cam"))
        assert (same.duration_s, same.variants) == (stream.duration_s, stream.variants)
        described = pb.Stream(
            stream_id="cam",
            kind=pb.STREAM_KIND_LIVE,
            container=pb.CONTAINER_CMAF,
            target_duration_s=int(SEGMENT_S),
        )
        opened = await fresh.timeline.Open(pb.OpenRequest(stream=described))
        assert opened.epoch == camera.writer.epoch + 1
        camera.writer = Writer(fresh.timeline, opened)
        camera.away(30)
        await camera.shoot(2)
        assert (
            msns_of(
                await watch_until(
                    fresh.timeline, pb.WatchRequest(stream_id="cam"), sequence=camera.writer.sequence
                )
            )[-1]
            == camera.msn - 1
        )


async def test_nothing_leaves_while_the_publisher_is_away(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        camera = await open_camera(replica, clock, tmp_path)
        await camera.shoot(10)
        clock.pass_s(3600)
        await replica.clean()
        window = {key for _, key in camera.made[-int(WINDOW_S / SEGMENT_S) * len(RENDITIONS) :]}
        assert await segments(tmp_path) == window


async def test_a_new_replica_goes_on_where_a_dead_one_left(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        camera = await open_camera(replica, clock, tmp_path)
        await camera.shoot(ENOUGH_COUNT)
        await replica.clean()
        await camera.shoot(ENOUGH_COUNT)  # and dies before it has cleaned again
    async with running_replica(nats_server.url, clock, tmp_path) as fresh:
        await fresh.clean()
        wanted = may_be_asked_for(camera)
        assert await segments(tmp_path) >= wanted
        assert len(await segments(tmp_path)) <= len(wanted) + len(RENDITIONS)
        held = {key.rsplit("/", 1)[1].split(".")[0] for key in await parts(tmp_path)}
        assert min(map(int, held)) > camera.msn - 12


async def test_a_recorded_stream_loses_parts_alone(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        camera = await open_camera(replica, clock, tmp_path, record=True)
        await camera.shoot(ENOUGH_COUNT)
        await replica.clean()
        assert await segments(tmp_path) == {key for _, key in camera.made}
        assert len(await parts(tmp_path)) <= 12 * PARTS_COUNT * len(RENDITIONS)
        assert await messages_count(nats_server) <= 2 + ENOUGH_COUNT + 12 * PARTS_COUNT
        told = await read_all(replica, camera)
        for rendition_id in RENDITIONS:
            msns = [entry.segment.msn for entry in told if entry.segment.rendition_id == rendition_id]
            assert msns == [*range(ENOUGH_COUNT)]
        assert not any(entry.HasField("trimmed") for entry in told)


async def test_what_ended_keeps_its_last_window(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        camera = await open_camera(replica, clock, tmp_path)
        await camera.shoot(ENOUGH_COUNT)
        await camera.writer.append(ended())
        clock.pass_s(3600)
        await replica.clean()
        window = {key for _, key in camera.made[-int(WINDOW_S / SEGMENT_S) * len(RENDITIONS) :]}
        assert await segments(tmp_path) == window
        assert await parts(tmp_path) == set()
        assert [entry.ended for entry in await read_all(replica, camera)][-1] == pb.Ended()


async def test_a_rendition_that_is_dropped_holds_nothing_back(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        camera = await open_camera(replica, clock, tmp_path)
        await camera.shoot(5)
        await camera.writer.append(ended("High"))
        camera.renditions = ["Low"]
        await camera.shoot(ENOUGH_COUNT)
        await replica.clean()
        assert not any("/High/" in key for key in await segments(tmp_path))
        kinds = [entry.WhichOneof("kind") for entry in await read_all(replica, camera)]
        assert kinds[:5] == ["rendition", "trimmed", "rendition", "trimmed", "ended"]


async def test_a_deleted_stream_leaves_storage_when_no_playlist_can_be_held(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        camera = await open_camera(replica, clock, tmp_path)
        other = await open_camera(replica, clock, tmp_path, "other")
        await camera.shoot(3)
        await other.shoot(3)
        kept = {key for key in await objects(tmp_path) if key.startswith("streams/other/")}
        before = await objects(tmp_path)
        leave_unfinished(tmp_path, camera.made[0][1])
        await replica.streams.DeleteStream(api.DeleteStreamRequest(stream_id="cam"))
        clock.pass_s(STAY_S)
        await replica.clean()
        assert await objects(tmp_path) == before
    clock.pass_s(SEGMENT_S)
    async with running_replica(nats_server.url, clock, tmp_path) as fresh:
        await fresh.clean()
        assert await objects(tmp_path) == kept
        assert not (tmp_path / "streams/cam").exists()


async def test_a_new_life_leaves_nothing_of_the_old_one(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        created = await replica.streams.CreateStream(
            api.CreateStreamRequest(
                stream_id="cam", dvr_window_s=WINDOW_S, target_duration=2, low_latency=False
            )
        )
        camera = await open_camera(replica, clock, tmp_path)
        await camera.shoot(3)
        await replica.streams.StopStream(api.StopStreamRequest(stream_id="cam"))
        await replica.streams.StartStream(api.StartStreamRequest(stream_id="cam"))
        again = await open_camera(replica, clock, tmp_path)
        await again.shoot(3)
        clock.pass_s(STAY_S + SEGMENT_S)
        await replica.clean()
        assert again.writer.incarnation != created.incarnation
        assert {key.split("/")[2] for key in await objects(tmp_path)} == {again.writer.incarnation}


@pytest.mark.torture
async def test_many_clean_up_at_once_while_the_stream_grows(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    async with (
        running_replica(nats_server.url, clock, tmp_path) as one,
        running_replica(nats_server.url, clock, tmp_path) as two,
        running_replica(nats_server.url, clock, tmp_path) as three,
    ):
        camera = await open_camera(one, clock, tmp_path)
        for _ in range(ENOUGH_COUNT):
            await asyncio.gather(camera.shoot(), *(replica.clean() for replica in (one, two, three)))
            assert may_be_asked_for(camera) <= await segments(tmp_path)
        await asyncio.gather(*(replica.clean() for replica in (one, two, three)))
        assert len(await segments(tmp_path)) <= len(may_be_asked_for(camera)) + 2 * len(RENDITIONS)
        told = await read_all(two, camera)
        low = [entry.segment.msn for entry in told if entry.segment.rendition_id == "Low"]
        assert low == [*range(low[0], camera.msn)]


async def test_a_reader_that_lags_is_never_told_a_story_with_a_hole(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    """It reads a batch at a time while the beginning leaves the ledger under it."""
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        camera = await open_camera(replica, clock, tmp_path)
        await camera.shoot(ENOUGH_COUNT)
        next_msn, trims_count = 0, 0
        async with open_stores(nats_server.url, clock) as (store, _, _):
            newest = camera.writer.sequence
            batches = store.read(camera.writer.ledger_id, after_sequence=0, up_to=newest, count=20)
            async for batch in batches:
                for entry in (entry for record in batch for entry in store.decode(record).entries):
                    match entry:
                        case Trimmed(rendition_id="Low"):
                            next_msn, trims_count = entry.first_msn, trims_count + 1
                        case Segment(rendition_id="Low"):
                            assert entry.msn == next_msn
                            next_msn += 1
                await replica.clean()
        assert (next_msn, trims_count) == (camera.msn, 1)


async def test_what_was_stored_and_never_announced_goes_as_well(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        camera = await open_camera(replica, clock, tmp_path)
        await camera.shoot(3)
        _, key = camera.made[-1]
        lost = key.replace("-a.", "-died.")
        await camera.store.put(lost, b"of an owner that died before it could announce this")
        unfinished = leave_unfinished(tmp_path, key)
        await camera.shoot(ENOUGH_COUNT)
        being_written = leave_unfinished(tmp_path, camera.made[-1][1])
        await replica.clean()
        assert lost in await objects(tmp_path)
    async with running_replica(nats_server.url, clock, tmp_path) as fresh:
        await fresh.clean()
        assert lost not in await objects(tmp_path)
        assert (unfinished.exists(), being_written.exists()) == (False, True)
        assert may_be_asked_for(camera) <= await segments(tmp_path)


async def test_a_head_whose_writer_died_is_finished(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    """It had stored the head and not yet purged: readers are told the head, and the next round purges."""
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        camera = await open_camera(replica, clock, tmp_path)
        await camera.shoot(ENOUGH_COUNT)
        async with open_stores(nats_server.url, clock) as (store, registry, heads):
            dying = Cleanup(
                registry=registry,
                writer=Dying(store),
                reader=store,
                heads=heads,
                remains=replica.room.remains,
                now=clock,
            )
            await dying.round()
        whole = await messages_count(nats_server)
        assert whole == 2 + ENOUGH_COUNT * (1 + PARTS_COUNT)
        told = await read_all(replica, camera)
        assert [entry.WhichOneof("kind") for entry in told[:2]] == ["rendition", "trimmed"]
    async with running_replica(nats_server.url, clock, tmp_path) as fresh:
        await fresh.clean()
        assert await messages_count(nats_server) < whole / 2
        assert await read_all(fresh, camera) == told


class Dying(LedgerStore):
    """A real store whose process dies when it is to purge."""

    def __init__(self, store: LedgerStore) -> None:
        self._store = store

    def encode(self, entries: Sequence[Entry], *, epoch: int = 0) -> bytes:
        return self._store.encode(entries, epoch=epoch)

    async def purge(self, ledger_id: LedgerId, *, up_to: int | None = None) -> None:
        raise ConnectionError("killed")


@asynccontextmanager
async def open_stores(
    nats_url: str, clock: Clock
) -> AsyncIterator[tuple[LedgerStore, RegistryStore, HeadStore]]:
    """The stores themselves, without a distributor around them."""
    async with connect(DistributorConfig(nats_url=nats_url), name="test") as client:
        heads = await open_heads(client, replicas=1)
        journal = await open_ledger_journal(client, heads, replicas=1, max_bytes=-1)
        registry, _ = await open_registry(client, replicas=1)
        yield LedgerStore(journal, clock), registry, heads


async def test_a_reader_resumes_behind_a_record_that_is_gone(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    """Its last record held nothing but parts; it is not sent back to the beginning."""
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        camera = await open_camera(replica, clock, tmp_path, record=True)
        await camera.shoot(ENOUGH_COUNT)
        await replica.clean()
        parts_only = 3 + (1 + PARTS_COUNT) * 4  # the first part of the fifth segment
        async with open_stores(nats_server.url, clock) as (store, _, _):
            stored = [
                record.sequence
                async for batch in store.read(
                    camera.writer.ledger_id, after_sequence=0, up_to=camera.writer.sequence
                )
                for record in batch
            ]
        assert parts_only not in stored
        behind = pb.WatchRequest(stream_id="cam", after_sequence=parts_only)
        told = entries_of(await watch_until(replica.timeline, behind, sequence=camera.writer.sequence))
        msns = [entry.segment.msn for entry in told if entry.segment.rendition_id == "Low"]
        assert msns == [*range(4, ENOUGH_COUNT)]
        assert not any(entry.HasField("rendition") for entry in told)


async def test_a_broken_ledger_holds_up_nobody_else(
    nats_server: NatsServer, clock: Clock, tmp_path: Path
) -> None:
    async with running_replica(nats_server.url, clock, tmp_path) as replica:
        broken = await open_camera(replica, clock, tmp_path, "broken")
        nonsense = pb.Record(epoch=1, entries=[pb.Entry(segment=pb.Segment(rendition_id="nobody"))])
        client = await nats.connect(nats_server.url)
        subject = f"weir.timeline.broken.{broken.writer.incarnation}"
        await client.jetstream().publish(subject, nonsense.SerializeToString())
        await client.close()
        camera = await open_camera(replica, clock, tmp_path)
        await camera.shoot(ENOUGH_COUNT)
        await replica.clean()
        assert len(await segments(tmp_path)) <= len(may_be_asked_for(camera)) + 2 * len(RENDITIONS)
