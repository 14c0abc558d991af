"""The fold of views: whatever order reports come in and wherever it is cut, viewers are counted once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.adapters.view_codec import (
    read_commands,
    read_held,
    read_outline,
    write_commands,
    write_held,
    write_outline,
)
from distributor.domain.audience import RESUME_S, Audience, Refused
from distributor.domain.audiences import GATEWAY_SILENT_S, Audiences
from distributor.domain.figures import measure, page_of_viewers
from distributor.domain.session import Ended, Session
from distributor.domain.views import (
    Adapt,
    Command,
    Forget,
    Join,
    Leave,
    Report,
    Sample,
    Served,
    Start,
    Terms,
)

T0 = 1_800_000_000.0
TERMS = Terms(timeout_s=10.0, limit_count=1_000)


def sample(session_id: str = "s1", **fields: Any) -> Sample:
    size_bytes = fields.pop("size_bytes", 1_000)
    defaults: dict[str, Any] = {"stream_id": "film", "variant_id": "Low", "last_time": T0}
    values = {**defaults, "segments_count": 1, "size_bytes": size_bytes, "cache_hits_count": 1, **fields}
    served = Served(segments_count=1, size_bytes=size_bytes, requests_count=2)
    return Sample(session_id=session_id, served=((values["variant_id"], served),), **values)


def _playlist_alone(session_id: str) -> Sample:
    served = Served(requests_count=1)
    return Sample(stream_id="film", session_id=session_id, last_time=T0, served=(("", served),))


def join(viewer_id: str, *, limit: int = 100, session_id: str = "") -> Join:
    session_id = session_id or f"of-{viewer_id}"
    return Join(stream_id="film", viewer_id=viewer_id, session_id=session_id, variant_id="Low", limit=limit)


def leave(viewer_id: str) -> Leave:
    return Leave(stream_id="film", viewer_id=viewer_id)


def sent(*samples: Sample, number: int = 0, gateway: str = "gate") -> Report:
    return Report(gateway=gateway, report_number=number, grpc_address="10.0.0.1:1", samples=samples)


def count(audiences: Audiences, report: Report, *, time: float) -> None:
    for _ in audiences.report(report, time=time):
        pass


def ids(audience: Audience, now: float) -> Sequence[str]:
    return [session.session_id for session in audience.present(now)]


class TestJoining:
    def test_exactly_as_many_as_may_are_let_in(self) -> None:
        audiences = Audiences(TERMS)
        outcomes = audiences.ask([join(f"v{number}", limit=100) for number in range(200)], time=T0)
        assert sum(isinstance(outcome, Session) for outcome in outcomes) == 100
        assert outcomes[100] == Refused(limit=100)
        assert audiences.of("film").peak_count == 100

    def test_joining_again_answers_the_same_session_also_of_a_full_stream(self) -> None:
        audiences = Audiences(TERMS)
        first, second = audiences.ask([join("v", limit=1), join("v", limit=1, session_id="b")], time=T0)
        assert isinstance(first, Session)
        assert isinstance(second, Session)
        assert first.session_id == second.session_id
        assert audiences.of("film").views_count == 1

    def test_who_leaves_makes_room_and_gets_the_totals(self) -> None:
        audiences = Audiences(TERMS)
        audiences.ask([join("v", limit=1)], time=T0)
        count(audiences, sent(sample("of-v", size_bytes=700)), time=T0 + 1)
        ended, again, other = audiences.ask([leave("v"), leave("v"), join("w", limit=1)], time=T0 + 2)
        assert isinstance(ended, Ended)
        assert (ended.session.size_bytes, ended.session.segments_count) == (700, 1)
        assert ended.end_time - ended.session.begin_time == 2
        assert again is None
        assert isinstance(other, Session)

    def test_what_was_on_its_way_to_who_has_left_counts_and_brings_nobody_back(self) -> None:
        audiences = Audiences(TERMS)
        audiences.ask([join("v"), leave("v")], time=T0)
        count(audiences, sent(sample("of-v")), time=T0 + 1)
        assert audiences.of("film").present_count(T0 + 1) == 0
        assert audiences.of("film").served.segments_count == 1

    def test_players_that_never_joined_take_no_places(self) -> None:
        audiences = Audiences(TERMS)
        count(audiences, sent(sample("a"), sample("b")), time=T0)
        first, second, third = audiences.ask([join(name, limit=2) for name in ("a", "v", "w")], time=T0)
        assert isinstance(first, Session)
        assert first.session_id == "a"  # who was there already, by this name
        assert isinstance(second, Session)
        assert third == Refused(limit=2)
        assert audiences.of("film").present_count(T0) == 3
        (again,) = audiences.ask([join("b", limit=2)], time=T0)
        assert again == Refused(limit=2)

    def test_who_was_given_nothing_is_no_viewer(self) -> None:
        audiences = Audiences(TERMS)
        refused = Served(requests_count=3, failed_count=3)
        knocks = Sample(stream_id="film", session_id="a", served=(("", refused),))
        count(audiences, sent(knocks), time=T0)
        assert audiences.of("film").present_count(T0) == 0
        assert audiences.of("film").served.error_rate == 1.0
        count(audiences, sent(sample("a"), number=1), time=T0)
        count(audiences, sent(knocks, number=2), time=T0 + 9)
        assert audiences.of("film").present_count(T0 + 18) == 1

    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60), st.integers(1, 6))
    def test_never_more_than_the_limit(self, steps: list[tuple[bool, int]], limit: int) -> None:
        audiences = Audiences(TERMS)
        present: set[str] = set()
        for joins, number in steps:
            viewer_id = f"v{number}"
            (outcome,) = audiences.ask([join(viewer_id, limit=limit) if joins else leave(viewer_id)], time=T0)
            fits = viewer_id in present or len(present) < limit
            assert isinstance(outcome, Session) == (joins and fits)
            assert isinstance(outcome, Ended) == (not joins and viewer_id in present)
            present = present | {viewer_id} if joins and fits else present
            present = present if joins else present - {viewer_id}
            assert audiences.of("film").present_count(T0) == len(present)


class TestSilence:
    def test_a_session_begins_with_its_first_sample_and_ends_after_silence(self) -> None:
        audiences = Audiences(TERMS)
        count(audiences, sent(sample("a")), time=T0)
        film = audiences.of("film")
        assert ids(film, T0 + 9.9) == ["a"]
        assert ids(film, T0 + 10) == []
        assert film.session_of("a", T0 + 10) is None
        assert film.present_count(T0 + 10) == audiences.present_count(T0 + 10) == 0

    def test_a_joined_viewer_who_never_plays_loses_the_place(self) -> None:
        audiences = Audiences(TERMS)
        audiences.ask([join("v", limit=1)], time=T0)
        (early,) = audiences.ask([join("w", limit=1)], time=T0 + 9.9)
        (late,) = audiences.ask([join("w", limit=1)], time=T0 + 10)
        assert isinstance(early, Refused)
        assert isinstance(late, Session)

    def test_who_paused_comes_back_as_the_same_viewer_with_the_same_totals(self) -> None:
        audiences = Audiences(TERMS)
        audiences.ask([join("v")], time=T0)
        count(audiences, sent(sample("of-v")), time=T0 + 1)
        count(audiences, sent(sample("of-v"), number=1), time=T0 + 600)
        film = audiences.of("film")
        session = film.session_of("v", T0 + 600)
        assert session is not None
        assert (session.segments_count, film.views_count) == (2, 1)

    def test_who_paused_for_very_long_is_somebody_new(self) -> None:
        audiences = Audiences(TERMS)
        audiences.ask([join("v")], time=T0)
        count(audiences, sent(sample("of-v")), time=T0 + RESUME_S + 20)
        film = audiences.of("film")
        assert film.session_of("v", T0 + RESUME_S + 20) is None
        assert film.views_count == 2

    def test_a_clock_that_goes_back_ends_nobody_twice(self) -> None:
        audiences = Audiences(TERMS)
        count(audiences, sent(sample("a")), time=T0 + 100)
        count(audiences, sent(sample("b"), number=1), time=T0)
        assert audiences.of("film").present_count(T0 + 105) == 2

    def test_no_more_sessions_are_held_than_may(self) -> None:
        audiences = Audiences(Terms(timeout_s=10.0, limit_count=5))
        for number in range(20):
            count(audiences, sent(sample(f"a{number}"), number=number), time=T0 + number)
        present, past = audiences.of("film").held()
        assert len(present) <= 5
        assert len(past) + len(present) <= 6
        assert audiences.of("film").served.segments_count == 20


class TestNames:
    def test_a_player_that_shows_what_it_joined_is_that_viewer(self) -> None:
        audiences = Audiences(TERMS)
        audiences.ask([join("v")], time=T0)
        count(audiences, sent(sample("sid", joined_session_id="of-v"), sample("sid")), time=T0)
        film = audiences.of("film")
        assert ids(film, T0) == ["of-v"]
        assert film.views_count == 1
        session = film.session_of("v", T0)
        assert session is not None
        assert session.segments_count == 2

    def test_two_sessions_that_turn_out_to_be_one_are_counted_once(self) -> None:
        audiences = Audiences(TERMS)
        audiences.ask([join("v")], time=T0)
        count(audiences, sent(sample("sid")), time=T0)
        assert audiences.of("film").views_count == 2
        count(audiences, sent(sample("sid", joined_session_id="of-v"), number=1), time=T0)
        film = audiences.of("film")
        session = film.session_of("v", T0)
        assert session is not None
        assert (ids(film, T0), film.views_count, session.segments_count) == (["of-v"], 1, 2)

    def test_viewers_at_one_address_that_say_nothing_stay_two(self) -> None:
        audiences = Audiences(TERMS)
        audiences.ask([join("v"), join("w")], time=T0)
        count(audiences, sent(sample("at", joined_session_id="of-v")), time=T0)
        count(audiences, sent(sample("at", joined_session_id="of-w"), number=1), time=T0)
        count(audiences, sent(sample("at"), number=2), time=T0)
        first, second = (audiences.of("film").session_of(viewer_id, T0) for viewer_id in ("v", "w"))
        assert first is not None
        assert second is not None
        assert (first.segments_count, second.segments_count) == (1, 2)
        assert (first.names, second.names) == (("of-v",), ("of-w", "at"))

    def test_a_second_page_with_an_old_link_is_the_viewer_who_joined_again(self) -> None:
        audiences = Audiences(TERMS)
        audiences.ask([join("v", session_id="old")], time=T0)
        audiences.ask([join("v", session_id="new")], time=T0 + 20)
        count(audiences, sent(sample("old")), time=T0 + 21)
        assert ids(audiences.of("film"), T0 + 21) == ["new"]

    @pytest.mark.parametrize("named_first", [True, False])
    def test_a_player_that_says_its_name_late_is_one_viewer(self, named_first: bool) -> None:
        audiences = Audiences(TERMS)
        reports = [_playlist_alone("at"), sample("sid", place_session_id="at")]
        for number, one in enumerate(reversed(reports) if named_first else reports):
            count(audiences, sent(one, number=number), time=T0 + number)
        count(audiences, sent(sample("sid", place_session_id="at"), number=2), time=T0 + 2)
        film = audiences.of("film")
        assert (ids(film, T0 + 2), film.views_count) == (["sid"], 1)
        assert film.peak_count == 1 + named_first

    def test_a_nameless_player_that_plays_stays_beside_one_with_a_name(self) -> None:
        audiences = Audiences(TERMS)
        count(audiences, sent(_playlist_alone("at")), time=T0)
        count(audiences, sent(sample("sid", place_session_id="at"), number=1), time=T0 + 1)
        count(audiences, sent(sample("at"), number=2), time=T0 + 2)
        count(audiences, sent(sample("sid", place_session_id="at"), number=3), time=T0 + 3)
        film = audiences.of("film")
        assert (sorted(ids(film, T0 + 3)), film.views_count) == (["at", "sid"], 2)

    def test_a_place_that_joined_is_not_forgotten(self) -> None:
        audiences = Audiences(TERMS)
        audiences.ask([join("v", session_id="at")], time=T0)
        count(audiences, sent(sample("sid", place_session_id="at")), time=T0 + 1)
        assert ids(audiences.of("film"), T0 + 1) == ["at", "sid"]

    @given(st.data())
    def test_reports_in_any_order_and_cut_come_to_the_same(self, data: st.DataObject) -> None:
        samples = data.draw(st.lists(_samples(), max_size=12, unique_by=lambda one: one.last_time))
        repeats = data.draw(st.integers(1, 3))  # a repeated report counts once
        orders = [samples, data.draw(st.permutations(samples))]
        outcomes = []
        for order in orders:
            audiences = Audiences(TERMS)
            audiences.ask([join("v1", session_id="j1"), join("v2", session_id="j2")], time=T0)
            for number, part in enumerate(_cut(order, data.draw(st.integers(1, 7)))):
                for _ in range(repeats):
                    count(audiences, sent(*part, number=number), time=T0)
            outcomes.append(_seen(audiences.of("film")))
        assert outcomes[0] == outcomes[1]


class TestFigures:
    def test_are_what_gateways_sent_and_who_plays_what(self) -> None:
        audiences = Audiences(TERMS)
        samples = [sample("a", latency_s=2.0), sample("b", variant_id="High", latency_s=4.0), sample("c")]
        count(audiences, sent(*samples), time=T0 + 0.5)
        figures = measure(audiences.of("film"), T0 + 1)
        assert (figures.viewers_count, figures.latency_s) == (3, 3.0)
        assert figures.served == Served(segments_count=3, size_bytes=3_000, requests_count=6)
        assert figures.bandwidth_bps == 3_000 * 8 / 10
        assert figures.variants["Low"].viewers_count == 2
        assert figures.variants["High"].served.size_bytes == 1_000

    def test_bandwidth_is_that_of_the_last_ten_seconds(self) -> None:
        audiences = Audiences(TERMS)
        for second in range(30):
            count(audiences, sent(sample("a", size_bytes=100), number=second), time=T0 + second)
        film = audiences.of("film")
        assert measure(film, T0 + 29.5).bandwidth_bps == 10 * 100 * 8 / 10
        assert measure(film, T0 + 34.5).bandwidth_bps == 5 * 100 * 8 / 10
        assert measure(film, T0 + 60).bandwidth_bps == 0

    def test_pages_hold_everybody_once_by_viewer(self) -> None:
        audiences = Audiences(TERMS)
        audiences.ask([join(f"v{number:02}") for number in range(25)], time=T0)
        film, token, seen = audiences.of("film"), "", []
        while True:
            page = page_of_viewers(film, T0, page_size=10, page_token=token)
            seen += [session.viewer_id for session in page.sessions]
            if not (token := page.next_page_token):
                break
        assert seen == [f"v{number:02}" for number in range(25)]

    @given(st.data())
    def test_running_figures_and_pages_are_those_of_the_sessions(self, data: st.DataObject) -> None:
        audiences = Audiences(TERMS)
        clock = T0
        for event, pause_s in _with_fresh_ids(data.draw(st.lists(_events(), max_size=12))):
            clock += pause_s
            _apply(audiences, event, clock)
            for now in (clock, clock + 5, clock + TERMS.timeout_s):
                _check_figures(audiences.of("film"), now)

    def test_totals_of_all_streams_outlive_a_stream(self) -> None:
        audiences = Audiences(TERMS)
        count(audiences, sent(sample("a"), sample("b", stream_id="other")), time=T0)
        audiences.ask([Forget(stream_id="film")], time=T0)
        assert audiences.sum().served.segments_count == 2
        assert audiences.sum().cache_hit_rate == 1.0
        assert audiences.stream_ids == ("other",)
        assert audiences.of("film").served == Served()


class TestGateways:
    def test_are_known_as_long_as_they_report_and_by_whom_they_serve(self) -> None:
        audiences = Audiences(TERMS)
        count(audiences, sent(sample("a", last_time=T0), gateway="one"), time=T0)
        count(audiences, sent(sample("a", last_time=T0 + 1), gateway="two"), time=T0 + 1)
        assert [gateway.name for gateway in audiences.gateways(T0 + 1)] == ["one", "two"]
        gateway = audiences.gateway_of("film", "a", T0 + 1)
        assert gateway is not None
        assert (gateway.name, gateway.grpc_address) == ("two", "10.0.0.1:1")
        assert [one.name for one in audiences.gateways(T0 + GATEWAY_SILENT_S)] == ["two"]
        assert audiences.gateway_of("film", "nobody", T0 + 1) is None

    def test_a_viewer_watches_what_was_joined_last(self) -> None:
        audiences = Audiences(TERMS)
        audiences.ask([join("v")], time=T0)
        other = Join(stream_id="other", viewer_id="v", session_id="b", variant_id="", limit=1)
        audiences.ask([other], time=T0 + 1)
        assert audiences.watched_by("v", T0 + 2) == "other"
        audiences.ask([Leave(stream_id="other", viewer_id="v")], time=T0 + 3)
        assert audiences.watched_by("v", T0 + 3) == "film"
        assert audiences.watched_by("nobody", T0 + 3) == ""


class TestStates:
    @given(st.data())
    def test_a_state_and_the_rest_come_to_the_same_as_everything(self, data: st.DataObject) -> None:
        story = _with_fresh_ids(data.draw(st.lists(_events(), max_size=12)))
        cut = data.draw(st.integers(0, len(story)))
        whole, resumed = Audiences(TERMS), Audiences(TERMS)
        time = T0
        for index, (event, pause_s) in enumerate(story):
            if index == cut:
                outline = read_outline(write_outline(resumed.outline()))
                resumed = Audiences(TERMS, outline, read_held(write_held(tuple(resumed.held()))))
            time += pause_s
            outcomes = [_apply(audiences, event, time) for audiences in (whole, resumed)]
            assert outcomes[0] == outcomes[1]
        assert resumed.outline() == whole.outline()
        assert tuple(resumed.held()) == tuple(whole.held())

    @pytest.mark.parametrize(
        "command",
        [
            Start(stream_id="film", profile="Low", max_viewers=3),
            join("v"),
            leave("v"),
            Adapt(stream_id="film", viewer_id="v", variant_id="Low"),
            Forget(stream_id="film"),
        ],
    )
    def test_commands_come_back_as_they_were_stored(self, command: Command) -> None:
        assert read_commands(write_commands([command])) == (command,)


def _samples() -> st.SearchStrategy[Sample]:
    joined = {"x": "j1", "y": "j1", "z": "j2", "w": ""}
    return st.builds(
        lambda name, shows, variant_id, size_bytes, late, buffer_s: sample(
            name,
            joined_session_id=joined[name] if shows else "",
            variant_id=variant_id,
            size_bytes=size_bytes,
            last_time=T0 + late,
            buffer_s=buffer_s,
            latency_s=buffer_s / 2 if late % 2 else None,
        ),
        st.sampled_from(sorted(joined)),
        st.booleans(),
        st.sampled_from(["Low", "High"]),
        st.integers(0, 10_000),
        st.integers(1, 10_000),
        st.floats(0, 60),
    )


def _samples_of_a_place() -> st.SearchStrategy[Sample]:
    joined = st.sampled_from(["j1", "j2", "j3", "x", "at", ""])
    return st.builds(sample, st.sampled_from(["at", "j1", "v1"]), joined_session_id=joined)


def _events() -> st.SearchStrategy[tuple[Command | Report, float]]:
    viewers = st.sampled_from(["v1", "v2", "v3"])
    commands = st.one_of(
        st.builds(join, viewers, limit=st.integers(1, 3), session_id=st.sampled_from(["j1", "j2", "j3"])),
        st.builds(leave, viewers),
        st.builds(Adapt, stream_id=st.just("film"), viewer_id=viewers, variant_id=st.just("High")),
        st.just(Forget(stream_id="film")),
        st.just(Start(stream_id="film", profile="Low", max_viewers=2)),
    )
    reports = st.builds(
        lambda samples, number: sent(*samples, number=number),
        st.lists(st.one_of(_samples(), _samples_of_a_place()), max_size=4),
        st.integers(0, 50),
    )
    return st.tuples(st.one_of(commands, reports), st.sampled_from([0.0, 1.0, 6.0, 11.0, 4_000.0]))


def _with_fresh_ids(story: Sequence[tuple[Command | Report, float]]) -> Sequence[tuple[Any, float]]:
    """A session's id is made for one join alone."""
    joined_ids = [event.session_id if isinstance(event, Join) else "" for event, _ in story]
    return [
        step
        for index, step in enumerate(story)
        if not joined_ids[index] or joined_ids[index] not in joined_ids[:index]
    ]


