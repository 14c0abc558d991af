"""Ready segments into real transcoders: cut by ffmpeg, sent in both forms, announced on a real ledger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from weir.distributor.v1 import distributor_pb2 as api

from chassis import errors
from support.distributor import Distributor, running_distributor
from support.gateway import running_scene
from support.live_node import create_live
from support.nats import NatsServer
from support.ready import Cut, Sender, create_fed, cut, places, send_all, until_announced, until_answers
from support.transcoder import Transcoder, running_transcoder, transcoder_process

SECONDS = 4


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Cut]:
    """Segments by container and variant."""
    folder = tmp_path_factory.mktemp("media")
    return {
        (container, variant_id): cut(folder, container, variant_id, count=SECONDS)
        for container in ("ts", "cmaf")
        for variant_id in ("low", "high")
    }


@pytest.fixture
async def distributor(nats_server: NatsServer) -> AsyncIterator[Distributor]:
    async with running_distributor(nats_server.url) as replica:
        yield replica


@pytest.fixture
async def transcoder(
    nats_server: NatsServer, distributor: Distributor, tmp_path: Path
) -> AsyncIterator[Transcoder]:
    async with running_transcoder(nats_server.url, distributor, tmp_path / "objects") as replica:
        yield replica


class TestTaking:
    async def test_init_segment_may_come_with_the_first_segment_alone(
        self, transcoder: Transcoder, media: dict[tuple[str, str], Cut]
    ) -> None:
        sender = Sender(key=await create_fed(transcoder.distributor, container="cmaf"))
        high = media["cmaf", "high"]
        with pytest.raises(errors.InvalidArgument) as refusal:
            await sender.send_json(transcoder, "high", 0, high.segments[0])
        assert refusal.value.reason == "NO_INIT"
        await sender.send_json(transcoder, "high", 0, high.init + high.segments[0])
        await sender.send_json(transcoder, "high", 1, high.segments[1])
        ledger = await until_announced(transcoder, 2, "high")
        first, second = ledger.segments("high")
        assert transcoder.read(first.init_key) == high.init
        assert second.init_key == first.init_key
        assert transcoder.read(first.object_key) == high.segments[0]
        assert (second.discontinuity_sequence, len(second.iframes)) == (0, 1)

    async def test_same_bytes_are_acknowledged_and_others_refused(
        self, transcoder: Transcoder, media: dict[tuple[str, str], Cut]
    ) -> None:
        sender = Sender(key=await create_fed(transcoder.distributor))
        first, second, *_ = media["ts", "high"].segments
        await sender.send(transcoder, "high", 7, first)
        assert (await sender.send(transcoder, "high", 7, first)).status == "duplicate"
        with pytest.raises(errors.AlreadyExists) as refusal:
            await sender.send(transcoder, "high", 7, second)
        assert refusal.value.reason == "NUMBER_TAKEN"
        assert len(transcoder.stored("streams/cam/")) == 1

    async def test_missing_number_becomes_a_gap_and_is_late_then(
        self, transcoder: Transcoder, media: dict[tuple[str, str], Cut]
    ) -> None:
        sender = Sender(key=await create_fed(transcoder.distributor, target_duration=1))
        segments = media["ts", "high"].segments
        for number in (0, 1, 3):
            await sender.send(transcoder, "high", 100 + number, segments[number])
        ledger = await until_announced(transcoder, 4, "high")
        assert places(ledger, "high") == [(0, True), (1, True), (2, False), (3, True)]
        gap, after = ledger.segments("high")[2:]
        assert gap.duration_s == pytest.approx(1.0, abs=0.05)
        assert after.start_s == pytest.approx(3.0, abs=0.05)
        assert after.discontinuity_sequence == 0
        for number in (99, 102):
            with pytest.raises(errors.OutOfRange) as refusal:
                await sender.send(transcoder, "high", number, segments[2])
            assert refusal.value.reason == "LATE"
        with pytest.raises(errors.OutOfRange) as refusal:
            await sender.send(transcoder, "high", 1000, segments[2])
        assert refusal.value.reason == "TOO_FAR_AHEAD"
        with pytest.raises(errors.NotFound) as missing:
            await sender.send(transcoder, "low", 104, segments[2])
        assert missing.value.reason == "NO_VARIANT"
        assert "'high'" in missing.value.message

    async def test_jump_of_timestamps_is_a_discontinuity(
        self, transcoder: Transcoder, media: dict[tuple[str, str], Cut]
    ) -> None:
        sender = Sender(key=await create_fed(transcoder.distributor, target_duration=1))
        segments = media["ts", "high"].segments
        for number, data in enumerate((segments[2], segments[3], segments[0])):
            await sender.send(transcoder, "high", number, data)
        ledger = await until_announced(transcoder, 3, "high")
        assert [one.discontinuity_sequence for one in ledger.segments("high")] == [0, 0, 1]


class TestRefusals:
    async def test_what_is_no_segment_of_the_stream(
        self, transcoder: Transcoder, media: dict[tuple[str, str], Cut]
    ) -> None:
        sender = Sender(key=await create_fed(transcoder.distributor, target_duration=2))
        ts = media["ts", "high"].segments[0]
        for reason, data in (
            ("NOT_MEDIA", b"no media at all"),
            ("NOT_MEDIA", b"\x47".ljust(188) * 10),
            ("NOT_MEDIA", media["cmaf", "high"].init + media["cmaf", "high"].segments[0]),
            ("SEGMENT_TOO_LONG", b"".join(media["ts", "high"].segments[:3])),
        ):
            with pytest.raises(errors.InvalidArgument) as refusal:
                await sender.send(transcoder, "high", 0, data)
            assert refusal.value.reason == reason
        with pytest.raises(errors.InvalidArgument) as refusal:
            await sender.send(transcoder, "high", 0, ts[:-188], last=False)
        assert refusal.value.reason == "LENGTH_REQUIRED"
        await sender.send(transcoder, "high", 0, ts)
        with pytest.raises(errors.InvalidArgument) as refusal:
            await sender.send(transcoder, "high", 1, media["ts", "low"].segments[1])
        assert refusal.value.reason == "VARIANT_DIFFERS"
        assert "128x72" in refusal.value.message
        assert len(transcoder.stored("streams/cam/")) == 1

    async def test_malformed_documents(self, transcoder: Transcoder) -> None:
        sender = Sender(key=await create_fed(transcoder.distributor))
        whole = {"variant_id": "high", "sequence_num": 0, "data": "AAAA"}
        for fields, field in (
            ({**whole, "data": 5}, "body"),
            ({**whole, "colour": 1}, "body"),
            ({**whole, "sequence_num": -1}, "sequence_num"),
            ({**whole, "variant_id": "../x"}, "variant_id"),
            ({**whole, "duration": 0}, "duration"),
            ({"variant_id": "high", "data": "AAAA"}, "sequence_num"),
            ({"sequence_num": 1, "data": "AAAA"}, "variant_id"),
            ([whole], "body"),
            (5, "body"),
            (None, "body"),
            ({**whole, "duration": 10**400}, "body"),
            ({"x": [[]] * 1000}, "body"),
        ):
            with pytest.raises(errors.InvalidArgument) as refusal:
                await sender.send_document(transcoder, json.dumps(fields).encode())
            assert refusal.value.metadata["field"] == field

    async def test_wrong_key_and_streams_that_cannot_be_fed(
        self, transcoder: Transcoder, media: dict[tuple[str, str], Cut]
    ) -> None:
        data = media["ts", "high"].segments[0]
        await create_fed(transcoder.distributor)
        with pytest.raises(errors.PermissionDenied):
            await Sender(key="cam.wrong").send(transcoder, "high", 0, data)
        quick = Sender(key=await create_live(transcoder.distributor, "quick"), stream_id="quick")
        with pytest.raises(errors.FailedPrecondition) as refusal:
            await quick.send(transcoder, "high", 0, data)
        assert refusal.value.reason == "LOW_LATENCY"

    async def test_larger_than_the_limit(
        self, nats_server: NatsServer, distributor: Distributor, tmp_path: Path
    ) -> None:
        sender = Sender(key=await create_fed(distributor))
        async with running_transcoder(
            nats_server.url, distributor, tmp_path / "objects", ready_limit_bytes=1000
        ) as transcoder:
            for send in (sender.send, sender.send_json):
                with pytest.raises(errors.InvalidArgument) as refusal:
                    await send(transcoder, "high", 0, bytes(188 * 6))
                assert refusal.value.reason == "SOURCE_TOO_LARGE"


class TestSharing:
    async def test_two_transcoders_make_one_timeline(
        self,
        nats_server: NatsServer,
        transcoder: Transcoder,
        media: dict[tuple[str, str], Cut],
    ) -> None:
        sender = Sender(key=await create_fed(transcoder.distributor))
        low, high = (media["ts", variant_id].segments for variant_id in ("low", "high"))
        async with running_transcoder(nats_server.url, transcoder.distributor, transcoder.objects) as other:
            answers = await asyncio.gather(
                sender.send(other, "high", 3, high[3]),
                sender.send(transcoder, "high", 1, high[1]),
                sender.send(transcoder, "low", 2, low[2]),
                sender.send(other, "high", 0, high[0]),
                sender.send(transcoder, "high", 0, high[0]),  # whoever comes second repeats
                sender.send(other, "low", 0, low[0]),
                sender.send(transcoder, "high", 2, high[2]),
                sender.send(other, "low", 1, low[1]),
                sender.send(other, "low", 3, low[3]),
            )
            ledger = await until_announced(transcoder, SECONDS, "high", "low")
        assert sorted(answer.status for answer in answers) == ["duplicate", *["ingested"] * 8]
        assert [answer.duration for answer in answers] == pytest.approx([1.0] * 9, abs=0.01)
        assert {key: info.codecs for key, info in ledger.renditions.items()} == {
            "high": "avc1.42c00b,mp4a.40.2",
            "low": "avc1.42c00a,mp4a.40.2",
        }
        for variant_id, data in (("high", high), ("low", low)):
            segments = ledger.segments(variant_id)
            assert [transcoder.read(segment.object_key) for segment in segments] == list(data)
            assert {segment.discontinuity_sequence for segment in segments} == {0}
            assert [segment.start_s for segment in segments] == pytest.approx([0, 1, 2, 3], abs=0.01)
            assert all(segment.program_date_time.seconds and segment.iframes for segment in segments)
        assert transcoder.stored("streams/cam/") == ledger.keys

    @pytest.mark.torture
    async def test_segment_of_a_transcoder_that_died_is_announced_by_another(
        self,
        nats_server: NatsServer,
        distributor: Distributor,
        tmp_path: Path,
        media: dict[tuple[str, str], Cut],
    ) -> None:
        sender, high = Sender(key=await create_fed(distributor)), media["ts", "high"].segments
        objects = tmp_path / "objects"
        async with transcoder_process(nats_server.url, distributor, objects) as (mortal, process):
            await until_answers(mortal)
            await sender.send(mortal, "high", 0, high[0])  # gathers: nothing is announced yet
            process.kill()
            await process.wait()
        async with running_transcoder(nats_server.url, distributor, objects) as heir:
            ledger = await until_announced(heir, 1, "high")
            assert (await sender.send(heir, "high", 0, high[0])).status == "duplicate"
        assert places(ledger, "high") == [(0, True)]

    async def test_stream_is_either_pushed_or_fed(
        self, transcoder: Transcoder, media: dict[tuple[str, str], Cut]
    ) -> None:
        data = media["ts", "high"].segments[0]
        fed = Sender(key=await create_fed(transcoder.distributor))
        await fed.send(transcoder, "high", 0, data)
        with pytest.raises(errors.FailedPrecondition) as refusal:
            await fed.push(transcoder, data)
        assert refusal.value.reason == "READY_SEGMENTS"
        pushed = Sender(key=await create_fed(transcoder.distributor, "push"), stream_id="push")
        await pushed.push(transcoder, b"".join(media["ts", "high"].segments))
        with pytest.raises(errors.FailedPrecondition) as refusal:
            await pushed.send(transcoder, "high", 0, data)
        assert refusal.value.reason == "PUSHED"

    async def test_stopped_stream_takes_no_more(
        self, transcoder: Transcoder, media: dict[tuple[str, str], Cut]
    ) -> None:
        sender = Sender(key=await create_fed(transcoder.distributor))
        low, high = (media["ts", variant_id].segments for variant_id in ("low", "high"))
        await send_all(sender, transcoder, {"high": high[:3], "low": low[:2]})
        await until_announced(transcoder, 2, "high", "low")
        await transcoder.distributor.streams.StopStream(api.StopStreamRequest(stream_id="cam"))
        assert (await transcoder.ledger("cam")).has_ended
        with pytest.raises(errors.FailedPrecondition) as refusal:
            await sender.send(transcoder, "low", 2, low[2])
        assert refusal.value.reason == "STREAM_STOPPED"


async def test_gateway_shows_what_was_fed(transcoder: Transcoder, media: dict[tuple[str, str], Cut]) -> None:
    key = await create_fed(transcoder.distributor, type="event", container="cmaf")
    cuts = {variant_id: media["cmaf", variant_id] for variant_id in ("high", "low")}
    segments = {
        variant_id: [own.init + data for data in own.segments[:3]] for variant_id, own in cuts.items()
    }
    await send_all(Sender(key=key), transcoder, segments)
    await until_announced(transcoder, 3, "high", "low")
    address = transcoder.distributor.address
    async with running_scene(transcoder.objects, distributor_address=address) as gateway:
        master = (await gateway.get("/hls/cam/master.m3u8")).text
        assert master.count("#EXT-X-STREAM-INF") == master.count("#EXT-X-I-FRAME-STREAM-INF") == 2
        assert "RESOLUTION=160x90" in master
        playlist = (await gateway.get("/hls/cam/variants/high/playlist.m3u8")).text
        assert playlist.count("#EXTINF:1") == 3
        assert playlist.count("#EXT-X-MAP") == 1
        assert "#EXT-X-PROGRAM-DATE-TIME" in playlist
        assert "DISCONTINUITY" not in playlist
        names = [line for line in playlist.splitlines() if not line.startswith("#")]
        played = [(await gateway.get(f"/hls/cam/variants/high/{name}")).body for name in names]
        assert played == list(cuts["high"].segments[:3])
