"""Viewers over real replicas and a real nats-server: limits, figures, losses, and who is who."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from weir.abr.v1 import abr_pb2, abr_pb2_grpc
from weir.distributor.v1 import distributor_pb2 as api

from chassis import errors
from chassis.grpc_client import peer_errors
from chassis.grpc_server import serve
from chassis.nats_connection import connect
from distributor.adapters.view_log import open_view_log
from distributor.adapters.view_states import open_view_states
from distributor.config import DistributorConfig
from distributor.domain.views import Join, Terms
from distributor.viewers import ViewerRules, Viewers
from support.abr import running_abr
from support.distributor import Distributor, ended, open_writer, rendition, running_distributor, segment
from support.nats import NatsServer
from support.ports import free_base

RULES = ViewerRules(terms=Terms(timeout_s=60.0), state_interval_s=3600.0)


@pytest.fixture
async def replicas(nats_server: NatsServer) -> AsyncIterator[Sequence[Distributor]]:
    """Two replicas, and a film of two renditions."""
    async with running_distributor(nats_server.url) as one, running_distributor(nats_server.url) as two:
        await make_film(one)
        yield one, two


async def make_film(replica: Distributor, stream_id: str = "film") -> None:
    writer = await open_writer(replica.timeline, stream_id)
    high = rendition("High", target_bps=3_000_000, peak_bps=3_000_000)
    await writer.append(rendition(), high, segment(0), segment(0, "High", size_bytes=1_500_000), ended())


async def join(replica: Distributor, viewer_id: str = "v", stream_id: str = "film", **fields: Any) -> Any:
    request = api.JoinStreamRequest(stream_id=stream_id, viewer_id=viewer_id, **fields)
    async with peer_errors():
        return await replica.distribution.JoinStream(request)


async def leave(replica: Distributor, viewer_id: str = "v") -> Any:
    async with peer_errors():
        return await replica.distribution.LeaveStream(
            api.LeaveStreamRequest(stream_id="film", viewer_id=viewer_id)
        )


async def start(replica: Distributor, **fields: Any) -> Any:
    async with peer_errors():
        return await replica.distribution.StartDistribution(
            api.StartDistributionRequest(recording_id="film", **fields)
        )


async def show(replica: Distributor, **fields: Any) -> Any:
    async with peer_errors():
        return await replica.distribution.GetDistribution(
            api.GetDistributionRequest(stream_id="film", **fields)
        )


async def stats(replica: Distributor) -> Any:
    async with peer_errors():
        return await replica.streams.GetStreamStats(api.GetStreamStatsRequest(stream_id="film"))


async def metrics(replica: Distributor) -> Any:
    return await replica.distribution.GetMetrics(api.GetMetricsRequest())


def sample(session_id: str, **fields: Any) -> api.DeliverySample:
    """A gateway sent one segment of a megabyte, from memory."""
    variant_id = fields.get("variant_id", "Low")
    served = api.VariantDelivery(
        variant_id=variant_id, segments_count=1, size_bytes=1_000_000, requests_count=2
    )
    values: dict[str, Any] = {"stream_id": "film", "variant_id": variant_id, "segments_count": 1}
    values |= {"size_bytes": 1_000_000, "cache_hits_count": 1, "cache_misses_count": 1}
    values |= {"last_time": Timestamp(seconds=int(time.time())), "variants": [served]}
    return api.DeliverySample(session_id=session_id, **{**values, **fields})


async def report(
    replica: Distributor, *samples: api.DeliverySample, number: int = 1, gateway: str = "g1"
) -> Any:
    message = api.ReportDeliveriesRequest(
        gateway=gateway, report_number=number, grpc_address="10.0.0.1:50054", samples=samples
    )
    async with peer_errors():
        return await replica.distribution.ReportDeliveries(iter([message]))


async def eventually(
    ask: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool], *, within_s: float = 20.0
) -> Any:
    """Ask until the answer is as wanted; replicas hear of each other within milliseconds."""
    deadline = time.monotonic() + within_s
    while True:
        answer = await ask()
        if holds(answer):
            return answer
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.02)


class TestJoining:
    async def test_exactly_the_limit_gets_in_over_two_replicas(self, replicas: Sequence[Distributor]) -> None:
        await start(replicas[0], max_viewers=100)
        await eventually(lambda: start(replicas[1], max_viewers=100), lambda it: it.max_viewers == 100)
        calls = [join(replicas[number % 2], f"v{number}") for number in range(200)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, errors.ResourceExhausted)]
        assert len(refused) == 100
        admitted = [answer for answer in answers if not isinstance(answer, BaseException)]
        assert len({answer.session_id for answer in admitted}) == 100
        assert refused[0].reason == "TOO_MANY_VIEWERS"
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await replicas[0].distribution.JoinStream(api.JoinStreamRequest(stream_id="film", viewer_id="w"))
        assert "google.rpc.RetryInfo" in str(told.value.trailing_metadata())
        for replica in replicas:
            shown = await eventually(partial(show, replica), lambda it: it.active_viewers == 100)
            assert shown.peak_viewers == 100

    async def test_joins_and_leaves_at_once_never_exceed_the_limit(
        self, replicas: Sequence[Distributor]
    ) -> None:
        await start(replicas[0], max_viewers=3)

        async def come_and_go(number: int) -> int:
            entered = 0
            for _ in range(5):
                try:
                    await join(replicas[number % 2], f"v{number}")
                except errors.ResourceExhausted:
                    continue
                entered += 1
                await leave(replicas[(number + 1) % 2], f"v{number}")
            return entered

        assert sum(await asyncio.gather(*map(come_and_go, range(10)))) >= 3
        shown = await eventually(lambda: show(replicas[0]), lambda it: it.active_viewers == 0)
        assert 1 <= shown.peak_viewers <= 3

    async def test_a_second_join_answers_the_same_session(self, replicas: Sequence[Distributor]) -> None:
        answers = await asyncio.gather(*(join(replicas[number % 2]) for number in range(10)))
        assert len({answer.session_id for answer in answers}) == 1

    async def test_a_join_tells_what_to_play(self, replicas: Sequence[Distributor]) -> None:
        answer = await join(replicas[0], initial_bitrate="High")
        assert answer.current_bitrate == "High"
        assert answer.playback_url == f"/hls/film/master.m3u8?session={answer.session_id}&first=High"
        assert (answer.recording_id, answer.buffer_health) == ("film", 0)
        unsaid = await join(replicas[0], "w")
        assert unsaid.current_bitrate == "Low"
        assert "first" not in unsaid.playback_url
        with pytest.raises(errors.InvalidArgument, match="High"):
            await join(replicas[0], "x", initial_bitrate="Huge")

    @pytest.mark.parametrize(
        ("profile", "max_viewers", "limit"), [("", 0, 50), ("High", 0, 25), ("VeryLow", 7, 7)]
    )
    async def test_the_limit_is_that_of_the_start_else_of_the_profile(
        self, nats_server: NatsServer, profile: str, max_viewers: int, limit: int
    ) -> None:
        async with running_distributor(nats_server.url) as replica:
            await make_film(replica)
            started = await start(replica, profile=profile, max_viewers=max_viewers)
            assert (started.max_viewers, list(started.profiles)) == (limit, ["Low", "High"])

    async def test_the_limit_of_a_stream_counts_before_the_profile(
        self, replicas: Sequence[Distributor]
    ) -> None:
        await replicas[0].streams.CreateStream(api.CreateStreamRequest(stream_id="live", max_viewers=1))
        await join(replicas[0], "v", "live")
        with pytest.raises(errors.ResourceExhausted, match="1 viewers"):
            await join(replicas[1], "w", "live")

    async def test_bad_requests_say_what_is_wrong(self, replicas: Sequence[Distributor]) -> None:
        replica = replicas[0]
        with pytest.raises(errors.NotFound):
            await join(replica, stream_id="nothing")
        with pytest.raises(errors.InvalidArgument, match="viewer_id"):
            await join(replica, "no/slash")
        with pytest.raises(errors.InvalidArgument, match="profile"):
            await start(replica, profile="Huge")
        with pytest.raises(errors.InvalidArgument, match="max_viewers"):
            await start(replica, max_viewers=-1)
        with pytest.raises(errors.NotFound, match="join first"):
            await leave(replica, "nobody")
        with pytest.raises(errors.InvalidArgument, match="viewer_id"):
            await leave(replica, "")
        with pytest.raises(errors.InvalidArgument, match="page_size"):
            await show(replica, page_size=-1)
        await open_writer(replica.timeline, "empty")
        with pytest.raises(errors.NotFound, match="transcode"):
            async with peer_errors():
                request = api.StartDistributionRequest(recording_id="empty")
                await replica.distribution.StartDistribution(request)


class TestReports:
    async def test_a_gateway_that_was_not_shown_a_join_is_told_of_it(
        self, replicas: Sequence[Distributor]
    ) -> None:
        joined = await join(replicas[0])
        await report(replicas[0], sample("sid", joined_session_id=joined.session_id), sample("other"))
        numbers = count()

        async def ask() -> Any:
            samples = sample("sid"), sample("other")
            return await report(replicas[1], *samples, number=next(numbers), gateway="g2")

        (told,) = (await eventually(ask, lambda it: it.joined)).joined
        assert (told.stream_id, told.session_id) == ("film", "sid")
        assert told.joined_session_id == joined.session_id

    async def test_a_player_that_says_its_name_late_is_one_viewer(
        self, replicas: Sequence[Distributor]
    ) -> None:
        asked = api.VariantDelivery(requests_count=1)  # for the multivariant playlist
        nameless = api.DeliverySample(stream_id="film", session_id="at-1", variants=[asked])
        await report(replicas[0], nameless)
        await eventually(lambda: show(replicas[1]), lambda it: it.active_viewers == 1)
        await report(replicas[1], sample("sid", place_session_id="at-1"), gateway="g2")
        for replica in replicas:
            shown = await eventually(lambda: show(replica), lambda it: it.total_segments_served)  # noqa: B023
            assert [one.viewer_id for one in shown.viewers] == ["sid"]

    async def test_figures_are_what_gateways_sent_on_every_replica(
        self, replicas: Sequence[Distributor]
    ) -> None:
        joined = await join(replicas[0])
        own = sample("sid", joined_session_id=joined.session_id, variant_id="High", buffer_s=7.0)
        answer = await report(replicas[0], own, sample("other", latency_s=2.0))
        assert (answer.accepted_count, answer.dropped_count) == (2, 0)
        await report(replicas[1], own, sample("other", latency_s=2.0))  # the gateway did not hear the answer
        await report(replicas[1], sample("sid", variant_id="High"), gateway="g2")
        for replica in replicas:
            shown = await eventually(partial(show, replica), lambda it: it.total_segments_served == 3)
            assert (shown.active_viewers, shown.total_bytes_served) == (2, 3_000_000)
            other, viewer = shown.viewers
            assert (viewer.viewer_id, viewer.session_id) == ("v", joined.session_id)
            assert (viewer.current_bitrate, viewer.segments_received) == ("High", 2)
            assert (viewer.buffer_health, viewer.connection_quality) == (70.0, "good")
            assert (other.viewer_id, other.connection_quality) == ("other", "")
            told = await stats(replica)
            assert (told.current_viewers, told.total_views, told.segments_served) == (2, 2, 3)
            assert (told.bytes_served, told.average_latency) == (3_000_000, 2.0)
            assert told.variant_stats["High"].current_viewers == 1
            assert told.variant_stats["High"].bytes_served == 2_000_000
            total = await metrics(replica)
            assert (total.total_active_viewers, total.total_bytes_served) == (2, 3_000_000)
            assert total.cdn_cache_hit_rate == 0.5
        left = await leave(replicas[0])
        assert (left.segments_received, left.bytes_received) == (2, 2_000_000)

    async def test_samples_out_of_range_are_dropped_alone(self, replicas: Sequence[Distributor]) -> None:
        bad = [
            sample("a", stream_id="../etc"),
            sample(""),
            sample("a", size_bytes=-1),
            sample("a", buffer_s=float("nan")),
            sample("a", variant_id="no/slash"),
        ]
        answer = await report(replicas[0], *bad, sample("good"))
        assert (answer.accepted_count, answer.dropped_count) == (1, 5)
        shown = await eventually(lambda: show(replicas[1]), lambda it: it.active_viewers == 1)
        assert shown.viewers[0].viewer_id == "good"

    async def test_reports_that_cannot_be_counted_are_refused(self, replicas: Sequence[Distributor]) -> None:
        with pytest.raises(errors.InvalidArgument, match="gateway"):
            await report(replicas[0], sample("a"), gateway="")
        with pytest.raises(errors.InvalidArgument, match="report_number"):
            await report(replicas[0], sample("a"), number=-1)
        with pytest.raises(errors.InvalidArgument, match="1001"):
            await report(replicas[0], *[sample("a")] * 1001)

    async def test_a_stream_that_is_made_anew_begins_at_nothing(
        self, replicas: Sequence[Distributor]
    ) -> None:
        await report(replicas[0], sample("a"))
        await eventually(lambda: stats(replicas[1]), lambda it: it.segments_served == 1)
        await replicas[0].streams.DeleteStream(api.DeleteStreamRequest(stream_id="film"))
        await make_film(replicas[0])
        await eventually(lambda: stats(replicas[1]), lambda it: it.total_views == 0)
        assert (await metrics(replicas[1])).total_segments_served == 1


class TestLosses:
    async def test_a_replica_that_starts_knows_everything(self, nats_server: NatsServer) -> None:
        async with running_distributor(nats_server.url, views_state_interval_s=0.1) as one:
            await make_film(one)
            joined = await join(one)
            await report(one, sample(joined.session_id))
            await state_reaches(nats_server, 2)
            await report(one, sample(joined.session_id), number=2)
        async with running_distributor(nats_server.url) as two:
            shown = await show(two)
            assert (shown.active_viewers, shown.total_segments_served) == (1, 2)
            assert shown.viewers[0].session_id == joined.session_id
            assert (await join(two)).session_id == joined.session_id

    async def test_the_log_is_kept_short_and_those_who_missed_it_catch_up(
        self, nats_server: NatsServer
    ) -> None:
        async with viewers_of(nats_server) as (late, _), viewers_of(nats_server) as (steady, log):
            for number in range(3):
                await log.ask([join_of(f"v{number}")], message_id=f"m{number}")
                await steady.catch_up()
                await steady.keep_state()
            assert [view.sequence async for view in log.read(after_sequence=0, up_to=3)] == [3]
            await late.catch_up()
            assert late.present_count() == steady.present_count() == 3

    async def test_a_report_is_counted_whole_whoever_asked_for_it_goes_away(
        self, nats_server: NatsServer
    ) -> None:
        async with viewers_of(nats_server) as (viewers, log), viewers_of(nats_server) as (other, _):
            samples = [sample(f"sid-{number}") for number in range(1_000)]
            wire = api.ReportDeliveriesRequest(gateway="g1", samples=samples).SerializeToString()
            await log.report(wire, message_id="g1/1")
            asking = asyncio.create_task(viewers.catch_up())
            while not 0 < viewers.present_count() < len(samples):  # noqa: ASYNC110 - it is amid a report
                await asyncio.sleep(0)
            keeping = asyncio.create_task(viewers.keep_state())
            asking.cancel()
            await asyncio.gather(asking, keeping, return_exceptions=True)
            assert viewers.present_count() == len(samples)
            await other.begin()
            assert (other.present_count(), other.sum()) == (len(samples), viewers.sum())

    async def test_a_log_that_is_gone_stops_nothing(self, nats_server: NatsServer) -> None:
        async with viewers_of(nats_server) as (late, log), viewers_of(nats_server) as (other, _):
            await log.ask([join_of("v1")], message_id="m1")
            await late.catch_up()
            await log.ask([join_of("v2"), join_of("v3", limit=1)], message_id="m2")
            await log.trim(up_to=2)
            await log.ask([join_of("v4")], message_id="m3")
            for viewers in (late, other):
                await viewers.catch_up()
            assert (late.present_count(), other.present_count()) == (2, 1)

    async def test_totals_go_on_where_the_log_was_made_anew(self, nats_server: NatsServer) -> None:
        async with viewers_of(nats_server) as (viewers, log):
            for number in range(3):
                await log.ask([join_of(f"v{number}")], message_id=f"m{number}")
            await viewers.catch_up()
            await viewers.keep_state()
            await delete_log(nats_server)
            async with viewers_of(nats_server) as (fresh, new_log):
                await new_log.ask([join_of("v9")], message_id="m9")
                await fresh.begin()
                await viewers.catch_up()
                assert fresh.present_count() == viewers.present_count() == 4

    async def test_the_end_of_a_log_that_was_lost_is_given_up(self, nats_server: NatsServer) -> None:
        async with viewers_of(nats_server) as (viewers, log):
            await log.ask([join_of("v1")], message_id="m1")
            await viewers.catch_up()
            await delete_log(nats_server)
            async with viewers_of(nats_server):
                await viewers.catch_up()
            assert viewers.present_count() == 0

    async def test_nothing_is_lost_or_doubled_over_a_restart_of_nats(self, nats_server: NatsServer) -> None:
        async with running_distributor(nats_server.url) as one, running_distributor(nats_server.url) as two:
            await make_film(one)
            joined = await join(one)
            await report(one, sample(joined.session_id))
            nats_server.kill()
            reporting = asyncio.create_task(report(two, sample(joined.session_id), number=2))
            joining = asyncio.create_task(join(one, "w"))
            assert (await metrics(one)).total_active_viewers == 1
            nats_server.start()
            await asyncio.gather(reporting, joining)
            await report(two, sample(joined.session_id), number=2)
            await report(one, sample(joined.session_id), number=3)
            for replica in (one, two):
                shown = await eventually(partial(show, replica), lambda it: it.total_segments_served == 3)
                assert shown.active_viewers == 2

    async def test_a_silent_viewer_is_gone_after_the_timeout(self, nats_server: NatsServer) -> None:
        async with running_distributor(nats_server.url, session_timeout_s=1.0) as replica:
            await make_film(replica)
            await start(replica, max_viewers=1)
            await join(replica)
            with pytest.raises(errors.ResourceExhausted):
                await join(replica, "w")
            await eventually(lambda: show(replica), lambda it: it.active_viewers == 0)
            await join(replica, "w")
            assert (await metrics(replica)).total_active_viewers == 1


class TestAlive:
    async def test_distributors_are_counted_while_they_live(self, nats_server: NatsServer) -> None:
        async with running_distributor(nats_server.url) as one:
            async with running_distributor(nats_server.url) as two:
                for replica in (one, two):
                    await eventually(partial(metrics, replica), lambda it: it.total_distributors == 2)
            await eventually(lambda: metrics(one), lambda it: it.total_distributors == 1)


class TestSettings:
    async def test_profiles_are_the_configured_ones(self, nats_server: NatsServer) -> None:
        names = ["segment_s", "buffer_segments_count", "max_viewers", "retries_count", "timeout_s"]
        medium = {"name": "Medium", **dict.fromkeys(names, 2), "compression_level": 1}
        async with running_distributor(nats_server.url, delivery_profiles=[medium]) as replica:
            await make_film(replica)
            assert (await start(replica)).max_viewers == 2
            await report(replica, sample("a", buffer_s=1.0))
            shown = await eventually(lambda: show(replica), lambda it: it.active_viewers == 1)
            assert shown.viewers[0].buffer_health == 25.0

    async def test_no_more_sessions_are_held_than_is_set(self, nats_server: NatsServer) -> None:
        async with running_distributor(nats_server.url, session_limit_count=2) as replica:
            await make_film(replica)
            await report(replica, sample("a"), sample("b"), sample("c"))
            shown = await eventually(lambda: show(replica), lambda it: it.total_segments_served == 3)
            assert shown.active_viewers == 2

    async def test_the_log_has_the_room_that_is_set(self, nats_server: NatsServer) -> None:
        async with (
            running_distributor(nats_server.url, views_limit_bytes=2_000_000),
            connect(DistributorConfig(nats_url=nats_server.url), name="test") as client,
        ):
            info = await client.jetstream().stream_info("WEIR_VIEWS")
        assert info.config.max_bytes == 2_000_000


class AbrPeer(abr_pb2_grpc.AbrServiceServicer):
    """An abr that says what it was asked, and always "High"."""

    def __init__(self) -> None:
        self.asked: list[abr_pb2.SelectQualityRequest] = []

    async def SelectQuality(self, request: abr_pb2.SelectQualityRequest, context: Any) -> Any:
        self.asked.append(request)
        return abr_pb2.SelectQualityResponse(bitrate_label="High", reason="because", message="play High")


class TestAdapting:
    async def test_abr_decides_and_the_answer_is_what_the_viewer_plays(self, nats_server: NatsServer) -> None:
        peer = AbrPeer()  # type: ignore[abstract]
        async with (
            abr_service(peer) as address,
            running_distributor(nats_server.url, abr_address=address) as one,
            running_distributor(nats_server.url, abr_address=address) as two,
        ):
            await make_film(one)
            joined = await join(one)
            answer = await adapt(two, viewer_id="v", buffer_health=90.0)
            assert (answer.recording_id, answer.viewer_id) == ("film", "v")
            assert (answer.old_bitrate, answer.new_bitrate, answer.reason) == ("Low", "High", "because")
            assert (answer.buffer_health, answer.connection_quality) == (90.0, "excellent")
            again = await adapt(two, stream_id="film", viewer_id="v", buffer_health=0.0, policy="bola")
            assert (again.old_bitrate, again.connection_quality) == ("High", "poor")
            first, second = peer.asked
            assert (first.recording_id, first.viewer_id) == ("film", joined.session_id)
            assert (first.policy, second.policy) == ("zone", "bola")
            assert (first.current_quality, first.buffer_health) == ("Low", 90.0)

    async def test_the_real_abr_decides_by_zones_for_who_was_never_measured(
        self, nats_server: NatsServer
    ) -> None:
        address = f"127.0.0.1:{free_base()}"
        async with (
            running_distributor(nats_server.url, abr_address=address) as replica,
            running_abr(replica.address, grpc_address=address),
        ):
            await make_film(replica)
            await join(replica, initial_bitrate="Low")
            played = []
            for health in (90.0, 50.0, 30.0, 90.0, 10.0):
                answer = await adapt(replica, stream_id="film", viewer_id="v", buffer_health=health)
                played.append(answer.new_bitrate)
            assert played == ["High", "High", "Low", "High", "Low"]

    async def test_abr_away_is_said_and_nothing_else_suffers(self, replicas: Sequence[Distributor]) -> None:
        await join(replicas[0])
        with pytest.raises(errors.Unavailable) as away:
            await adapt(replicas[0], viewer_id="v", buffer_health=50.0)
        assert away.value.reason == "ABR_AWAY"
        health = await replicas[0].distribution.GetHealth(api.GetHealthRequest())
        assert (health.status, health.needs["nats"]) == ("degraded", "ok")
        assert health.needs["abr"] != "ok"

    async def test_bad_questions_say_what_is_wrong(self, replicas: Sequence[Distributor]) -> None:
        with pytest.raises(errors.InvalidArgument, match="buffer_health"):
            await adapt(replicas[0], viewer_id="v")
        with pytest.raises(errors.InvalidArgument, match="buffer_health"):
            await adapt(replicas[0], viewer_id="v", buffer_health=101.0)
        with pytest.raises(errors.InvalidArgument, match="viewer_id"):
            await adapt(replicas[0], buffer_health=50.0)
        with pytest.raises(errors.NotFound, match="nobody"):
            await adapt(replicas[0], viewer_id="nobody", buffer_health=50.0)


async def adapt(replica: Distributor, **fields: Any) -> Any:
    async with peer_errors():
        return await replica.distribution.AdaptQuality(api.AdaptQualityRequest(**fields))


@asynccontextmanager
async def abr_service(peer: AbrPeer) -> AsyncIterator[str]:
    def register(server: grpc.aio.Server) -> None:
        abr_pb2_grpc.add_AbrServiceServicer_to_server(peer, server)

    async with serve("127.0.0.1:0", register, services=(), grace_s=0) as (_, port):
        yield f"127.0.0.1:{port}"


@asynccontextmanager
async def viewers_of(server: NatsServer) -> AsyncIterator[tuple[Viewers, Any]]:
    """What one replica knows, without its loops; and the log."""
    async with connect(DistributorConfig(nats_url=server.url), name="test") as client:
        log = await open_view_log(client, replicas=1, max_bytes=10_000_000)
        yield Viewers(log, await open_view_states(client, replicas=1), RULES, time.time), log


def join_of(viewer_id: str, *, limit: int = 10) -> Join:
    return Join(stream_id="film", viewer_id=viewer_id, session_id=viewer_id, variant_id="", limit=limit)


async def delete_log(server: NatsServer) -> None:
    async with connect(DistributorConfig(nats_url=server.url), name="test") as client:
        await client.jetstream().delete_stream("WEIR_VIEWS")


async def state_reaches(server: NatsServer, sequence: int) -> None:
    async with connect(DistributorConfig(nats_url=server.url), name="test") as client:
        states = await open_view_states(client, replicas=1)
        await eventually(states.newest_sequence, lambda newest: newest >= sequence)
