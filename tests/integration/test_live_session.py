"""Live sessions against a real distributor and NATS: announced as they come, by one owner at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from weir.distributor.v1 import distributor_pb2 as api
from weir.media.v1 import media_pb2
from weir.timeline.v1 import timeline_pb2 as pb

from chassis.errors import AlreadyExists, FailedPrecondition, PermissionDenied, Unavailable
from support.distributor import Distributor, running_distributor
from support.flv import told_rate
from support.live_node import PART_S, PARTS_PER_SEGMENT, SOURCE, Node, create_live, running_node
from support.nats import NatsServer
from support.ports import free_base
from support.rtmp_peer import RtmpPeer, avc_header, picture, rtmp_peer
from support.transcoder import until
from transcoder.bootstrap_live import Live
from transcoder.domain.encoding import EncodeError
from transcoder.domain.ladder import NAMED_RUNGS
from transcoder.domain.live_settings import LiveSettings, PullSource
from transcoder.domain.live_speed import LiveProgress
from transcoder.ingest.rtmp import flv


@pytest.fixture
async def distributor(nats_server: NatsServer) -> AsyncIterator[Distributor]:
    async with running_distributor(nats_server.url) as replica:
        yield replica


@pytest.fixture
async def node(nats_server: NatsServer, distributor: Distributor, tmp_path: Path) -> AsyncIterator[Node]:
    async with running_node(nats_server.url, distributor.address, tmp_path / "objects") as one:
        yield one


async def entries(distributor: Distributor, stream_id: str = "cam") -> list[pb.Entry]:
    """All that is on a stream's ledger."""
    snapshot = await distributor.timeline.GetSnapshot(pb.GetSnapshotRequest(stream_id=stream_id))
    return [entry for record in snapshot.records for entry in record.entries]


async def segments(distributor: Distributor, rendition_id: str = "VeryLow") -> list[pb.Segment]:
    found = [entry.segment for entry in await entries(distributor) if entry.HasField("segment")]
    mine = [segment for segment in found if segment.rendition_id == rendition_id]
    assert [segment.msn for segment in mine] == list(range(len(mine)))
    return mine


async def parts(distributor: Distributor, rendition_id: str = "VeryLow") -> list[pb.Part]:
    found = [entry.part for entry in await entries(distributor) if entry.HasField("part")]
    return [part for part in found if part.rendition_id == rendition_id]


async def until_parts(distributor: Distributor, count: int) -> None:
    """Wait until so many parts of each rendition are announced."""

    async def are_there() -> bool:
        return all([len(await parts(distributor, one)) >= count for one in ("VeryLow", "audio")])

    await until(are_there)


async def test_parts_are_announced_as_they_come(node: Node, distributor: Distributor, tmp_path: Path) -> None:
    publisher = await node.publish(await create_live(distributor), 1)
    await until_parts(distributor, 1)
    assert await segments(distributor) == []
    publisher.wire.send(PARTS_PER_SEGMENT)
    await until_parts(distributor, 1 + PARTS_PER_SEGMENT)
    (segment,) = await segments(distributor)
    made = (await parts(distributor))[:PARTS_PER_SEGMENT]
    assert [part.msn for part in made] == [0] * PARTS_PER_SEGMENT
    assert [part.part for part in made] == list(range(PARTS_PER_SEGMENT))
    objects = tmp_path / "objects"
    whole = b"".join((objects / part.object_key).read_bytes() for part in made)
    assert (objects / segment.object_key).read_bytes() == whole
    assert (objects / segment.init_key).read_bytes() == b"init of VeryLow"
    assert segment.duration_s == pytest.approx(PARTS_PER_SEGMENT * PART_S)
    assert segment.program_date_time == made[0].program_date_time
    await publisher.hang_up()


async def test_renditions_begin_together(node: Node, distributor: Distributor) -> None:
    publisher = await node.publish(await create_live(distributor), 3)
    await until_parts(distributor, 3)
    kinds = [entry.WhichOneof("kind") for entry in await entries(distributor)]
    assert kinds[:3] == ["opened", "rendition", "rendition"]
    await publisher.hang_up()


