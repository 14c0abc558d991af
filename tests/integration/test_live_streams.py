"""Live streams on a real nats-server: created, started, their publishers let in, stopped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
import pytest
from weir.distributor.v1 import distributor_pb2 as api
from weir.media.v1 import media_pb2
from weir.timeline.v1 import timeline_pb2 as pb
from weir.transcoder.v1 import transcoder_pb2, transcoder_pb2_grpc

from chassis import errors
from chassis.grpc_client import peer_errors
from chassis.grpc_server import serve
from chassis.storage import open_store
from distributor.config import DistributorConfig
from support.distributor import (
    Distributor,
    Writer,
    ended,
    live_segment,
    open_request,
    open_writer,
    rendition,
    running_distributor,
    watch_until,
)
from support.nats import NatsServer


@pytest.fixture
async def distributor(nats_server: NatsServer) -> AsyncIterator[Distributor]:
    async with running_distributor(nats_server.url, http_public_url="https://live.example") as replica:
        yield replica


async def create(replica: Distributor, stream_id: str = "cam", **fields: Any) -> api.Stream:
    async with peer_errors():
        stream: api.Stream = await replica.streams.CreateStream(
            api.CreateStreamRequest(stream_id=stream_id, **fields)
        )
    return stream


async def get(replica: Distributor, stream_id: str = "cam") -> api.Stream:
    async with peer_errors():
        stream: api.Stream = await replica.streams.GetStream(api.GetStreamRequest(stream_id=stream_id))
    return stream


async def admit(replica: Distributor, stream_key: str, stream_id: str = "") -> api.LiveSettings:
    request = api.AdmitPublisherRequest(stream_key=stream_key, stream_id=stream_id)
    async with peer_errors():
        settings: api.LiveSettings = await replica.live.AdmitPublisher(request)
    return settings


async def start(replica: Distributor, stream_id: str = "cam") -> api.Stream:
    async with peer_errors():
        stream: api.Stream = await replica.streams.StartStream(api.StartStreamRequest(stream_id=stream_id))
    return stream


async def test_a_stream_gets_what_was_not_asked_for(distributor: Distributor) -> None:
    stream = await create(distributor, title="Door", description="The door\nof the house")
    assert (stream.type, stream.status, stream.container) == ("live", "created", "cmaf")
    assert (stream.target_duration, stream.low_latency, stream.record) == (2, True, False)
    assert (stream.dvr_window_s, stream.dvr_window_size) == (1800.0, 900)
    assert list(stream.transcode_profiles) == ["VeryLow", "Low", "Medium", "High"]
    assert stream.source.push
    assert (stream.title, stream.description) == ("Door", "The door\nof the house")
    assert stream.ingest.http_url == "https://live.example/hls/streams/cam/ingest"
    assert stream.ingest.rtmp_url == "rtmp://localhost:1935/live"
    assert stream.ingest.srt_url == f"srt://localhost:8890?streamid={stream.ingest.stream_key}"
    assert len(stream.ingest.stream_key) >= len("cam.") + 22  # 128 bits and more
    assert await get(distributor) == stream
    (listed,) = (await distributor.streams.ListStreams(api.ListStreamsRequest())).streams
    assert not listed.HasField("ingest")


async def test_types_differ_in_what_they_keep(distributor: Distributor) -> None:
    event = await create(distributor, "event", type="event")
    assert (event.record, event.low_latency, event.target_duration) == (True, False, 6)
    assert event.dvr_window_s == 0
    broadcast = await create(distributor, "ts", container="ts", dvr_window_size=5)
    assert (broadcast.low_latency, broadcast.dvr_window_s, broadcast.dvr_window_size) == (False, 30.0, 5)
    ladder = await create(distributor, "big", transcode_profiles=["2160p", "360p", "High", "360p"])
    assert list(ladder.transcode_profiles) == ["360p", "High", "2160p"]


async def test_what_is_asked_reaches_the_transcoder(distributor: Distributor) -> None:
    rungs = [
        media_pb2.Rung(name="tall", width_pixels=1280, height_pixels=720, video_bps=3_000_000),
        media_pb2.Rung(name="low", video_bps=500_000),
    ]
    stream = await create(distributor, rungs=rungs, target_duration=4, low_latency=True, dvr_window_s=60.5)
    settings = await admit(distributor, stream.ingest.stream_key)
    assert settings == await distributor.live.GetLiveSettings(api.GetLiveSettingsRequest(stream_id="cam"))
    assert [rung.name for rung in settings.rungs] == ["low", "tall"]
    assert settings.rungs[1] == rungs[0]
    told = settings.stream
    assert (told.kind, told.target_duration_s, told.dvr_window_s) == (pb.STREAM_KIND_LIVE, 4, 60.5)
    assert told.part_target_s == pytest.approx(0.333)
    opened = await distributor.timeline.Open(pb.OpenRequest(stream=told, owner="test"))
    assert opened.stream == told
    assert (await get(distributor)).status == "active"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"stream_id": "streams"}, "a word of the API"),
        ({"type": "film"}, "type is 'film': it must be one of vod, live, event"),
        ({"container": "mkv"}, "container is 'mkv': it must be one of cmaf, ts"),
        ({"container": "ts", "low_latency": True}, "low_latency is true with container 'ts'"),
        ({"target_duration": 61}, "target_duration is 61: it must lie from 1 to 60"),
        ({"target_duration": -1}, "target_duration is -1"),
        ({"dvr_window_size": 2}, "dvr_window_size is 2: it must lie from 3"),
        ({"dvr_window_s": 5.9}, "dvr_window_s is 5.9: it must be at least 6.0"),
        ({"dvr_window_s": float("nan")}, "dvr_window_s is nan"),
        ({"dvr_window_s": 60, "dvr_window_size": 9}, "both given"),
        ({"type": "event", "dvr_window_s": 60}, "nothing leaves a stream of type 'event'"),
        ({"transcode_profiles": ["4K"]}, r"transcode_profiles\[0\] is '4K': it must be one of 360p"),
        ({"rungs": [media_pb2.Rung(name="a", video_bps=1)]}, r"rungs\[0\].video_bps is 1"),
        ({"rungs": [media_pb2.Rung(name="a", video_bps=60_000)] * 2}, "each must be unique"),
        ({"rungs": [media_pb2.Rung(name="audio", video_bps=60_000)]}, r"rungs\[0\].name is 'audio'"),
        ({"source": api.StreamSource(pull_url="file:///etc/passwd")}, "source.pull_url"),
        ({"source": api.StreamSource(pull_url="https:///x")}, "source.pull_url"),
        ({"source": api.StreamSource(push=True, loop=True)}, "source.loop"),
        ({"source": api.StreamSource(push=False)}, "source.push is false"),
        ({"type": "vod", "source": api.StreamSource(recording_id="x")}, "source.recording_id"),
        ({"max_viewers": -1}, "max_viewers is -1"),
        ({"title": "a\nb"}, "title"),
        ({"description": "x" * 2001}, "description"),
        ({"request_id": "a b"}, "request_id"),
    ],
)
async def test_a_field_outside_its_range_is_told(
    distributor: Distributor, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(errors.InvalidArgument, match=message):
        await create(distributor, **fields)
    assert not (await distributor.streams.ListStreams(api.ListStreamsRequest())).streams


async def test_of_two_creators_one_wins(nats_server: NatsServer) -> None:
    async with running_distributor(nats_server.url) as one, running_distributor(nats_server.url) as two:
        made = await asyncio.gather(*(create(replica) for replica in (one, two) * 4), return_exceptions=True)
        winners = [stream for stream in made if isinstance(stream, api.Stream)]
        assert len(winners) == 1
        losers = [error for error in made if not isinstance(error, api.Stream)]
        assert {type(error) for error in losers} == {errors.AlreadyExists}
        assert (await get(two)).ingest.stream_key == winners[0].ingest.stream_key


async def test_a_repeated_request_answers_with_the_same_stream(nats_server: NatsServer) -> None:
    async with running_distributor(nats_server.url) as one, running_distributor(nats_server.url) as two:
        nameless = await asyncio.gather(
            *(create(replica, "", request_id="r-1") for replica in (one, two) * 3)
        )
        assert len({(stream.stream_id, stream.ingest.stream_key) for stream in nameless}) == 1
        assert (await create(one, "", request_id="r-2")).stream_id != nameless[0].stream_id
        named = await create(one, "named", request_id="r-3")
        assert await create(two, "named", request_id="r-3") == named
        with pytest.raises(errors.AlreadyExists, match="stream_id is 'named', which is taken"):
            await create(two, "named", request_id="r-4")


async def test_only_its_own_key_opens_a_stream(distributor: Distributor) -> None:
    stream, other = await create(distributor, "a.b"), await create(distributor, "other")
    assert (await admit(distributor, stream.ingest.stream_key)).stream.stream_id == "a.b"
    assert (await admit(distributor, stream.ingest.stream_key, "a.b")).stream.stream_id == "a.b"
    secret = stream.ingest.stream_key.rpartition(".")[2]
    wrong = [f"other.{secret}", secret, "a.b.", f"a.b.{secret}x", f".{secret}", "x" * 6000, "a..b", "é.é"]
    for key in wrong:
        with pytest.raises(errors.PermissionDenied) as refused:
            await admit(distributor, key)
        assert refused.value.reason == "WRONG_KEY"
    with pytest.raises(errors.PermissionDenied):
        await admit(distributor, other.ingest.stream_key, "a.b")
    with pytest.raises(errors.PermissionDenied):
        await distributor.timeline.Open(open_request("film"))
        await admit(distributor, "film.")


async def test_a_pulled_stream_shows_no_password_and_takes_no_publisher(distributor: Distributor) -> None:
    url = "srt://user:hidden@camera.example:9000?mode=caller&passphrase=hidden"
    stream = await create(distributor, source=api.StreamSource(pull_url=url))
    assert stream.source.pull_url == "srt://***@camera.example:9000?mode=caller&passphrase=***"
    assert not stream.HasField("ingest")
    with pytest.raises(errors.FailedPrecondition) as refused:
        await admit(distributor, "cam.key")
    assert refused.value.reason == "NOT_PUSHED"
    with pytest.raises(errors.FailedPrecondition) as early:
        async with peer_errors():
            await distributor.live.GetLiveSettings(api.GetLiveSettingsRequest(stream_id="cam"))
    assert early.value.reason == "STREAM_STOPPED"


async def test_a_vod_stream_takes_no_publisher(distributor: Distributor) -> None:
    assert not (await create(distributor, type="vod")).HasField("ingest")
    with pytest.raises(errors.FailedPrecondition, match="'vod'") as refused:
        await admit(distributor, "cam.key")
    assert refused.value.reason == "NOT_PUSHED"


async def test_a_failure_shows_until_it_is_over(distributor: Distributor) -> None:
    await create(distributor)
    opened = await distributor.timeline.Open(open_request("cam", kind=pb.STREAM_KIND_LIVE))
    named = {"stream_id": "cam", "incarnation": opened.stream.incarnation}
    report = api.ReportFailureRequest(**named, epoch=opened.epoch, error="no frame for 10 s")
    await distributor.live.ReportFailure(report)
    stream = await get(distributor)
    assert (stream.status, stream.error) == ("error", "no frame for 10 s")
    await distributor.timeline.Open(open_request("cam", kind=pb.STREAM_KIND_LIVE))
    assert (await get(distributor)).status == "active"
    with pytest.raises(errors.FailedPrecondition) as stale:
        async with peer_errors():
            await distributor.live.ReportFailure(report)
    assert stale.value.reason == "STALE_EPOCH"
    assert (await get(distributor)).status == "active"


async def test_a_stream_of_a_recording_is_not_started(distributor: Distributor) -> None:
    await distributor.timeline.Open(open_request("film"))
    with pytest.raises(errors.FailedPrecondition) as refused:
        await start(distributor, "film")
    assert refused.value.reason == "NOT_LIVE"
    with pytest.raises(errors.NotFound):
        await start(distributor, "nothing")


async def stop(replica: Distributor, stream_id: str = "cam") -> api.Stream:
    async with peer_errors():
        stream: api.Stream = await replica.streams.StopStream(api.StopStreamRequest(stream_id=stream_id))
    return stream


async def open_cam(replica: Distributor) -> Writer:
    return await open_writer(replica.timeline, "cam", kind=pb.STREAM_KIND_LIVE)


async def test_a_stop_ends_the_timeline_and_fences_its_owner(nats_server: NatsServer) -> None:
    async with running_distributor(nats_server.url) as one, running_distributor(nats_server.url) as two:
        created = await create(one, target_duration=4, record=True)
        writer = await open_cam(one)
        await writer.append(rendition(), live_segment(0), live_segment(1))
        behind = pb.WatchRequest(stream_id="cam", after_sequence=writer.sequence)
        watching = asyncio.create_task(watch_until(two.timeline, behind, sequence=writer.sequence + 1))
        stopped = await stop(two)
        assert (stopped.status, stopped.duration_s) == ("stopped", 8.0)
        assert [variant.variant_id for variant in stopped.variants] == ["Low"]
        assert stopped.HasField("ended_at")
        last = (await watching)[-1].record.record
        assert [entry.WhichOneof("kind") for entry in last.entries] == ["opened", "ended"]
        assert last.epoch == writer.epoch + 1
        assert last.entries[1].ended.rendition_id == ""
        with pytest.raises(errors.FailedPrecondition) as fenced:
            async with peer_errors():
                await writer.append(live_segment(2))
        assert fenced.value.reason == "STALE_EPOCH"
        for call in (admit(one, created.ingest.stream_key), settings_of(one)):
            with pytest.raises(errors.FailedPrecondition) as refused:
                await call
            assert refused.value.reason == "STREAM_STOPPED"
        with pytest.raises(errors.FailedPrecondition) as over:
            async with peer_errors():
                await open_cam(one)
        assert over.value.reason == "TIMELINE_ENDED"


async def test_stopping_twice_changes_nothing(distributor: Distributor) -> None:
    await create(distributor)
    writer = await open_cam(distributor)
    first = await stop(distributor)
    assert await stop(distributor) == first
    request = pb.GetSnapshotRequest(stream_id="cam")
    assert (await distributor.timeline.GetSnapshot(request)).epoch == writer.epoch + 1


async def test_many_may_stop_one_stream_at_once(nats_server: NatsServer) -> None:
    async with running_distributor(nats_server.url) as one, running_distributor(nats_server.url) as two:
        await create(one, target_duration=4)
        writer = await open_cam(one)
        await writer.append(rendition())
        appends = asyncio.create_task(append_until_refused(writer))
        stopped = await asyncio.gather(*(stop(replica) for replica in (one, two) * 3))
        assert {stream.status for stream in stopped} == {"stopped"}
        appended_count = await appends
        assert (await get(two)).duration_s == appended_count * 4.0


async def append_until_refused(writer: Writer) -> int:
    """Append as an owner does that does not know of the stop; answers how many segments went in."""
    for msn in range(1000):
        try:
            async with peer_errors():
                await writer.append(live_segment(msn))
        except errors.FailedPrecondition:
            return msn
    raise AssertionError("the stop never came")


async def test_a_stream_without_media_can_be_stopped_and_started_anew(distributor: Distributor) -> None:
    created = await create(distributor, record=True)
    assert (await stop(distributor)).status == "stopped"
    again = await start(distributor)
    assert again.status == "created"
    assert again.incarnation != created.incarnation
    assert again.ingest == created.ingest  # publishers keep their key
    assert (await admit(distributor, created.ingest.stream_key)).stream.incarnation == again.incarnation
    assert (await open_cam(distributor)).epoch == 1


async def test_a_start_after_a_stop_loses_no_recording(distributor: Distributor) -> None:
    for stream_id, record in (("kept", True), ("window", False)):
        await create(distributor, stream_id, record=record, target_duration=4)
        writer = await open_writer(distributor.timeline, stream_id, kind=pb.STREAM_KIND_LIVE)
        await writer.append(rendition(), live_segment(0))
        await stop(distributor, stream_id)
    with pytest.raises(errors.FailedPrecondition) as refused:
        await start(distributor, "kept")
    assert refused.value.reason == "STREAM_RECORDED"
    assert (await get(distributor, "kept")).duration_s == 4.0
    assert (await start(distributor, "window")).duration_s == 0.0


async def test_what_ended_with_its_source_is_not_started(distributor: Distributor) -> None:
    await create(distributor, target_duration=4)
    writer = await open_cam(distributor)
    await writer.append(rendition(), live_segment(0), ended())
    assert (await get(distributor)).status == "ended"
    assert (await stop(distributor)).status == "ended"
    with pytest.raises(errors.FailedPrecondition) as refused:
        await start(distributor)
    assert refused.value.reason == "STREAM_ENDED"


async def test_a_deleted_live_stream_is_gone_for_its_publisher(distributor: Distributor) -> None:
    created = await create(distributor, target_duration=4)
    writer = await open_cam(distributor)
    await distributor.streams.DeleteStream(api.DeleteStreamRequest(stream_id="cam"))
    with pytest.raises(errors.PermissionDenied):
        await admit(distributor, created.ingest.stream_key)
    with pytest.raises(errors.NotFound):
        async with peer_errors():
            await writer.append(rendition())


async def test_a_stop_that_was_left_is_finished(nats_server: NatsServer) -> None:
    """Its replica died between the wish and the ledger's end."""
    async with running_distributor(nats_server.url) as replica:
        await create(replica, target_duration=4)
        writer = await open_cam(replica)
        await writer.append(rendition(), live_segment(0))
        client = await nats.connect(nats_server.url)
        bucket = await client.jetstream().key_value("weir_streams")
        entry = json.loads((await bucket.get("cam")).value or b"")
        await bucket.put("cam", json.dumps({**entry, "stop_asked": True}).encode())
        await client.close()
        with pytest.raises(errors.FailedPrecondition):
            await settings_of(replica)
    async with running_distributor(nats_server.url) as replica:  # sweeps as it starts
        async with asyncio.timeout(10):
            while (await get(replica)).status != "stopped":  # noqa: ASYNC110 - elsewhere
                await asyncio.sleep(0.05)


