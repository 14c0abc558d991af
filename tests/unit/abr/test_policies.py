"""Policies stay within ladder, cap and guardrails, whatever they see; the zones are those of the API."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abr.domain.decision import decide
from abr.domain.policies import POLICIES
from abr.domain.policies.foresight import Foresight
from abr.domain.view import Choice, Download, Rung, View

SOME = settings(max_examples=50, deadline=None)
RATES = (300, 750, 1200, 1850, 2850, 4300)
LADDERS = ((800,), RATES, tuple(100 * 3**place for place in range(4)))


def ladder(rates_kbps: tuple[int, ...]) -> tuple[Rung, ...]:
    return tuple(
        Rung(
            rendition_id=str(rate),
            name=str(rate),
            rate_bps=1000 * rate,
            width_pixels=0,
            height_pixels=0,
            frame_rate=0,
        )
        for rate in rates_kbps
    )


def download(rate_kbps: float, end_s: float = 90.0, rung: int = 0, segment_s: float = 4.0) -> Download:
    """A segment of the lowest rung of RATES, come at a rate."""
    bits = 1000 * RATES[0] * segment_s
    return Download(
        end_s=end_s,
        size_bytes=int(bits / 8),
        transfer_s=bits / (1000 * rate_kbps),
        duration_s=segment_s,
        rung=rung,
    )


def view(**fields: object) -> View:
    steady = View(
        now_s=100.0,
        ladder=ladder(RATES),
        current=2,
        buffer_s=30.0,
        buffer_target_s=60.0,
        segment_s=4.0,
        downloads=tuple(download(2000, 60.0 + 4 * place) for place in range(8)),
        stated_bps=None,
        cap=5,
        last_drop_s=None,
        is_live=False,
    )
    return replace(steady, **fields)  # type: ignore[arg-type]


@st.composite
def views(draw: st.DrawFn) -> View:
    rungs = ladder(draw(st.sampled_from(LADDERS)))
    places = st.integers(0, len(rungs) - 1)
    segment_s, target_s = (
        draw(st.sampled_from((1.0, 2.0, 4.0, 10.0))),
        draw(st.sampled_from((2.0, 6.0, 60.0))),
    )
    rates = draw(st.lists(st.floats(20, 50_000), max_size=10))
    return view(
        ladder=rungs,
        cap=draw(places),
        current=draw(st.none() | places),
        buffer_s=draw(st.floats(0, 70)),
        buffer_target_s=target_s,
        segment_s=segment_s,
        downloads=tuple(
            download(rate, 60.0 + 4 * at, draw(places), segment_s) for at, rate in enumerate(rates)
        ),
        stated_bps=draw(st.none() | st.floats(1000, 1e8)),
        last_drop_s=draw(st.none() | st.floats(0, 100)),
        left_s=draw(st.none() | st.floats(0, 200)),
    )


@SOME
@given(views())
def test_no_policy_leaves_the_ladder_or_the_cap_and_each_says_why(seen: View) -> None:
    for policy in POLICIES.values():
        choice = policy.choose(seen)
        assert 0 <= choice.rung <= seen.cap
        assert choice.reason


@SOME
@given(views())
def test_the_default_goes_up_by_one_rung_once_the_viewer_has_begun(seen: View) -> None:
    rung = POLICIES["default"].choose(seen).rung
    if seen.current is not None and len(seen.downloads) > Foresight().leap_count:
        assert rung <= seen.current + 1


@SOME
@given(views(), st.sampled_from((1.6, 3.0, 10.0)))
def test_the_default_never_goes_lower_because_the_network_is_faster(seen: View, factor: float) -> None:
    faster = tuple(replace(one, transfer_s=one.transfer_s / factor) for one in seen.downloads)
    slow = POLICIES["default"].choose(replace(seen, stated_bps=None)).rung
    assert POLICIES["default"].choose(replace(seen, stated_bps=None, downloads=faster)).rung >= slow


@SOME
@given(views(), st.floats(0, 60))
def test_buffer_rules_never_go_lower_because_the_buffer_is_longer(seen: View, more_s: float) -> None:
    for name in ("zone", "bba", "bola"):
        longer = replace(seen, buffer_s=seen.buffer_s + more_s)
        assert POLICIES[name].choose(longer).rung >= POLICIES[name].choose(seen).rung


@pytest.mark.parametrize(
    ("health_percent", "rung"),
    [(0, 0), (19.9, 0), (20, 2), (20.1, 2), (39.9, 2), (40, 3), (40.1, 3), (85, 3), (85.1, 4), (100, 4)],
)
def test_zones_are_those_of_the_api(health_percent: float, rung: int) -> None:
    seen = view(current=3, buffer_s=health_percent, buffer_target_s=100.0)
    assert POLICIES["zone"].choose(seen).rung == rung


def test_zones_end_at_the_lowest_and_at_the_cap() -> None:
    assert POLICIES["zone"].choose(view(current=0, buffer_s=18.0)).rung == 0
    assert POLICIES["zone"].choose(view(current=3, cap=3, buffer_s=60.0)).rung == 3


def test_fixed_stays_but_for_the_cap() -> None:
    assert POLICIES["fixed"].choose(view(buffer_s=0.0)).rung == 2
    assert POLICIES["fixed"].choose(view(cap=1)).rung == 1


def test_the_lowest_is_all_that_an_empty_buffer_carries_on_a_slow_network() -> None:
    slow = tuple(download(400, 60.0 + 4 * place) for place in range(8))
    assert POLICIES["default"].choose(view(buffer_s=1.0, downloads=slow, current=4)).rung == 0


def test_the_default_does_not_go_up_right_after_a_drop() -> None:
    fast = tuple(download(9000, 60.0 + 4 * place) for place in range(8))
    assert POLICIES["default"].choose(view(downloads=fast)).rung == 3
    assert POLICIES["default"].choose(view(downloads=fast, last_drop_s=87.0)).rung == 2


def test_the_default_goes_up_again_after_a_drop_when_a_rate_is_stated_and_nothing_measured() -> None:
    stated = (replace(download(9000, 98.0), duration_s=0.0),)
    assert POLICIES["default"].choose(view(downloads=stated, last_drop_s=97.0)).rung == 2
    assert POLICIES["default"].choose(view(downloads=stated, last_drop_s=92.0)).rung > 2


def test_the_default_begins_at_once_with_what_a_fast_network_carries() -> None:
    assert POLICIES["default"].choose(view(current=1, downloads=(download(30_000),), buffer_s=4.0)).rung >= 4


def test_the_default_counts_what_segments_hold_and_not_only_what_their_rendition_may() -> None:
    full = tuple(download(1000, 60.0 + 4 * place) for place in range(8))
    lean = tuple(replace(one, rung=5, duration_s=20.0) for one in full)
    seen = view(current=4, buffer_s=15.0)
    assert POLICIES["default"].choose(replace(seen, downloads=lean)).rung == 5
    assert POLICIES["default"].choose(replace(seen, downloads=full)).rung < 4


def test_the_default_spends_its_buffer_before_the_end() -> None:
    slow = tuple(download(900, 60.0 + 4 * place) for place in range(8))
    holding, last = view(buffer_s=24.0, downloads=slow), view(current=3, buffer_s=14.0, downloads=slow)
    for seen, left_s in ((holding, 12.0), (last, 4.0)):
        endless = POLICIES["default"].choose(seen).rung
        assert POLICIES["default"].choose(replace(seen, left_s=3600.0)).rung == endless
        assert POLICIES["default"].choose(replace(seen, left_s=left_s)).rung == endless + 1


def test_the_default_leaves_it_to_the_buffer_where_forecasts_miss() -> None:
    wild = tuple(download(40_000 if place % 2 else 60, 60.0 + 4 * place) for place in range(10))
    choice = POLICIES["default"].choose(view(downloads=wild, buffer_s=40.0))
    assert "forecasts miss" in choice.reason


def test_a_viewer_of_whom_nothing_is_known_keeps_what_plays() -> None:
    assert POLICIES["default"].choose(view(downloads=())).rung == 2
    assert POLICIES["default"].choose(view(downloads=(), buffer_s=1.0)).rung == 1
    assert POLICIES["default"].choose(view(downloads=(), current=None)).rung == 0
    assert POLICIES["default"].choose(view(downloads=(), current=None, stated_bps=20e6)).rung > 0


def test_a_live_player_with_a_short_buffer_is_led_up_on_a_fast_network() -> None:
    fast = tuple(download(20_000, 60.0 + 2 * place, segment_s=2.0) for place in range(8))
    seen = view(downloads=fast, buffer_s=2.5, buffer_target_s=4.0, segment_s=2.0, is_live=True, current=4)
    assert POLICIES["default"].choose(seen).rung == 5
    assert POLICIES["bba"].choose(replace(seen, buffer_s=1.0)).rung == 0


def test_a_decision_is_held_to_the_cap_whatever_the_policy_says() -> None:
    choice = decide(Boundless(), view(cap=1))
    assert choice == Choice(rung=1, reason="because; held to what this viewer may be given")


class Boundless:
    name = "boundless"

    def choose(self, view: View) -> Choice:
        return Choice(rung=len(view.ladder), reason="because")
