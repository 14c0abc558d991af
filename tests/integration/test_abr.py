"""The abr service alone with a distributor: NATS is not there, and adaptation does not need it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from weir.abr.v1 import abr_pb2 as pb
from weir.abr.v1 import abr_pb2_grpc as pb_grpc

from abr.bootstrap import SERVICES, build, serve_abr
from chassis.errors import InvalidArgument, NotFound, Unavailable
from chassis.grpc_client import open_channel, peer_errors
from chassis.lifecycle import Stopping
from support.abr import (
    NO_NATS,
    StreamsPeer,
    abr_config,
    batches,
    columns,
    film,
    running_abr,
    running_streams_peer,
    sample,
    watching,
)

ASK: dict[str, Any] = {"recording_id": "film", "viewer_id": "ann"}
PLENTY: dict[str, Any] = {"bandwidth": 90_000, "buffer_health": 100, "policy": "bba"}
SIZES = ((426, 240), (854, 480), (1280, 720), (1920, 1080))
SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture
async def peer() -> AsyncIterator[StreamsPeer]:
    async with running_streams_peer() as peer:
        yield peer


@pytest.fixture
async def abr(peer: StreamsPeer) -> AsyncIterator[Any]:
    async with running_abr(peer.address) as stub:
        yield stub


async def refused(call: Any) -> Exception:
    with pytest.raises((InvalidArgument, NotFound, Unavailable)) as answer:
        async with peer_errors():
            await call
    return answer.value


async def everybody(abr: Any) -> Any:
    return await abr.GetStats(pb.GetStatsRequest(recording_id="film"))


async def until(ask: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool]) -> Any:
    """Ask again until the answer holds what is wanted; answers that."""
    async with asyncio.timeout(20):
        while True:
            if holds(answer := await ask()):
                return answer
            await asyncio.sleep(0.02)


async def until_measured(abr: Any, count: int = 1) -> Any:
    """Wait until so many viewers have been heard of."""
    return await until(lambda: everybody(abr), lambda stats: stats.viewers_count >= count)


class TestSelectQuality:
    @pytest.mark.parametrize(
        ("health", "label"),
        [
            (19.99, "VeryLow"),
            (20, "Low"),
            (39.99, "Low"),
            (40, "Medium"),
            (85, "Medium"),
            (85.01, "High"),
        ],
    )
    async def test_zones_are_the_given_ones(self, abr: Any, health: float, label: str) -> None:
        request = pb.SelectQualityRequest(
            **ASK, bandwidth=3_000, buffer_health=health, current_quality="Medium", policy="zone"
        )
        answer = await abr.SelectQuality(request)
        assert (answer.bitrate_label, answer.policy) == (label, "zone")
        assert "buffer health" in answer.reason

    async def test_nobody_gets_more_pixels_than_are_shown(self, abr: Any, peer: StreamsPeer) -> None:
        peer.streams["film"] = film(sizes=SIZES)
        answer = await abr.SelectQuality(
            pb.SelectQualityRequest(
                **ASK, **PLENTY, viewport=pb.Viewport(width_pixels=700, height_pixels=900)
            )
        )
        assert answer.resolution == "854x480"
        again = await abr.SelectQuality(pb.SelectQualityRequest(**ASK, **PLENTY))
        assert again.resolution == "854x480"  # the viewport is remembered
        larger = pb.Viewport(width_pixels=2_000, height_pixels=1_100)
        most = await abr.SelectQuality(pb.SelectQualityRequest(**ASK, **PLENTY, viewport=larger))
        assert most.resolution == "1920x1080"

    @pytest.mark.parametrize("side", [0, -1, 32_769])
    async def test_a_viewport_outside_its_range_is_refused(self, abr: Any, side: int) -> None:
        viewport = pb.Viewport(width_pixels=640, height_pixels=side)
        error = await refused(abr.SelectQuality(pb.SelectQualityRequest(**ASK, **PLENTY, viewport=viewport)))
        text = f"viewport.height_pixels is {side}: it must lie from 1 to 32,768, or leave viewport out"
        assert str(error) == text

    async def test_an_answer_says_everything_of_the_rendition(self, abr: Any) -> None:
        answer = await abr.SelectQuality(
            pb.SelectQualityRequest(**ASK, bandwidth=3_000, current_quality="medium", policy="fixed")
        )
        assert (answer.bitrate_level, answer.bitrate_label) == (2, "Medium")
        assert (answer.recommended_bitrate_kbps, answer.resolution) == (2_000, "1280x720")
        assert answer.frame_rate == 30
        assert answer.message.startswith("play Medium (2000 kbit/s): ")
        assert abs(answer.timestamp.ToSeconds() - time.time()) < 60

    async def test_it_remembers_what_it_decided(self, abr: Any) -> None:
        for policy, label in (("fixed", "High"), ("zone", "Medium"), ("zone", "Low")):
            request = pb.SelectQualityRequest(**ASK, bandwidth=3_000, buffer_health=30, policy=policy)
            if policy == "fixed":
                request.current_quality = "High"
            assert (await abr.SelectQuality(request)).bitrate_label == label

    async def test_who_was_measured_need_not_say_its_bandwidth(self, abr: Any) -> None:
        error = await refused(abr.SelectQuality(pb.SelectQualityRequest(**ASK)))
        assert error.reason == "BANDWIDTH_UNKNOWN"  # type: ignore[attr-defined]
        await abr.ReportSamples(batches([sample()]))
        assert (await abr.SelectQuality(pb.SelectQualityRequest(**ASK))).policy == "default"
        everybody = await abr.SelectQuality(pb.SelectQualityRequest(recording_id="film"))
        assert everybody.bitrate_label

    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            ({"recording_id": "../film"}, "recording_id is '../film'"),
            ({"viewer_id": "a b"}, "viewer_id is 'a b'"),
            ({"viewer_id": "a" * 129}, "viewer_id is"),
            ({"bandwidth": -1}, "bandwidth is -1.0: it must lie from 0 to 100,000,000"),
            ({"bandwidth": math.nan}, "bandwidth is nan"),
            ({"buffer_s": 3_601}, "buffer_s is 3601.0: it must lie from 0 to 3,600"),
            ({"buffer_health": 100.5}, "buffer_health is 100.5: it must lie from 0 to 100"),
            (
                {"current_quality": "4K"},
                "current_quality is '4K': it must be one of VeryLow, Low, Medium, High",
            ),
            ({"policy": "best"}, "policy is 'best': it must be one of default, zone, bba"),
        ],
    )
    async def test_bad_input_is_named(self, abr: Any, fields: dict[str, Any], text: str) -> None:
        request = pb.SelectQualityRequest(**{**ASK, "bandwidth": 1_000, **fields})
        error = await refused(abr.SelectQuality(request))
        assert isinstance(error, InvalidArgument)
        assert text in str(error)

    async def test_the_configured_policy_decides_where_none_is_named(self, peer: StreamsPeer) -> None:
        async with running_abr(peer.address, abr_policy="zone") as abr:
            request = pb.SelectQualityRequest(**ASK, bandwidth=3_000, buffer_s=20)
            assert (await abr.SelectQuality(request)).policy == "zone"

    async def test_health_is_of_the_configured_buffer(self, peer: StreamsPeer) -> None:
        async with running_abr(peer.address, vod_buffer_target_s=100) as abr:
            request = pb.SelectQualityRequest(**ASK, bandwidth=3_000, buffer_s=20, policy="zone")
            assert "20 %" in (await abr.SelectQuality(request)).reason


class TestStreams:
    async def test_what_is_not_there_is_not_found(self, abr: Any, peer: StreamsPeer) -> None:
        peer.streams["empty"] = film((), stream_id="empty", status="active")
        del peer.streams["empty"].variants[:]
        for stream_id, reason in (("nothing", "NO_STREAM"), ("empty", "NO_RENDITION")):
            calls = [
                abr.SelectQuality(pb.SelectQualityRequest(recording_id=stream_id, bandwidth=1)),
                abr.ReportMetrics(report(recording_id=stream_id)),
                abr.GetStats(pb.GetStatsRequest(recording_id=stream_id)),
            ]
            for call in calls:
                error = await refused(call)
                assert isinstance(error, NotFound)
                assert error.reason == reason
        assert sorted(peer.asked) == ["empty", "nothing"]

    async def test_a_ladder_outlives_the_distributor(self, abr: Any, peer: StreamsPeer) -> None:
        await abr.GetStats(pb.GetStatsRequest(recording_id="film"))
        peer.is_away = True
        await abr.GetStats(pb.GetStatsRequest(recording_id="film"))
        error = await refused(abr.GetStats(pb.GetStatsRequest(recording_id="other")))
        assert isinstance(error, Unavailable)
        assert error.reason == "DISTRIBUTOR_AWAY"

    async def test_a_ladder_in_use_is_brought_up_to_date(self, peer: StreamsPeer) -> None:
        async with running_abr(peer.address, stream_refresh_s=0.1) as abr:
            assert await rates(abr) == [500, 1000, 2000, 4000]
            peer.streams["film"] = film(["Low", "High"])
            await until(lambda: rates(abr), lambda found: found == [1000, 4000])
            peer.is_away = True
            asked_count = len(peer.asked)
            await until(lambda: rates(abr), lambda _: len(peer.asked) >= asked_count + 2)
            assert await rates(abr) == [1000, 4000]

    async def test_as_many_ladders_are_held_as_is_set(self, peer: StreamsPeer) -> None:
        async with open_channel(peer.address) as channel:
            room = build(abr_config(peer.address, stream_count=2), channel)
            for name in ("a", "b", "c"):
                peer.streams[name] = film(stream_id=name)
                await room.streams.get(name)
            assert len(room.streams) == 2
            await room.streams.get("c")
            assert peer.asked == ["a", "b", "c"]


async def rates(abr: Any) -> list[int]:
    stats = await abr.GetStats(pb.GetStatsRequest(recording_id="film"))
    return list(stats.available_bitrates_kbps)


def report(**fields: Any) -> pb.ReportMetricsRequest:
    values = {
        **ASK,
        "segment_number": 1,
        "request_time_ms": 50,
        "download_time_ms": 800,
        "bytes_downloaded": 1_000_000,
        "bitrate_kbps": 1_900,
        "buffer_occupancy_percent": 90,
    }
    return pb.ReportMetricsRequest(**{**values, **fields})


class TestReportMetrics:
    async def test_it_says_what_follows(self, abr: Any) -> None:
        await abr.SelectQuality(pb.SelectQualityRequest(**ASK, bandwidth=3_000, policy="zone"))
        for percent, up, down in ((90, True, False), (50, False, False), (10, False, True)):
            answer = await abr.ReportMetrics(
                report(segment_number=10 - percent // 10, buffer_occupancy_percent=percent)
            )
            assert answer.accepted
            assert answer.current_bitrate_kbps == 2_000
            assert (answer.should_upscale, answer.should_downscale) == (up, down)
            assert "buffer health" in answer.message

    async def test_an_older_segment_does_not_count(self, abr: Any) -> None:
        assert (await abr.ReportMetrics(report(segment_number=5))).accepted
        assert not (await abr.ReportMetrics(report(segment_number=4))).accepted
        assert (await abr.ReportMetrics(report(segment_number=6))).accepted
        stats = await abr.GetStats(pb.GetStatsRequest(**ASK))
        assert stats.recent_segments_count == 2

    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            ({"segment_number": -1}, "segment_number is -1"),
            ({"request_time_ms": math.nan}, "request_time_ms is nan: it must lie from 0 to 600,000"),
            ({"download_time_ms": 0}, "download_time_ms is 0.0: it must be above 0, and at most 600,000"),
            ({"bytes_downloaded": -1}, "bytes_downloaded is -1"),
            ({"bitrate_kbps": 0}, "bitrate_kbps is 0.0: it must be above 0"),
            (
                {"buffer_occupancy_percent": 101},
                "buffer_occupancy_percent is 101.0: it must lie from 0 to 100",
            ),
        ],
    )
    async def test_bad_input_is_named(self, abr: Any, fields: dict[str, Any], text: str) -> None:
        error = await refused(abr.ReportMetrics(report(**fields)))
        assert isinstance(error, InvalidArgument)
        assert text in str(error)


class TestGetStats:
    async def test_of_one_viewer(self, abr: Any) -> None:
        await abr.ReportMetrics(report(segment_number=1, download_time_ms=800))
        await abr.ReportMetrics(
            report(segment_number=2, download_time_ms=400, bitrate_kbps=1_000, buffer_occupancy_percent=50)
        )
        stats = await abr.GetStats(pb.GetStatsRequest(**ASK))
        assert stats.current_bitrate_kbps == 1_000
        assert list(stats.available_bitrates_kbps) == [500, 1000, 2000, 4000]
        assert stats.optimal_bitrate_kbps == 4_000
        assert stats.recent_segments_count == 2
        assert stats.average_download_time_ms == pytest.approx(600)
        assert stats.average_buffer_health_percent == pytest.approx(70)
        network = stats.network_stats
        assert (network.min_kbps, network.max_kbps) == (10_000, 20_000)
        assert network.mean_kbps == pytest.approx(15_000)
        assert network.deviation_kbps == pytest.approx(5_000)
        assert network.estimated_kbps == pytest.approx(2 / (1 / 10_000 + 1 / 20_000))
        assert network.latency_ms == pytest.approx(50)
        assert network.size_bytes == 2_000_000
        assert stats.qoe.average_bitrate_kbps == pytest.approx(1_500)
        assert (stats.qoe.switches_count, stats.qoe.rebuffers_count) == (1, 0)
        assert stats.qoe.score == pytest.approx((2 + 1 - 1) / 2)
        assert stats.viewers_count == 1

    async def test_of_all_viewers(self, abr: Any) -> None:
        none = await abr.GetStats(pb.GetStatsRequest(recording_id="film"))
        assert (none.viewers_count, none.current_bitrate_kbps) == (0, 0)
        await abr.ReportMetrics(report(viewer_id="ann", bitrate_kbps=4_000))
        await abr.ReportMetrics(report(viewer_id="bob", bitrate_kbps=2_000))
        stats = await abr.GetStats(pb.GetStatsRequest(recording_id="film"))
        assert (stats.viewers_count, stats.current_bitrate_kbps) == (2, 3_000)

    async def test_of_somebody_unknown(self, abr: Any) -> None:
        error = await refused(abr.GetStats(pb.GetStatsRequest(recording_id="film", viewer_id="nobody")))
        assert isinstance(error, NotFound)
        assert error.reason == "NO_VIEWER"

    async def test_the_idle_are_forgotten(self, peer: StreamsPeer) -> None:
        async with running_abr(peer.address, viewer_idle_s=1) as abr:
            await abr.ReportMetrics(report())
            await until(lambda: everybody(abr), lambda stats: stats.viewers_count == 0)

    async def test_as_many_viewers_are_remembered_as_is_set(self, peer: StreamsPeer) -> None:
        async with running_abr(peer.address, viewer_count=2) as abr:
            for name in ("ann", "bob", "cat"):
                await abr.ReportMetrics(report(viewer_id=name))
            assert (await until_measured(abr, 2)).viewers_count == 2
            assert isinstance(await refused(abr.GetStats(pb.GetStatsRequest(**ASK))), NotFound)


class TestReportSamples:
    @pytest.mark.parametrize("by_columns", [False, True])
    async def test_what_counts_is_counted(self, abr: Any, by_columns: bool) -> None:
        samples = [
            sample("ann"),
            sample("bob", variant_id="audio"),
            sample("cat", buffer_s=math.nan),
            sample("cat", sample_time=Timestamp(seconds=int(time.time()) - 120)),
            sample("dan", stream_id="nothing"),
            sample("dan", stream_id="../film"),
            sample("e e"),
        ]
        request = (
            pb.ReportSamplesRequest(columns=columns(samples))
            if by_columns
            else pb.ReportSamplesRequest(samples=samples)
        )
        answer = await abr.ReportSamples(iter([request]))
        assert (answer.accepted_count, answer.dropped_count) == (2, 5)
        await until_measured(abr, 1)
        known = await abr.GetStats(pb.GetStatsRequest(recording_id="film", viewer_id="ann"))
        assert (known.current_bitrate_kbps, known.recent_segments_count) == (2_000, 1)

    async def test_low_latency_is_measured_by_its_parts(self, abr: Any, peer: StreamsPeer) -> None:
        peer.streams["film"] = film(
            type="live", status="active", low_latency=True, target_duration=2, part_target_s=0.5
        )
        for _ in range(6):  # a second and a half is what players aim at holding
            part = sample(msn=None, duration_s=0.5, buffer_s=1.4, transfer_ms=1, size_bytes=1_000)
            await abr.ReportSamples(iter([pb.ReportSamplesRequest(columns=columns([part]))]))
        known = await until_measured(abr, 1)
        assert known.recent_segments_count == 2  # six quarters of a segment
        assert known.average_buffer_health_percent > 70

    async def test_too_many_at_once_are_refused(self, abr: Any) -> None:
        request = pb.ReportSamplesRequest(samples=[sample()] * 1_001)
        error = await refused(abr.ReportSamples(iter([request])))
        assert isinstance(error, InvalidArgument)

    async def test_what_a_broken_client_sent_counts(self, abr: Any) -> None:
        call = abr.ReportSamples()
        await call.write(pb.ReportSamplesRequest(samples=[sample("ann"), sample("bob")]))
        await until_measured(abr, 2)
        call.cancel()
        assert (await until_measured(abr, 2)).viewers_count == 2

    async def test_a_decision_follows_from_each_segment_and_only_another_one_is_told(self, abr: Any) -> None:
        async with watching(abr) as watcher:
            call = abr.ReportSamples()
            for msn in range(6):
                await call.write(pb.ReportSamplesRequest(samples=[sample(msn=msn)]))
                await until_segments(abr, msn + 1)
            await call.done_writing()
            decisions = await watcher.until(1)
            assert (decisions[0].stream_id, decisions[0].viewer_id) == ("film", "ann")
            assert decisions[0].variant_id in {"verylow", "low", "medium", "high"}
            assert decisions[0].variant_bps > 0
            assert decisions[0].reason
            told = [decision.variant_id for decision in watcher.decisions]
            assert all(one != other for one, other in pairwise(told))

    async def test_nobody_is_told_of_the_aggregate(self, abr: Any) -> None:
        async with watching(abr) as watcher:
            await abr.SelectQuality(pb.SelectQualityRequest(recording_id="film", bandwidth=1_000))
            await abr.SelectQuality(pb.SelectQualityRequest(**ASK, bandwidth=1_000))
            assert [decision.viewer_id for decision in await watcher.until(1)] == ["ann"]


async def until_segments(abr: Any, count: int) -> None:
    await until(lambda: everybody(abr), lambda stats: stats.recent_segments_count >= count)


class TestWatchDecisions:
    async def test_a_watcher_that_does_not_read_is_ended(self, peer: StreamsPeer) -> None:
        """The bound is one batch: a second one that waits is too many."""
        async with open_channel(peer.address) as channel:
            room = build(abr_config(peer.address, watch_queue_count=1), channel)
            context: Any = Context()
            watch = room.servicer.WatchDecisions(pb.WatchDecisionsRequest(), context)
            first = asyncio.ensure_future(anext(watch))
            await asyncio.sleep(0)
            room.bulletin._deliver(pb.WatchDecisionsResponse().SerializeToString())
            await first
            for _ in range(2):
                room.bulletin._deliver(b"")
            with pytest.raises(Unavailable, match="watch again") as error:
                await anext(watch)
            assert error.value.reason == "WATCHER_TOO_SLOW"

    async def test_a_process_that_stops_sends_its_watchers_away(self, peer: StreamsPeer) -> None:
        async with AsyncExitStack() as running:
            port = await running.enter_async_context(serve_abr(abr_config(peer.address), Stopping()))
            async with open_channel(f"127.0.0.1:{port}") as channel:
                call = pb_grpc.AbrServiceStub(channel).WatchDecisions(pb.WatchDecisionsRequest())
                await call.initial_metadata()
                reading = asyncio.create_task(read(call))
                await running.aclose()
                with pytest.raises(Unavailable) as error:
                    await reading
        assert error.value.reason == "STOPPING"


class Context:
    """What a handler asks of gRPC."""

    async def send_initial_metadata(self, metadata: Any) -> None:
        pass


async def read(call: Any) -> None:
    async with peer_errors():
        async for _ in call:
            pass


class TestProcess:
    async def test_it_is_healthy_without_nats(self, peer: StreamsPeer) -> None:
        async with (
            serve_abr(abr_config(peer.address, NO_NATS), Stopping()) as port,
            open_channel(f"127.0.0.1:{port}") as channel,
        ):
            health: Any = health_pb2_grpc.HealthStub(channel)
            for service in ("", *SERVICES):
                answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
                assert answer.status == SERVING

    async def test_it_says_that_it_stops_before_it_does(self, peer: StreamsPeer) -> None:
        stop = asyncio.Event()
        started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def run() -> None:
            config = abr_config(peer.address, shutdown_grace_s=0.0, drain_s=1.0)
            async with serve_abr(config, Stopping()) as port:
                started.set_result(port)
                await stop.wait()

        running = asyncio.create_task(run())
        async with open_channel(f"127.0.0.1:{await started}") as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            await health.Check(health_pb2.HealthCheckRequest())
            start = time.monotonic()
            stop.set()
            ask = health_pb2.HealthCheckRequest()
            await until(lambda: health.Check(ask), lambda answer: answer.status != SERVING)
            await running
            assert time.monotonic() - start >= 1.0