async def settings_of(replica: Distributor) -> api.LiveSettings:
    async with peer_errors():
        settings: api.LiveSettings = await replica.live.GetLiveSettings(
            api.GetLiveSettingsRequest(stream_id="cam")
        )
    return settings


class Transcoders(transcoder_pb2_grpc.IngestServiceServicer):
    """A transcoder that notes what it is to pull, and is full for the first calls."""

    def __init__(self, *, refusals: int = 0) -> None:
        self.refusals = refusals
        self.pulls: list[transcoder_pb2.PullRequest] = []

    async def Ingest(self, request_iterator: Any, _context: Any) -> transcoder_pb2.IngestResponse:
        raise errors.Unimplemented("this transcoder only pulls")

    async def Pull(self, request: transcoder_pb2.PullRequest, _context: Any) -> transcoder_pb2.PullResponse:
        if self.refusals:
            self.refusals -= 1
            raise errors.ResourceExhausted("the queue is full", retry_delay_s=1.0)
        self.pulls.append(request)
        return transcoder_pb2.PullResponse()

    async def Close(
        self, request: transcoder_pb2.CloseRequest, _context: Any
    ) -> transcoder_pb2.CloseResponse:
        raise errors.Unimplemented("this transcoder only pulls")


@asynccontextmanager
async def pulling(nats_url: str, transcoders: Transcoders) -> AsyncIterator[Distributor]:
    """A distributor with transcoders to ask."""

    def register(server: Any) -> None:
        transcoder_pb2_grpc.add_IngestServiceServicer_to_server(transcoders, server)

    async with (
        serve("127.0.0.1:0", register, services=(), grace_s=0) as (_, port),
        running_distributor(nats_url, transcoder_address=f"127.0.0.1:{port}") as replica,
    ):
        yield replica


