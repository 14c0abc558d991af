"""Live streams on a real nats-server: created, started, their publishers let in, stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from weir.distributor.v1 import distributor_pb2 as api
from weir.media.v1 import media_pb2
from weir.timeline.v1 import timeline_pb2 as pb

from chassis import errors
from chassis.grpc_client import peer_errors
from support.distributor import Distributor, open_request, running_distributor
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