async def test_last_media_of_a_publisher_that_goes_are_announced(
    node: Node, distributor: Distributor
) -> None:
    publisher = await node.publish(await create_live(distributor), PARTS_PER_SEGMENT + 2)
    await publisher.hang_up()
    _, last = await segments(distributor)
    assert last.duration_s == pytest.approx(2 * PART_S)
    assert len(await segments(distributor, "audio")) == 2
    assert node.encoder.running_count == 0


async def test_publisher_that_comes_back_goes_on_with_a_discontinuity(
    node: Node, distributor: Distributor
) -> None:
    key = await create_live(distributor)
    await (await node.publish(key, 6)).hang_up()
    await (await node.publish(key, 6)).hang_up()
    made = await segments(distributor)
    assert [segment.discontinuity_sequence for segment in made] == [0, 0, 1, 1]
    times = [segment.program_date_time.ToNanoseconds() for segment in made]
    assert times == sorted(times)
    state = await distributor.timeline.GetSnapshot(pb.GetSnapshotRequest(stream_id="cam"))
    assert state.epoch == 1  # it was never anybody else's


async def test_publisher_that_comes_back_elsewhere_goes_on(
    nats_server: NatsServer, node: Node, distributor: Distributor, tmp_path: Path
) -> None:
    key = await create_live(distributor)
    await (await node.publish(key, 6)).hang_up()
    async with running_node(
        nats_server.url, distributor.address, tmp_path / "objects", owner="there"
    ) as other:
        await (await other.publish(key, 6)).hang_up()
        await until(_lost(node))
    assert [segment.discontinuity_sequence for segment in await segments(distributor)] == [0, 0, 1, 1]


def _lost(node: Node, stream_id: str = "cam") -> Callable[[], Awaitable[bool]]:
    async def is_lost() -> bool:
        return node.owners.find(stream_id) is None

    return is_lost


async def test_wrong_key_is_refused(node: Node, distributor: Distributor) -> None:
    await create_live(distributor)
    with pytest.raises(PermissionDenied):
        await node.publish("cam.nonsense", 1)


async def test_first_publisher_stays(
    nats_server: NatsServer, node: Node, distributor: Distributor, tmp_path: Path
) -> None:
    key = await create_live(distributor)
    publisher = await node.publish(key, 1)
    with pytest.raises(AlreadyExists):
        await node.publish(key)
    async with running_node(
        nats_server.url, distributor.address, tmp_path / "objects", owner="there"
    ) as other:
        with pytest.raises(AlreadyExists):
            await other.publish(key)
    publisher.wire.send(3)
    await until_parts(distributor, 4)
    await publisher.hang_up()


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_take_over_sends_the_first_publisher_away(
    nats_server: NatsServer, node: Node, distributor: Distributor, tmp_path: Path, *, elsewhere: bool
) -> None:
    key = await create_live(distributor)
    first = await node.publish(key, 6)
    await until_parts(distributor, 6)
    async with running_node(
        nats_server.url, distributor.address, tmp_path / "objects", owner="there"
    ) as other:
        second = await (other if elsewhere else node).publish(key, 6, take_over=True)
        with pytest.raises(FailedPrecondition, match="took the stream over"):
            await first.running
        await until_parts(distributor, 12)
        await second.hang_up()
    made = await segments(distributor)
    assert [segment.discontinuity_sequence for segment in made] == [0, 0, 1, 1]
    assert made[1].duration_s == pytest.approx(2 * PART_S)
    objects = tmp_path / "objects"
    closed = [part for part in await parts(distributor) if part.msn == 1]
    whole = b"".join((objects / part.object_key).read_bytes() for part in closed)
    assert (objects / made[1].object_key).read_bytes() == whole
    assert not made[1].gap