async def test_a_pulled_stream_is_pulled_when_it_is_started(nats_server: NatsServer) -> None:
    transcoders = Transcoders(refusals=1)
    async with pulling(nats_server.url, transcoders) as replica:
        url = "https://user:hidden@far.example/live.m3u8"
        await create(replica, source=api.StreamSource(pull_url=url))
        assert transcoders.pulls == []
        with pytest.raises(errors.ResourceExhausted):
            await start(replica)
        started = await start(replica)  # again: now a transcoder takes it
        assert started.status == "active"
        assert (await start(replica)).status == "active"
        assert len({pull.request_id for pull in transcoders.pulls}) == 1
        assert {pull.incarnation for pull in transcoders.pulls} == {started.incarnation}
        assert (await settings_of(replica)).source.pull_url == url
        await stop(replica)
        again = await start(replica)
        assert again.status == "active"
        assert transcoders.pulls[-1].incarnation == again.incarnation != started.incarnation
        assert transcoders.pulls[-1].request_id != transcoders.pulls[0].request_id


async def test_a_pull_that_was_never_asked_for_is_asked_for(nats_server: NatsServer) -> None:
    """The replica that started it died between the registry and the transcoder."""
    transcoders = Transcoders(refusals=1)
    async with pulling(nats_server.url, transcoders) as replica:
        await create(replica, source=api.StreamSource(pull_url="https://far.example/live.m3u8"))
        with pytest.raises(errors.ResourceExhausted):
            await start(replica)
    async with pulling(nats_server.url, transcoders) as replica:  # sweeps as it starts
        async with asyncio.timeout(10):
            while not transcoders.pulls:  # noqa: ASYNC110 - elsewhere
                await asyncio.sleep(0.05)
        settings = await settings_of(replica)
        assert transcoders.pulls[0].incarnation == settings.stream.incarnation
        await open_cam(replica)
    asked_count = len(transcoders.pulls)
    async with pulling(nats_server.url, transcoders) as replica:
        await create(replica, "other", source=api.StreamSource(pull_url="https://far.example/other.m3u8"))
        await start(replica, "other")
    assert {pull.stream_id for pull in transcoders.pulls[asked_count:]} == {"other"}  # that one is pulled


