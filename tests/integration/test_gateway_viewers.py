"""What a gateway tells of its viewers, and what it tells them: over real sockets and real gRPC."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
from weir.abr.v1 import abr_pb2
from weir.distributor.v1 import distributor_pb2

from support.audience_peer import Theatre, running_theatre, until_so
from support.gateway import (
    INCARNATION,
    Answer,
    audio,
    live_segment,
    live_stream,
    part,
    publish,
    segment,
    store_part,
    until,
    video,
)

MASTER = "/hls/talk/master.m3u8"
PLAYLIST = f"/hls/talk/variants/High/playlist.m3u8?i={INCARNATION}"
SEGMENT = f"/hls/talk/variants/High/segment_0.m4s?i={INCARNATION}"
CMCD = "CMCD=bl%3D12000%2Cbr%3D4000%2Cbs%2Cd%3D4000%2Cmtp%3D25400%2Cot%3Dv%2Csid%3D%22player-1%22%2Ctb%3D4000"


@pytest_asyncio.fixture
async def theatre(tmp_path: Path) -> AsyncIterator[Theatre]:
    async with running_theatre(tmp_path) as running:
        await fill(running)
        yield running


async def fill(theatre: Theatre) -> None:
    low = video("Low", target_bps=1_000_000, peak_bps=1_500_000, height_pixels=480, name="Low")
    segments = [segment(0), segment(1), segment(0, "Low"), segment(0, "audio")]
    await publish(theatre.scene, [video(), low, audio(), *segments])


class TestDeliveries:
    async def test_a_session_is_told_with_what_it_was_sent(self, theatre: Theatre) -> None:
        for path in (MASTER, PLAYLIST, SEGMENT, SEGMENT, SEGMENT.replace("segment_0", "segment_9")):
            await theatre.scene.get(f"{path}{'&' if '?' in path else '?'}{CMCD}")
        await theatre.scene.get(f"{SEGMENT}&{CMCD}", range="bytes=0-99")
        samples = await self.told(theatre, requests_count=6)
        assert {(one.stream_id, one.session_id) for one in samples} == {("talk", "player-1")}
        assert sum(one.segments_count for one in samples) == 2
        assert sum(one.size_bytes for one in samples) == 2 * 1000 + 100
        assert sum(one.failed_requests_count for one in samples) == 1
        assert sum(one.cache_misses_count for one in samples) == 1
        assert sum(one.cache_hits_count for one in samples) == 2
        assert {variant.variant_id for one in samples for variant in one.variants} == {"", "High"}
        assert samples[-1].variant_id == "High"
        assert 12.0 in {one.buffer_s for one in samples}

    async def test_variants_that_are_not_there_are_not_kept_by_name(self, theatre: Theatre) -> None:
        for number in range(5):
            answer = await theatre.scene.get(f"/hls/talk/variants/none-{number}/playlist.m3u8?{CMCD}")
            assert answer.status == 404
        samples = await self.told(theatre, requests_count=5)
        assert sum(one.failed_requests_count for one in samples) == 5
        assert {variant.variant_id for one in samples for variant in one.variants} == {""}

    async def test_what_a_player_says_stops_no_gateway(self, theatre: Theatre) -> None:
        for said in ("CMCD=br%3D(1%3Bv)%2Cbr%3D5000", "CMCD=br%3D(1%3Bv)%2Cbr%3D(2%3Bv)"):
            assert (await theatre.scene.get(f"{SEGMENT}&{said}")).status == 200
        await self.told(theatre, requests_count=2)
        assert (await theatre.scene.get(SEGMENT)).status == 200

    @pytest.mark.parametrize(
        ("asked", "segments_count"),
        [
            (["1_0", "1_1"], 0),  # there may be more of it
            (["1_0", "1_1", "2_0"], 1),
            (["1_0", "1_1", "2_0", "2_1", "3_0"], 2),
            (["1_1", "2_0"], 0),
            (["1_0", "2_0"], 0),
            (["1_0", "1_1", "0_0"], 0),
            (["1_0", "1_0", "1_1", "2_0", "2_0"], 1),
        ],
    )
    async def test_parts_add_up_to_their_segment_once_the_next_one_began(
        self, tmp_path: Path, asked: Sequence[str], segments_count: int
    ) -> None:
        async with running_theatre(tmp_path) as theatre:
            theatre.scene.peer.create(live_stream())
            parts = [(msn, number) for msn in range(4) for number in range(2)]
            entries = [entry for msn in range(3) for entry in (part(msn, 0), part(msn, 1), live_segment(msn))]
            theatre.scene.peer.append("talk", video(), *entries, part(3, 0))
            for msn, number in parts:
                await store_part(theatre.scene, part(msn, number))
            for name in asked:
                path = f"/hls/talk/variants/High/part_{name}.m4s?i={INCARNATION}&{CMCD}"
                assert (await theatre.scene.get(path)).status == 200
            samples = await self.told(theatre, requests_count=len(asked))
            assert sum(one.segments_count for one in samples) == segments_count

    async def test_players_without_cmcd_are_told_apart_by_address_and_program(self, theatre: Theatre) -> None:
        for address, program in (
            ("1.2.3.4", "a"),
            ("1.2.3.4", "b"),
            ("9.9.9.9, 1.2.3.4", "a"),
            ("5.6.7.8", "a"),
        ):
            await theatre.scene.get(MASTER, x_forwarded_for=address, user_agent=program)
        samples = await self.told(theatre, requests_count=4)
        sessions = {one.session_id for one in samples}
        assert len(sessions) == 3
        assert not any("1.2.3.4" in one for one in sessions)

    async def test_where_a_player_asks_from_is_told_beside_its_own_name(self, theatre: Theatre) -> None:
        await theatre.scene.get(MASTER)
        await theatre.scene.get(f"{SEGMENT}&{CMCD}")
        await self.told(theatre, requests_count=2)
        places = {one.session_id: one.place_session_id for one in theatre.distribution.samples}
        nameless = next(session_id for session_id in places if session_id != "player-1")
        assert places == {nameless: "", "player-1": nameless}

    async def test_what_the_join_handed_out_is_told_beside_the_players_own_name(
        self, theatre: Theatre
    ) -> None:
        await theatre.scene.get(f"{MASTER}?session=s-1&{CMCD}")
        await theatre.scene.get(f"{SEGMENT}&{CMCD}")
        await theatre.scene.get(f"{MASTER}?session=s-2", user_agent="safari")
        await theatre.scene.get(SEGMENT, user_agent="safari")
        await theatre.scene.get(f"{MASTER}?session=player-3&CMCD=sid%3D%22player-3%22")
        await self.told(theatre, requests_count=5)
        joined = {one.session_id: one.joined_session_id for one in theatre.distribution.samples}
        assert joined.pop("player-1") == "s-1"
        assert joined.pop("player-3") == ""
        assert list(joined.values()) == ["s-2"]
        await until_so(lambda: theatre.abr.samples)
        assert theatre.abr.samples[0].viewer_id == "s-1"

    async def test_what_another_gateway_was_shown_is_learnt(self, theatre: Theatre) -> None:
        joined = {"stream_id": "talk", "session_id": "player-1", "joined_session_id": "s-1"}
        theatre.distribution.joined = [distributor_pb2.JoinedSession(**joined)]
        asked = 0
        while "s-1" not in {one.viewer_id for one in theatre.abr.samples}:  # it learns with an answer
            asked += 1
            await theatre.scene.get(f"{SEGMENT}&{CMCD}")
            samples = await self.told(theatre, requests_count=asked)
            await self.sampled(theatre, asked)
        assert theatre.abr.samples[0].viewer_id == "player-1"
        assert (samples[0].joined_session_id, samples[-1].joined_session_id) == ("", "s-1")

    async def test_a_report_that_was_not_heard_is_sent_again_under_its_number(self, theatre: Theatre) -> None:
        theatre.distribution.is_away = True
        await theatre.scene.get(SEGMENT)
        await until_so(lambda: len(theatre.distribution.attempts) > 1)
        await theatre.scene.get(SEGMENT)  # meanwhile
        theatre.distribution.is_away = False
        await self.told(theatre, requests_count=2)
        numbers = [report.report_number for report in theatre.distribution.reports]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert any(theatre.distribution.attempts.count(number) > 1 for number in numbers)
        assert sum(one.size_bytes for one in theatre.distribution.samples) == 2000

    async def test_an_idle_gateway_shows_where_it_takes_segments(self, tmp_path: Path) -> None:
        async with running_theatre(tmp_path, grpc_public_address="edge-1:50054") as theatre:
            await until_so(lambda: theatre.distribution.reports)
            assert theatre.distribution.reports[0].grpc_address == "edge-1:50054"
            assert theatre.distribution.reports[0].gateway

    async def test_what_was_sent_last_is_told_at_the_end(self, tmp_path: Path) -> None:
        async with running_theatre(tmp_path, report_interval_s=60.0) as theatre:
            await fill(theatre)
            await theatre.scene.get(SEGMENT)
            assert not theatre.distribution.samples
            told = theatre.distribution
        assert [one.size_bytes for one in told.samples] == [1000]

    async def test_sessions_are_bounded_and_none_is_lost(self, tmp_path: Path) -> None:
        async with running_theatre(tmp_path, session_count=2) as theatre:
            await fill(theatre)
            for number in range(5):
                await theatre.scene.get(f"{MASTER}?CMCD=sid%3D%22p{number}%22")
            samples = await self.told(theatre, requests_count=5)
            assert {one.session_id for one in samples} == {f"p{number}" for number in range(5)}

    async def sampled(self, theatre: Theatre, count: int) -> None:
        await until_so(lambda: len(theatre.abr.samples) == count)

    async def told(self, theatre: Theatre, *, requests_count: int) -> list[distributor_pb2.DeliverySample]:
        """Wait until so many requests were told."""

        def counted() -> bool:
            variants = [variant for one in theatre.distribution.samples for variant in one.variants]
            return sum(variant.requests_count for variant in variants) >= requests_count

        await until_so(counted)
        return theatre.distribution.samples


class TestSamples:
    async def test_a_segment_with_cmcd_is_a_sample(self, theatre: Theatre) -> None:
        await theatre.scene.get(f"{SEGMENT}&{CMCD}")
        await theatre.scene.get(
            SEGMENT.replace("segment_0", "segment_1"), cmcd_session='sid="h-1"', cmcd_status="bs"
        )
        await until_so(lambda: len(theatre.abr.samples) > 1)
        first, second = theatre.abr.samples
        assert (first.stream_id, first.viewer_id, first.variant_id, first.msn) == (
            "talk",
            "player-1",
            "High",
            0,
        )
        assert (first.buffer_s, first.player_throughput_bps, first.starved) == (12.0, 25_400_000.0, True)
        assert (first.encoded_bps, first.top_bps, first.duration_s) == (4_000_000, 4_000_000, 4.0)
        assert (first.size_bytes, first.HasField("transfer_ms")) == (1000, False)  # too small to tell
        assert (second.viewer_id, second.starved, second.encoded_bps) == ("h-1", True, 4_000_000)

    async def test_malformed_cmcd_changes_no_answer(self, theatre: Theatre) -> None:
        plain = await theatre.scene.get(SEGMENT)
        for said in ("CMCD=bl%3DNaN%2Csid%3D%22p%22", "CMCD=%2C%2C%22%28%zz", "CMCD=" + "x" * 5000, CMCD):
            answer = await theatre.scene.get(f"{SEGMENT}&{said}")
            assert (answer.status, answer.body) == (200, plain.body)
            for name in ("etag", "cache-control", "content-type"):
                assert answer.headers[name] == plain.headers[name]

    async def test_a_viewer_who_takes_it_slowly_sets_the_pace(self, tmp_path: Path) -> None:
        async with running_theatre(tmp_path) as theatre:
            await publish(theatre.scene, [video(), segment(0, size_bytes=16_000_000)])
            async with theatre.scene.connection() as (reader, writer):
                writer.write(f"GET {SEGMENT} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
                taken_bytes = len(await reader.readuntil(b"\r\n\r\n"))
                while taken_bytes < 16_000_000:
                    taken_bytes += len(await reader.read(400_000))
                    await asyncio.sleep(0.01)
            await until_so(lambda: theatre.abr.samples)
            (sample,) = theatre.abr.samples
            # At most 400,000 bytes in 10 ms: no faster than that.
            assert sample.transfer_ms > 16_000_000 / 400_000 * 10 * 0.8
            await until_so(lambda: sum(one.segments_count for one in theatre.distribution.samples))

    async def test_a_viewer_who_leaves_is_not_counted_as_served(self, tmp_path: Path) -> None:
        async with running_theatre(tmp_path) as theatre:
            await publish(theatre.scene, [video(), segment(0, size_bytes=16_000_000)])
            async with theatre.scene.connection() as (reader, writer):
                writer.write(f"GET {SEGMENT} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
                await reader.readexactly(1000)
            await until_so(lambda: sum(one.size_bytes for one in theatre.distribution.samples))
            (sample,) = [one for one in theatre.distribution.samples if one.size_bytes]
            assert sample.segments_count == 0
            assert sample.size_bytes < 16_000_000

    async def test_while_abr_is_away_the_oldest_samples_go_and_are_counted(self, tmp_path: Path) -> None:
        async with running_theatre(tmp_path, sample_count=2) as theatre:
            await fill(theatre)
            theatre.abr.is_away = True
            for number in range(5):
                await theatre.scene.get(f"{SEGMENT}&CMCD=sid%3D%22p{number}%22")
            theatre.abr.is_away = False
            await until_so(lambda: "p4" in [one.viewer_id for one in theatre.abr.samples])
            told = [one.viewer_id for one in theatre.abr.samples]
            assert told[-2:] == ["p3", "p4"]
            # What was on its way while abr was away may arrive with a late attempt.
            dropped_count = sum(report.dropped_count for report in theatre.abr.reports)
            assert (told == sorted(set(told)), dropped_count) == (True, 5 - len(told))
            assert dropped_count > 0


class TestDecisions:
    async def test_a_player_is_told_what_to_play_at_most(self, theatre: Theatre) -> None:
        self.decide(theatre, "player-1", "Low")
        answer = await self.until_told(theatre)
        # The BANDWIDTH under which Low is offered, sound and all: less would exclude it.
        master = (await theatre.scene.get(MASTER)).text
        (offered,) = [
            line for line in master.split("\n") if "RESOLUTION=1920x480" in line and "STREAM-INF" in line
        ]
        bandwidth_bps = int(offered.partition("BANDWIDTH=")[2].partition(",")[0])
        assert answer.headers["cmsd-dynamic"] == f'"weir";mb={max(1000, -(-bandwidth_bps // 1000))}'
        assert answer.headers["cmsd-static"] == "br=4000,ot=v,sf=h,st=v,d=4000"
        assert "cmsd-dynamic" in answer.headers["access-control-expose-headers"]
        plain = await theatre.scene.get(SEGMENT)
        assert not {"cmsd-dynamic", "cmsd-static"} & set(plain.headers)
        assert (plain.body, plain.headers["etag"]) == (answer.body, answer.headers["etag"])

    async def test_nobody_is_told_by_way_of_a_cache(self, theatre: Theatre) -> None:
        self.decide(theatre, "player-1", "Low")
        await self.until_told(theatre)
        for header in ({"via": "1.1 varnish"}, {"cdn_loop": "cdn"}):
            assert "cmsd-dynamic" not in (await theatre.scene.get(f"{SEGMENT}&{CMCD}", **header)).headers

    def decide(self, theatre: Theatre, viewer_id: str, variant_id: str) -> None:
        decision = abr_pb2.Decision(
            stream_id="talk", viewer_id=viewer_id, variant_id=variant_id, variant_bps=1_000_000
        )
        theatre.abr.decisions.tell(abr_pb2.WatchDecisionsResponse(decisions=[decision]))

    async def until_told(self, theatre: Theatre) -> Answer:
        """Ask until the decision has come to the gateway."""
        async with asyncio.timeout(20):
            while True:
                answer = await theatre.scene.get(f"{SEGMENT}&{CMCD}")
                if "cmsd-dynamic" in answer.headers:
                    return answer
                await asyncio.sleep(0.01)


class TestCohorts:
    async def test_each_cohort_has_its_order_and_media_stay_the_same(self, theatre: Theatre) -> None:
        plain = (await theatre.scene.get(MASTER)).text
        tailored = (await theatre.scene.get(f"{MASTER}?session=s-1&first=High")).text
        assert tailored.index("/High/playlist") < tailored.index("/Low/playlist")
        assert plain.index("/Low/playlist") < plain.index("/High/playlist")
        urls = [line for line in plain.split("\n") if not line.startswith("#")]
        assert sorted(urls) == sorted(line for line in tailored.split("\n") if not line.startswith("#"))
        assert (await theatre.scene.get(f"{MASTER}?session=s-1&{CMCD}")).text == plain

    async def test_a_wish_that_makes_no_sense_is_refused_there_alone(self, theatre: Theatre) -> None:
        answer = await theatre.scene.get(f"{MASTER}?max_bps=NaN")
        assert (answer.status, "max_bps is 'NaN'" in answer.text) == (400, True)
        assert (await theatre.scene.get(f"{PLAYLIST}&max_bps=NaN&session=%00")).status == 200

    async def test_recordings_have_them_too(self, theatre: Theatre) -> None:
        path = "/api/v1/recordings/talk/stream/master.m3u8?max_height=480"
        assert "/High/" not in (await theatre.scene.get(path)).text


class TestSteering:
    STEERING = "/hls/talk/steering.json"

    async def test_nobody_is_steered_unless_there_are_two_ways(self, theatre: Theatre) -> None:
        self.lead(theatre, "edge")
        assert (await theatre.scene.get(self.STEERING)).status == 404
        assert "STEERING" not in (await theatre.scene.get(MASTER)).text

    async def test_players_are_led_where_they_are_healthy(self, tmp_path: Path) -> None:
        async with running_theatre(tmp_path, steering_ttl_s=3) as theatre:
            await fill(theatre)
            self.lead(theatre, "edge", "cdn")
            await until(theatre.scene, f"{MASTER}?session=s-1", 'SERVER-URI="steering.json?session=s-1"')
            asked = f"{self.STEERING}?session=s-1&_HLS_pathway=edge&_HLS_throughput=5140000"
            answer = await theatre.scene.get(asked)
            manifest = json.loads(answer.body)
            assert (answer.headers["cache-control"], manifest["TTL"]) == ("no-store", 3)
            assert sorted(manifest["PATHWAY-PRIORITY"]) == ["cdn", "edge"]
            await until_so(lambda: theatre.abr.samples)
            assert theatre.abr.samples[0].player_throughput_bps == 5_140_000
            self.lead(theatre, "edge", "cdn", sick="edge")
            await until(theatre.scene, asked, '"PATHWAY-PRIORITY": ["cdn"]')
            base = manifest["PATHWAY-CLONES"][0]["URI-REPLACEMENT"]["PER-VARIANT-URIS"]["High"]
            assert base == f"https://cdn.example.com{PLAYLIST}"

    async def test_whoever_shows_no_session_is_led_by_its_place(self, theatre: Theatre) -> None:
        self.lead(theatre, "edge", "cdn")
        await until(theatre.scene, MASTER, 'SERVER-URI="steering.json"')
        manifests = [json.loads((await theatre.scene.get(self.STEERING)).body) for _ in range(2)]
        assert manifests[0] == manifests[1]
        assert manifests[0]["RELOAD-URI"].startswith("steering.json?session=at-")

    def lead(self, theatre: Theatre, *names: str, sick: str = "") -> None:
        pathways = [
            distributor_pb2.Pathway(
                pathway_id=name,
                base_url="" if name == "edge" else f"https://{name}.example.com",
                weight=1.0,
                healthy=name != sick,
            )
            for name in names
        ]
        theatre.distribution.pathways.tell(distributor_pb2.WatchPathwaysResponse(pathways=pathways))