async def test_silent_publisher_makes_room(node: Node, distributor: Distributor) -> None:
    key = await create_live(distributor)
    first = await node.publish(key, 1)
    await until_parts(distributor, 1)
    await asyncio.sleep(3.1)
    second = await node.publish(key, 1)
    with pytest.raises(FailedPrecondition):
        await first.running
    await second.hang_up()


async def test_stop_sends_the_publisher_away(node: Node, distributor: Distributor) -> None:
    publisher = await node.publish(await create_live(distributor), 3)
    await until_parts(distributor, 3)
    await distributor.streams.StopStream(api.StopStreamRequest(stream_id="cam"))
    publisher.wire.send(1)
    with pytest.raises(FailedPrecondition):
        await publisher.running
    assert node.encoder.running_count == 0


async def test_stop_is_heard_without_media(node: Node, distributor: Distributor) -> None:
    publisher = await node.publish(await create_live(distributor), 3)
    await until_parts(distributor, 3)
    await distributor.streams.StopStream(api.StopStreamRequest(stream_id="cam"))
    with pytest.raises(FailedPrecondition):
        await publisher.running


async def test_stopping_server_hands_over(
    nats_server: NatsServer, node: Node, distributor: Distributor, tmp_path: Path
) -> None:
    key = await create_live(distributor)
    async with running_node(
        nats_server.url, distributor.address, tmp_path / "objects", owner="there"
    ) as other:
        publisher = await other.publish(key, 6)
        await until_parts(distributor, 6)
    with pytest.raises(Unavailable, match="stops"):
        await publisher.running
    assert [segment.duration_s for segment in await segments(distributor)] == [
        pytest.approx(4 * PART_S),
        pytest.approx(2 * PART_S),
    ]
    await (await node.publish(key, 4)).hang_up()
    assert len(await segments(distributor)) == 3


async def pulled(distributor: Distributor) -> LiveSettings:
    """The settings of a stream that is pulled."""
    await create_live(distributor)
    stream = await distributor.streams.GetStream(api.GetStreamRequest(stream_id="cam"))
    return LiveSettings(
        stream_id="cam",
        incarnation=stream.incarnation,
        target_duration_s=2,
        part_target_s=stream.part_target_s,
        dvr_window_s=60,
        rungs=NAMED_RUNGS[:1],
        pull=PullSource(url="http://example.com/cam.ts"),
    )


async def test_source_that_is_left_is_not_looked_into_again(
    nats_server: NatsServer, node: Node, distributor: Distributor, tmp_path: Path
) -> None:
    settings = await pulled(distributor)
    async with running_node(
        nats_server.url, distributor.address, tmp_path / "objects", owner="there"
    ) as other:
        first = await other.pull(settings, 6)
        await until_parts(distributor, 6)
        first.running.cancel()  # as a stop returns its tasks to the queue
        second = await node.pull(settings, 4)
        await until_parts(distributor, 10)
        assert (other.probe.looks_count, node.probe.looks_count) == (1, 0)
        await second.hang_up()
        await (await node.pull(settings, 4)).hang_up()  # what has come back may have become another
        assert node.probe.looks_count == 1


RATE = flv.write_tag(18, 0, told_rate(30))
TRACKS = flv.write_tag(9, 0, b"\x17\0") + flv.write_tag(8, 0, b"\xaf\0")
FRAMES = flv.write_tag(9, 0, b"\x17\1") + flv.write_tag(8, 0, b"\xaf\1")
FLV = flv.write_header((8, 9)) + RATE + TRACKS + FRAMES


async def until_known(node: Node) -> None:
    """Wait until it is remembered how the publisher began."""

    async def is_known() -> bool:
        return await node.known_heads.get("cam") is not None

    await until(is_known)


async def create_known(node: Node, distributor: Distributor) -> str:
    """Create a stream whose publisher was looked into and has gone; answers its key."""
    key = await create_live(distributor)
    await (await node.publish_flv(key, FLV)).hang_up()
    await until_known(node)
    return key


