"""A stop withdraws nothing: the owner ends its stream whole, or another transcoder does for a dead one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from weir.distributor.v1 import distributor_pb2 as api
from weir.timeline.v1 import timeline_pb2 as pb

from chassis.errors import FailedPrecondition
from chassis.storage import open_store
from support.distributor import (
    LIVE_START,
    Distributor,
    Writer,
    live_segment,
    open_writer,
    rendition,
    running_distributor,
)
from support.live_node import PART_S, PARTS_PER_SEGMENT, create_live, running_node
from support.nats import NatsServer
from support.ports import free_base
from support.transcoder import Ledger, running_transcoder, until

RENDITIONS = ("VeryLow", "audio")


@dataclass(slots=True, kw_only=True)
class Left:
    """A stream whose owner died: one whole segment, and some parts of the next one."""

    writer: Writer
    objects: Path

    async def begin(self) -> None:
        """Announce a segment of 4 s in each rendition."""
        segments = [live_segment(0, rendition_id, gap=False) for rendition_id in RENDITIONS]
        await self.writer.append(*map(rendition, RENDITIONS), *segments)

    async def announce(self, rendition_id: str, part: int, data: bytes) -> None:
        """Store a part of the second segment, and announce it."""
        key = f"streams/cam/{self.writer.incarnation}/{rendition_id}/00000001.{part:03d}-a.m4s"
        await open_store(f"file://{self.objects}").put(key, data)
        message = pb.Part(
            rendition_id=rendition_id,
            msn=1,
            part=part,
            start_s=4.0 + part * PART_S,
            duration_s=PART_S,
            independent=part == 0,
            object_key=key,
            size_bytes=len(data),
            init_key=f"streams/cam/0/{rendition_id}/init-1.mp4",
            init_size_bytes=4,
        )
        message.program_date_time.FromDatetime(LIVE_START + timedelta(seconds=message.start_s))
        await self.writer.append(pb.Entry(part=message))


async def leave(distributor: Distributor, objects: Path) -> Left:
    """Own a stream, announce two parts of a picture and one of its sound, and be heard of no more."""
    await create_live(distributor, target_duration=4)
    writer = await open_writer(distributor.timeline, "cam", kind=pb.STREAM_KIND_LIVE)
    left = Left(writer=writer, objects=objects)
    await left.begin()
    await left.announce("VeryLow", 0, b"one")
    await left.announce("VeryLow", 1, b"two")
    await left.announce("audio", 0, b"tone")
    return left


async def stop(distributor: Distributor) -> api.Stream:
    stream: api.Stream = await distributor.streams.StopStream(api.StopStreamRequest(stream_id="cam"))
    return stream


async def ledger_of(distributor: Distributor) -> Ledger:
    return Ledger(await distributor.timeline.GetSnapshot(pb.GetSnapshotRequest(stream_id="cam")))


def parts(ledger: Ledger, rendition_id: str) -> Sequence[pb.Part]:
    found = [entry.part for entry in ledger.entries if entry.HasField("part")]
    return [part for part in found if part.rendition_id == rendition_id]


@asynccontextmanager
async def pair(nats_url: str, objects: Path) -> AsyncIterator[Distributor]:
    """A distributor, and a transcoder that it can ask."""
    address = f"127.0.0.1:{free_base(1)}"
    async with (
        running_distributor(nats_url, transcoder_address=address) as distributor,
        running_transcoder(nats_url, distributor, objects, grpc_address=address),
    ):
        yield distributor


async def test_the_owner_ends_its_stream_whole(nats_server: NatsServer, tmp_path: Path) -> None:
    objects = tmp_path / "objects"
    async with (
        running_distributor(nats_server.url) as distributor,
        running_node(nats_server.url, distributor.address, objects) as node,
    ):
        publisher = await node.publish(await create_live(distributor), PARTS_PER_SEGMENT + 2)

        async def has_parts() -> bool:
            return len(parts(await ledger_of(distributor), "audio")) == PARTS_PER_SEGMENT + 2

        await until(has_parts)
        assert (await stop(distributor)).status == "stopped"
        with pytest.raises(FailedPrecondition, match="stopped"):
            await publisher.running
        assert node.encoder.running_count == 0
        ledger = await ledger_of(distributor)
        assert ledger.has_ended
        for rendition_id in RENDITIONS:
            _, last = ledger.segments(rendition_id)
            assert last.duration_s == pytest.approx(2 * PART_S)
            announced = [part for part in parts(ledger, rendition_id) if part.msn == 1]
            whole = b"".join((objects / part.object_key).read_bytes() for part in announced)
            assert (objects / last.object_key).read_bytes() == whole


async def test_an_owner_without_a_publisher_ends_its_stream(nats_server: NatsServer, tmp_path: Path) -> None:
    async with (
        running_distributor(nats_server.url) as distributor,
        running_node(nats_server.url, distributor.address, tmp_path / "objects") as node,
    ):
        await (await node.publish(await create_live(distributor), 6)).hang_up()
        await stop(distributor)
        ledger = await ledger_of(distributor)
        assert ledger.has_ended
        assert sum(entry.HasField("opened") for entry in ledger.entries) == 1  # nobody else had to
        assert node.owners.find("cam") is None


async def test_a_transcoder_closes_what_a_dead_owner_left(nats_server: NatsServer, tmp_path: Path) -> None:
    objects = tmp_path / "objects"
    async with pair(nats_server.url, objects) as distributor:
        await leave(distributor, objects)
        assert (await stop(distributor)).status == "stopped"
        ledger = await ledger_of(distributor)
        assert ledger.has_ended
        for rendition_id, count, data in (("VeryLow", 2, b"onetwo"), ("audio", 1, b"tone")):
            _, last = ledger.segments(rendition_id)
            assert not last.gap
            assert last.duration_s == pytest.approx(count * PART_S)
            assert (objects / last.object_key).read_bytes() == data
            assert last.program_date_time == parts(ledger, rendition_id)[0].program_date_time


async def test_many_who_stop_what_a_dead_owner_left_lose_nothing(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    objects = tmp_path / "objects"
    async with pair(nats_server.url, objects) as distributor:
        await leave(distributor, objects)
        await asyncio.gather(*(stop(distributor) for _ in range(4)))
        for rendition_id in RENDITIONS:
            *_, last = (await ledger_of(distributor)).segments(rendition_id)
            assert not last.gap


async def test_without_a_transcoder_no_number_is_taken_back(nats_server: NatsServer, tmp_path: Path) -> None:
    settings = {"transcoder_address": f"127.0.0.1:{free_base(1)}"}
    async with running_distributor(nats_server.url, **settings) as distributor:
        left = await leave(distributor, tmp_path / "objects")
        assert (await stop(distributor)).status == "stopped"
        ledger = await ledger_of(distributor)
        assert ledger.has_ended
        for rendition_id, count in (("VeryLow", 2), ("audio", 1)):
            _, last = ledger.segments(rendition_id)
            assert last.gap
            assert last.duration_s == pytest.approx(count * PART_S)
        with pytest.raises(Exception, match="epoch"):
            await left.announce("audio", 1, b"late")