@pytest.mark.parametrize("names", [["audio"], ["thumbnails"], ["one", "one"]])
def test_a_ladder_with_names_that_cannot_be_is_refused(names: list[str]) -> None:
    rungs = [{"name": one, "width_pixels": 640, "height_pixels": 360, "video_bps": 700_000} for one in names]
    with pytest.raises(ValueError, match="ladder"):
        DistributorConfig(ladder=rungs)  # type: ignore[arg-type]


async def test_settings_fill_in_what_a_creator_left_open(nats_server: NatsServer) -> None:
    settings = {
        "ladder": [{"name": "only", "width_pixels": 640, "height_pixels": 360, "video_bps": 700_000}],
        "live_dvr_window_s": 90.0,
        "live_part_target_s": 0.5,
        "rtmp_public_url": "rtmp://in.example",
        "srt_public_url": "srt://in.example:9999",
    }
    async with running_distributor(nats_server.url, **settings) as replica:
        stream = await create(replica)
        assert (list(stream.transcode_profiles), stream.dvr_window_s) == (["only"], 90.0)
        assert stream.ingest.rtmp_url == "rtmp://in.example/live"
        assert stream.ingest.srt_url.startswith("srt://in.example:9999?streamid=cam.")
        assert (await settings_of(replica)).stream.part_target_s == 0.5
        assert (await create(replica, "named", transcode_profiles=["only", "High"])).transcode_profiles
        long = await create(replica, "long", target_duration=60)
        assert long.dvr_window_s == 180.0  # three target durations are the least