def _apply(audiences: Audiences, event: Command | Report, time: float) -> object:
    if isinstance(event, Report):
        count(audiences, event, time=time)
        return None
    return audiences.ask([event], time=time)


def _cut(samples: Sequence[Sample], size: int) -> Sequence[Sequence[Sample]]:
    return [samples[start : start + size] for start in range(0, len(samples), size)]


def _check_figures(audience: Audience, now: float) -> None:
    present = sorted(audience.present(now), key=lambda one: one.viewer_id)
    figures = measure(audience, now)
    latencies_s = [one.latency_s for one in present if one.latency_s is not None]
    assert figures.viewers_count == len(present)
    assert figures.latency_s == pytest.approx(sum(latencies_s) / max(1, len(latencies_s)), abs=1e-6)
    playing = Counter(one.variant_id for one in present if one.variant_id)
    assert {key: one.viewers_count for key, one in figures.variants.items() if one.viewers_count} == playing
    assert tuple(present) == page_of_viewers(audience, now, page_size=100, page_token="").sessions


def _seen(audience: Audience) -> object:
    """All of an audience that must not depend on the order of reports."""
    sessions = {
        session.viewer_id: (
            session.segments_count,
            session.size_bytes,
            session.variant_id,
            session.buffer_s,
            set(session.names),
        )
        for session in audience.present(T0)
    }
    return audience.present_count(T0), sessions, audience.served, audience.variants
