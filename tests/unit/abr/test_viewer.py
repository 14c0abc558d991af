"""A viewer's state: small, reckoned up to the moment, and true to what was told."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abr.domain.crowd import Crowd
from abr.domain.folding import take
from abr.domain.history import KEPT_COUNT
from abr.domain.sample import Sample
from abr.domain.view import Choice
from abr.domain.viewer import DUE, Viewer
from support.adaptation import FILM, NOW_S, SEGMENT_S, rung, sample, stream, viewer


def taking(one: Viewer, *samples_: Sample) -> None:
    for each in samples_:
        assert take(one, each, each.end_s)


def test_a_viewer_takes_less_than_two_kilobytes() -> None:
    count = 500
    crowd = Crowd(limit_count=count, idle_s=60)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(count):
        one = viewer(viewer_id=f"0b2f6c1e-77aa-4d2c-9a60-{number:012d}")
        for segment in range(2 * KEPT_COUNT):
            taking(one, sample(segment * 3.7, msn=segment, buffer_s=9.5 + segment, player_bps=3e6 + segment))
        one.note_decision(Choice(rung=0, reason=""), NOW_S + 100, obeyed=False)
        crowd.add(one)
    taken_bytes = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(crowd) == count
    assert taken_bytes / count < 2_000


class TestBuffer:
    def test_media_adds_and_time_takes_away(self) -> None:
        one = viewer()
        taking(one, sample(1, buffer_s=10))
        assert one.buffer_s(NOW_S + 1) == pytest.approx(10 - 1 + SEGMENT_S)
        assert one.buffer_s(NOW_S + 6) == pytest.approx(10 - 1 + SEGMENT_S - 5)

    def test_without_any_word_of_the_player_it_is_reckoned_from_what_was_sent(self) -> None:
        one = viewer()
        taking(one, sample(1), sample(2, msn=1), sample(3, msn=2))
        assert one.buffer_s(NOW_S + 3) == pytest.approx(3 * SEGMENT_S - 2)

    def test_it_is_never_below_nothing(self) -> None:
        one = viewer()
        taking(one, sample(1, buffer_s=2))
        assert one.buffer_s(NOW_S + 1_000) == 0

    def test_who_pauses_keeps_it(self) -> None:
        one = viewer()
        taking(one, sample(1, buffer_s=10, speed_ratio=0.0))
        assert one.buffer_s(NOW_S + 100) == pytest.approx(10 + SEGMENT_S)

    def test_who_starts_keeps_what_comes_meanwhile(self) -> None:
        one = viewer()
        taking(one, sample(3, transfer_s=3.0, buffer_s=0, startup=True))
        assert one.buffer_s(NOW_S + 3) == pytest.approx(SEGMENT_S)

    def test_a_word_of_the_player_that_is_newer_than_a_transfer_counts(self) -> None:
        one = viewer()
        one.note_question(NOW_S + 10, buffer_s=7)
        assert take(one, sample(9, buffer_s=20), NOW_S + 11)
        assert one.buffer_s(NOW_S + 10) == pytest.approx(7)

    def test_audio_says_nothing_of_it(self) -> None:
        one = viewer()
        taking(one, sample(1, buffer_s=10), sample(1, "audio", buffer_s=3))
        assert one.buffer_s(NOW_S + 1) == pytest.approx(10 - 1 + SEGMENT_S)

    def test_what_came_last_may_lie_above_the_target(self) -> None:
        one, live = viewer(), viewer(stream(segment_s=2.0, part_s=0.5, buffer_target_s=1.5, is_live=True))
        taking(one, sample(1, buffer_s=30))
        taking(live, sample(1, buffer_s=1.5, transfer_s=0.1, msn=-1, duration_s=0.5))
        assert (one.target_s, live.target_s) == (30, 1.5)
        live.note_question(NOW_S + 2, buffer_s=2.1)
        assert live.target_s == 3

    def test_who_holds_more_than_expected_aims_at_more(self) -> None:
        one = viewer()
        taking(one, sample(1, buffer_s=45))
        assert one.view(NOW_S + 1).buffer_target_s == 60
        one.note_question(NOW_S + 2, buffer_s=3_600)
        assert one.view(NOW_S + 2).buffer_target_s == 120

    @given(
        st.lists(
            st.tuples(st.floats(0, 30), st.floats(0.01, 60), st.floats(-1, 120), st.booleans()), max_size=30
        )
    )
    def test_it_stays_within_what_could_be(self, steps: list[tuple[float, float, float, bool]]) -> None:
        one, end_s = viewer(), 0.0
        for wait_s, transfer_s, buffer_s, starved in steps:
            end_s += wait_s
            taking(one, sample(end_s, transfer_s=transfer_s, buffer_s=buffer_s, starved=starved))
            view = one.view(NOW_S + end_s)
            assert 0 <= view.buffer_s <= 120 + SEGMENT_S * len(steps)
            assert view.buffer_target_s >= 30
            assert len(view.downloads) <= KEPT_COUNT
            assert 0 <= one.experience.qoe().rebuffer_ratio <= 1


class TestSamples:
    def test_a_late_one_does_not_count(self) -> None:
        one = viewer()
        taking(one, sample(20))
        assert not take(one, sample(10), NOW_S + 20)
        assert take(one, sample(18), NOW_S + 20)

    def test_a_clock_ahead_of_ours_does_not_reach_into_the_future(self) -> None:
        one = viewer()
        assert take(one, sample(4), NOW_S + 1)
        assert one.view(NOW_S + 1).downloads[-1].end_s == NOW_S + 1

    def test_the_top_that_a_player_wants_caps_the_ladder(self) -> None:
        one = viewer()
        taking(one, sample(1, top_bps=1_500_000))
        assert one.view(NOW_S + 1).cap == 1

    def test_a_decision_is_due_once_per_segment(self) -> None:
        one = viewer()
        taking(one, sample(1))
        assert one.undecided >= DUE
        one.note_decision(Choice(rung=2, reason=""), NOW_S + 1, obeyed=False)
        assert one.undecided < DUE
        for part in range(11):
            taking(one, sample(2 + part / 3, msn=-1, duration_s=1 / 3, transfer_s=0.1))
        assert one.undecided < DUE
        taking(one, sample(6, msn=-1, duration_s=1 / 3, transfer_s=0.1))
        assert one.undecided >= DUE

    def test_what_a_player_states_stands_for_downloads_only_where_there_are_none(self) -> None:
        one = viewer()
        one.note_question(NOW_S, throughput_bps=3e6)
        (stated,) = one.view(NOW_S).downloads
        assert 8 * stated.size_bytes / stated.transfer_s == pytest.approx(3e6)
        taking(one, sample(1))
        assert [one.size_bytes for one in one.view(NOW_S + 1).downloads] == [1_000_000]
        one.note_question(NOW_S + 60, throughput_bps=3e6)
        assert one.view(NOW_S + 60).downloads == (
            stated.__class__(end_s=NOW_S + 60, size_bytes=1_500_000, transfer_s=4, duration_s=0, rung=2),
        )

    def test_a_network_that_carries_nothing_is_known_as_such(self) -> None:
        one = viewer()
        one.note_question(NOW_S, throughput_bps=0)
        assert one.is_measured
        assert one.view(NOW_S).stated_bps == 1


class TestLeft:
    def test_what_is_left_of_a_recording_is_reckoned_from_its_segments(self) -> None:
        one = viewer(stream(duration_s=40.0))
        assert one.view(NOW_S).left_s is None
        taking(one, sample(1, msn=0), sample(2, msn=1), sample(3, msn=2))
        assert one.view(NOW_S + 3).left_s == pytest.approx(40 - 3 * SEGMENT_S)
        shorter = viewer(stream(duration_s=40.0))
        taking(shorter, sample(1, msn=2, duration_s=3.5))
        assert shorter.view(NOW_S + 1).left_s == pytest.approx(40 - 3 * 3.5)

    def test_beyond_the_end_and_where_there_is_none_nobody_knows(self) -> None:
        for one in (viewer(stream(duration_s=8.0)), viewer()):
            taking(one, sample(1, msn=1))
            assert one.view(NOW_S + 1).left_s is None


class TestDecisions:
    def test_only_another_one_is_news(self) -> None:
        one = viewer()
        assert one.note_decision(Choice(rung=2, reason=""), NOW_S, obeyed=True)
        assert not one.note_decision(Choice(rung=2, reason=""), NOW_S, obeyed=True)
        assert one.note_decision(Choice(rung=1, reason=""), NOW_S + 1, obeyed=True)
        assert one.view(NOW_S + 1).last_drop_s == NOW_S + 1

    def test_who_only_hears_plays_what_its_samples_say(self) -> None:
        one = viewer()
        taking(one, sample(1, "high"))
        one.note_decision(Choice(rung=1, reason=""), NOW_S + 1, obeyed=False)
        assert one.view(NOW_S + 1).current == 3
        taking(one, sample(2, "low", msn=1))
        assert one.view(NOW_S + 2).current == 1

    def test_another_ladder_moves_everything(self) -> None:
        one = viewer()
        taking(one, sample(1, "high"))
        one.note_decision(Choice(rung=2, reason=""), NOW_S + 1, obeyed=False)
        ladder = tuple(rung(name, bps) for name, bps in (("Low", 900_000), ("Medium", 2_100_000)))
        one.go_over(stream(ladder=ladder))
        assert (one.current, one.told) == (1, 1)
        assert [download.rung for download in one.view(NOW_S + 1).downloads] == [1]


class TestQoe:
    def test_rate_changes_and_stalls(self) -> None:
        one = viewer()
        taking(
            one,
            sample(1, "low", buffer_s=0, startup=True, transfer_s=1),
            sample(2, "medium", msn=1, buffer_s=4, transfer_s=1),
            sample(13, "medium", msn=2, buffer_s=1, transfer_s=5),
            sample(14, "low", msn=3, buffer_s=4, transfer_s=1, starved=True),
        )
        qoe = one.experience.qoe()
        assert qoe.average_bps == pytest.approx((1 + 2 + 2 + 1) / 4 * 1e6)
        assert (qoe.switches_count, qoe.rebuffers_count) == (2, 1)
        stalled_s = 5 - 1
        assert qoe.rebuffer_ratio == pytest.approx(stalled_s / (stalled_s + 4 * SEGMENT_S))
        assert qoe.score == pytest.approx((6 - 2 - 4.3 * stalled_s) / 4)
        assert qoe.startup_s == pytest.approx(1)

    def test_nobody_stalls_who_does_not_say_so(self) -> None:
        one = viewer()
        taking(one, sample(1), sample(500, msn=1))
        assert one.experience.qoe().rebuffers_count == 0

    def test_parts_weigh_what_they_are_of_a_segment(self) -> None:
        whole, parts = viewer(), viewer()
        taking(whole, sample(4, transfer_s=0.1))
        for part in range(12):
            taking(parts, sample(part / 3, msn=-1, duration_s=1 / 3, transfer_s=0.1))
        assert parts.experience.qoe().score == pytest.approx(whole.experience.qoe().score)

    def test_nothing_is_known_of_nobody(self) -> None:
        assert viewer(FILM).experience.qoe().score == 0