async def test_a_distributor_cleans_up_as_often_as_it_is_set(nats_server: NatsServer, tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}")
    await store.put("streams/gone/0badcafe/Low/00000000-a.m4s", b"media")
    settings = {"storage_url": f"file://{tmp_path}", "cleanup_interval_s": 0.1}
    async with running_distributor(nats_server.url, **settings):
        client = await nats.connect(nats_server.url)
        bucket = await client.jetstream().key_value("weir_tombstones")
        await bucket.put("gone.0badcafe", b"2026-01-01T00:00:00+00:00")
        await client.close()
        async with asyncio.timeout(20):
            while [key async for key in store.list("streams/")]:  # noqa: ASYNC110 - elsewhere
                await asyncio.sleep(0.05)


async def test_keys_and_passwords_are_never_logged(
    distributor: Distributor, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "https://user:hidden@far.example/live.m3u8?token=hidden"
    await create(distributor, "pulled", source=api.StreamSource(pull_url=url))
    stream = await create(distributor)
    await admit(distributor, stream.ingest.stream_key)
    with pytest.raises(errors.PermissionDenied) as refused:
        await admit(distributor, stream.ingest.stream_key + "x")
    with pytest.raises(errors.InvalidArgument) as invalid:
        await create(distributor, "bad", source=api.StreamSource(pull_url=url.replace("https", "gopher")))
    await stop(distributor)
    logged = "".join(capsys.readouterr())
    assert "AdmitPublisher" in logged
    secret = stream.ingest.stream_key.rpartition(".")[2]
    for text in (logged, refused.value.message, invalid.value.message):
        assert secret not in text
        assert "hidden" not in text


async def test_the_end_of_a_long_ledger_is_read_without_the_rest(distributor: Distributor) -> None:
    await create(distributor, target_duration=4)
    writer = await open_cam(distributor)
    await writer.append(rendition(), rendition("High"))
    for msn in range(1_100):
        await writer.append(live_segment(msn), live_segment(msn, "High"))
    whole = await distributor.timeline.GetSnapshot(pb.GetSnapshotRequest(stream_id="cam"))
    tail = await distributor.timeline.GetSnapshot(pb.GetSnapshotRequest(stream_id="cam", tail_segments=8))
    assert (tail.sequence, tail.newest_sequence, tail.epoch) == (writer.sequence, writer.sequence, 1)
    assert tail.ByteSize() < whole.ByteSize() / 50
    told = [entry for record in tail.records for entry in record.entries]
    assert {entry.trimmed.first_msn for entry in told if entry.HasField("trimmed")} == {1_092}
    assert [entry.segment.msn for entry in told if entry.segment.rendition_id == "High"] == [
        *range(1_092, 1_100)
    ]


@pytest.mark.parametrize("wrong", [{"tail_segments": -1}, {"tail_segments": 1, "after_sequence": 1}])
async def test_a_wrong_end_is_refused(distributor: Distributor, wrong: dict[str, Any]) -> None:
    await create(distributor)
    with pytest.raises(errors.InvalidArgument, match="tail_segments"):
        async with peer_errors():
            await distributor.timeline.GetSnapshot(pb.GetSnapshotRequest(stream_id="cam", **wrong))
