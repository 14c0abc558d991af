"""Sessions: who is who, what is told of them, and that they stay within bounds."""

from __future__ import annotations

from collections.abc import AsyncIterator

from hls_gateway.domain.reports import Decision, Sample, SampleReport, transfer_ms
from hls_gateway.viewers.decisions import Decisions
from hls_gateway.viewers.samples import SampleQueue
from hls_gateway.viewers.sessions import Session, Sessions
from hls_gateway.webserver.progress import Progress

CHROME = {b"user-agent": b"chrome"}


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def sessions(most_count: int = 100) -> tuple[Clock, Sessions]:
    clock = Clock()
    return clock, Sessions(most_count, 60.0, clock)


def ask(held: Sessions, said: bytes = b"", headers: dict[bytes, bytes] = CHROME) -> Session:
    return held.find("talk", b"CMCD=" + said if said else b"", headers, b"10.0.0.1")


class TestIdentity:
    def test_a_player_is_known_by_its_sid_wherever_it_asks_from(self) -> None:
        _, held = sessions()
        first = ask(held, b'sid="a"')
        assert held.find("talk", b"CMCD=sid%3D%22a%22", {}, b"10.0.0.2") is first
        assert held.find("other", b'CMCD=sid="a"', CHROME, b"10.0.0.1") is not first

    def test_the_door_says_where_a_player_is(self) -> None:
        _, held = sessions()
        through = {**CHROME, b"x-forwarded-for": b"6.6.6.6, 1.1.1.1"}
        assert ask(held, headers=through).key == ("talk", (b"1.1.1.1", b"chrome"))
        trusted = {**through, b"x-envoy-external-address": b"6.6.6.6"}
        assert ask(held, headers=trusted).key == ("talk", (b"6.6.6.6", b"chrome"))
        assert ask(held).key == ("talk", (b"10.0.0.1", b"chrome"))

    def test_a_name_that_comes_late_claims_what_was_shown_once(self) -> None:
        clock, held = sessions()
        ask(held).join("joined", clock.now)
        assert ask(held, b'sid="a"').viewer_id == "joined"
        assert ask(held, b'sid="b"').viewer_id == "b"  # another player behind the same address

    def test_a_claim_lapses(self) -> None:
        clock, held = sessions()
        ask(held).join("joined", clock.now)
        clock.now += 61
        assert ask(held, b'sid="a"').viewer_id == "a"


class TestReports:
    def test_nothing_is_told_twice(self) -> None:
        _, held = sessions()
        ask(held, b'sid="a",bl=2000').tally("High").size_bytes += 10
        ask(held, b'sid="a"')
        (report,) = held.reports()
        assert (report.session_id, report.buffer_s) == ("a", None)  # the newest words count
        assert [one.size_bytes for one in report.variants] == [10]
        assert held.reports() == []

    def test_sums_grow_until_they_are_asked_for(self) -> None:
        clock, held = sessions()
        for _ in range(3):
            ask(held).tally("High").segments_count += 1
            clock.now += 50
        (report,) = held.reports()
        assert [one.segments_count for one in report.variants] == [3]

    def test_an_idle_session_is_forgotten_and_told_if_something_still_happens(self) -> None:
        clock, held = sessions()
        session = ask(held)
        held.reports()
        clock.now += 61
        held.reports()
        assert len(held) == 0
        held.touch(session)  # its last segment took that long
        assert [one.session_id for one in held.reports()] == [session.session_id]

    def test_while_nobody_is_told_no_more_are_held_than_there_may_be(self) -> None:
        _, held = sessions(most_count=2)
        for number in range(5):
            ask(held, b'sid="%d"' % number)
        assert held.untold_count == len(held) == 2
        assert [one.session_id for one in held.reports()] == ["0", "1", "2", "3", "4"]

    def test_little_is_kept_of_a_long_name_or_query(self) -> None:
        _, held = sessions()
        session = ask(held, b"x" * 16_000, {b"user-agent": b"y" * 16_000})
        assert session.said == b""
        assert sum(map(len, session.key[1])) < 1000

    def test_whoever_was_silent_for_longest_makes_room(self) -> None:
        _, held = sessions(most_count=2)
        for sid in (b'sid="a"', b'sid="b"'):
            ask(held, sid)
            held.reports()
        ask(held, b'sid="a"')
        held.reports()
        ask(held, b'sid="c"')
        assert [one.session_id for one in held.reports()] == ["c"]
        assert len(held) == 2
        ask(held, b'sid="a"')
        assert len(held) == 2


def sample(number: int) -> Sample:
    return Sample(stream_id="talk", viewer_id=str(number), variant_id="High")


class TestSamples:
    def numbers(self, reports: list[SampleReport]) -> list[int]:
        return [int(one.viewer_id) for report in reports for one in report.samples]

    def test_the_oldest_goes_and_is_counted(self) -> None:
        queue = SampleQueue(3)
        for number in range(5):
            queue.add(sample(number))
        reports = queue.take()
        assert (self.numbers(reports), [one.dropped_count for one in reports]) == ([2, 3, 4], [2])
        assert queue.take() == []

    def test_messages_hold_at_most_a_thousand(self) -> None:
        queue = SampleQueue(5000)
        for number in range(2500):
            queue.add(sample(number))
        reports = queue.take()
        assert [len(report.samples) for report in reports] == [1000, 1000, 500]
        assert self.numbers(reports) == list(range(2500))

    def test_what_comes_back_stands_before_what_came_since(self) -> None:
        queue = SampleQueue(4)
        for number in range(4):
            queue.add(sample(number))
        reports = queue.take()
        queue.add(sample(4))
        queue.put_back(reports)
        again = queue.take()
        assert (self.numbers(again), again[0].dropped_count) == ([1, 2, 3, 4], 1)


async def test_decisions_are_bounded() -> None:
    decisions = Decisions(2)

    async def feed() -> AsyncIterator[list[Decision]]:
        for viewer_id in ("a", "b", "a", "c"):
            yield [Decision(stream_id="talk", viewer_id=viewer_id, variant_id="High", variant_bps=1)]

    await decisions.learn(feed())
    assert [decisions.find("talk", one) is not None for one in ("a", "b", "c")] == [True, False, True]


def test_a_pace_is_known_only_of_what_was_large_and_slow_enough() -> None:
    assert transfer_ms(1_000_000, 500_000, 2.0) == 4000.0
    assert transfer_ms(1_000_000, 500_000, 0.01) is None
    assert transfer_ms(1_000_000, 1000, 2.0) is None
    assert transfer_ms(1_000_000, 65_536, 60.0) is None  # longer than anybody watches


def test_progress_tells_what_went_at_the_clients_pace() -> None:
    progress = Progress(10.0)
    progress.paused(10.0, 900_000)
    progress.waits(600_000)
    progress.resumed(12.0, 100_000)
    sending = progress.ended(12.0, 1_000_000)
    assert (sending.size_bytes, sending.elapsed_s) == (1_000_000, 2.0)
    assert (sending.paced_bytes, sending.paced_s) == (800_000, 2.0)


def test_progress_of_a_body_that_broke_off() -> None:
    progress = Progress(10.0)
    progress.paused(10.0, 900_000)
    progress.waits(600_000)
    assert progress.ended(13.0, 1_000_000).size_bytes == 400_000