@pytest.mark.parametrize("ends", ["stopped", "lost"])
async def test_publisher_that_moves_is_recognized_however_its_owner_ended(
    nats_server: NatsServer, node: Node, distributor: Distributor, tmp_path: Path, ends: str
) -> None:
    key = await create_live(distributor)
    async with running_node(
        nats_server.url, distributor.address, tmp_path / "objects", owner="there"
    ) as other:
        await other.publish_flv(key, FLV)
        await until_known(node)
        if ends == "lost":
            other.owners.find("cam").lose(Unavailable("gone"))  # type: ignore[union-attr]
    await (await node.publish_flv(key, FLV)).hang_up()
    assert (other.probe.looks_count, node.probe.looks_count) == (1, 0)
    assert len(await segments(distributor)) == 2 * -(-len(FLV) // PARTS_PER_SEGMENT)


async def test_publisher_that_comes_back_with_something_else_is_looked_into(
    node: Node, distributor: Distributor
) -> None:
    key = await create_known(node, distributor)
    await (await node.publish_flv(key, FLV.replace(b"\x17\0", b"\x17\0another"))).hang_up()
    await (await node.publish(key, 4)).hang_up()
    assert node.probe.looks_count == 3


async def test_publisher_whose_media_cannot_be_encoded_is_looked_into_the_next_time(
    node: Node, distributor: Distributor
) -> None:
    key = await create_known(node, distributor)
    node.encoder.failure = EncodeError("broken for a test", task="live", exit_status=1, last_words="")
    broken = await node.publish_flv(key, FLV)
    with pytest.raises(Unavailable, match="encoder failed"):
        await broken.running
    assert await node.known_heads.get("cam") is None


async def test_publisher_that_is_sent_away_need_not_wait_for_its_last_media(
    node: Node, distributor: Distributor
) -> None:
    publisher = await node.publish(await create_live(distributor), 2)
    await until_parts(distributor, 2)
    gate = node.encoder.gate
    gate.open.clear()
    publisher.wire.send(2)

    async def is_given() -> bool:
        return gate.given_count == 4

    await until(is_given)
    node.admission.send_away()
    publisher.wire.hang_up()  # as its protocol does when its server stops
    with pytest.raises(Unavailable, match="this server stops"):
        await publisher.running
    gate.open.set()
    await publisher.session.finished()
    assert [part.part for part in await parts(distributor)] == [0, 1, 2, 3]


async def test_publisher_by_rtmp_is_told_to_connect_again_when_its_server_stops(
    node: Node, distributor: Distributor
) -> None:
    port, unused = free_base(1), cast("Any", None)
    live = Live(
        admission=node.admission,
        standby=unused,
        pulls=unused,
        rtmp_address=f"127.0.0.1:{port}",
        srt_address="",
        srt_listener=unused,
    )
    async with AsyncExitStack() as running:
        await running.enter_async_context(live.running())
        async with rtmp_peer(port) as peer:
            await peer.connect()
            assert await peer.publish(await create_live(distributor)) == "NetStream.Publish.Start"
            for message in (avc_header(), picture(0, b"first")):
                await peer.send(message)

            async def is_given() -> bool:
                return node.encoder.gate.given_count > 0

            await until(is_given)
            await asyncio.gather(running.aclose(), require_words(peer, "this server stops: connect again"))


async def require_words(peer: RtmpPeer, words: str) -> None:
    info = (await peer.hear("onStatus"))[3]
    assert isinstance(info, dict)
    assert words in str(info["description"])


async def test_media_are_held_while_nats_is_away(
    nats_server: NatsServer, node: Node, distributor: Distributor
) -> None:
    publisher = await node.publish(await create_live(distributor), 4)
    await until_parts(distributor, 4)
    nats_server.kill()
    for _ in range(8):
        publisher.wire.send(1)
        await asyncio.sleep(0.2)
    nats_server.start()
    await until_parts(distributor, 12)
    await publisher.hang_up()
    assert [segment.msn for segment in await segments(distributor)] == [0, 1, 2]
    numbers = [(part.msn, part.part) for part in await parts(distributor)]
    assert numbers == [(number // 4, number % 4) for number in range(12)]


async def test_owner_that_was_taken_over_is_refused_and_leaves_nothing(
    node: Node, distributor: Distributor, tmp_path: Path
) -> None:
    """Nobody tells it, as nobody can tell a process that is frozen: the ledger alone refuses it."""
    key = await create_live(distributor)
    publisher = await node.publish(key, 5)
    await until_parts(distributor, 5)
    settings = await distributor.live.GetLiveSettings(api.GetLiveSettingsRequest(stream_id="cam"))
    opened = await distributor.timeline.Open(pb.OpenRequest(stream=settings.stream, owner="somebody"))
    assert opened.epoch == 2
    publisher.wire.send(2)
    with pytest.raises(FailedPrecondition, match="took the stream over"):
        await publisher.running
    announced = {entry.part.object_key for entry in await entries(distributor) if entry.HasField("part")}
    announced |= {
        entry.segment.object_key for entry in await entries(distributor) if entry.HasField("segment")
    }
    stored = {str(path.relative_to(tmp_path / "objects")) for path in (tmp_path / "objects").rglob("*.m4s")}
    assert stored == announced


SLOW = LiveProgress(span_s=10.0, media_s=5.0, speed_ratio=0.5, waiting_ratio=0.9)


async def test_encoder_that_falls_behind_leaves_its_top_rung_out_for_good(
    nats_server: NatsServer, node: Node, distributor: Distributor, tmp_path: Path
) -> None:
    rungs = [
        media_pb2.Rung(name="VeryLow", width_pixels=160, height_pixels=90, video_bps=100_000),
        media_pb2.Rung(name="Top", width_pixels=640, height_pixels=360, video_bps=500_000),
    ]
    key = await create_live(distributor, transcode_profiles=[], rungs=rungs)
    publisher = await node.publish(key, PARTS_PER_SEGMENT + 2)
    await until_parts(distributor, PARTS_PER_SEGMENT + 2)
    node.encoder.note(SLOW)
    node.encoder.note(SLOW)  # one rung at a time
    publisher.wire.send(PARTS_PER_SEGMENT + 2)
    await until_parts(distributor, 2 * PARTS_PER_SEGMENT + 4)  # the publisher was not disturbed
    await publisher.hang_up()
    async with running_node(
        nats_server.url, distributor.address, tmp_path / "objects", owner="there"
    ) as other:
        await (await other.publish(key, PARTS_PER_SEGMENT)).hang_up()
        assert "Top" not in other.encoder.plans[0].rendition_ids
    assert [segment.discontinuity_sequence for segment in await segments(distributor)] == [0, 0, 0, 1]
    top = await segments(distributor, "Top")
    assert [segment.duration_s for segment in top if not segment.gap] == pytest.approx([4 * PART_S] * 2)
    ends = [entry.ended for entry in await entries(distributor) if entry.HasField("ended")]
    assert [end.rendition_id for end in ends] == ["Top"]


async def test_rendition_that_joins_counts_on_as_its_siblings_do(
    node: Node, distributor: Distributor
) -> None:
    key = await create_live(distributor)
    node.probe.source = replace(SOURCE, audio=None)
    await (await node.publish(key, PARTS_PER_SEGMENT + 2)).hang_up()
    node.probe.source = SOURCE
    await (await node.publish(key, 2 * PARTS_PER_SEGMENT)).hang_up()
    found = [entry.segment for entry in await entries(distributor) if entry.HasField("segment")]
    sound = {segment.msn: segment for segment in found if segment.rendition_id == "audio"}
    assert sorted(sound) == [2, 3]
    for segment in await segments(distributor):
        if segment.msn in sound:
            assert segment.start_s == pytest.approx(sound[segment.msn].start_s)
