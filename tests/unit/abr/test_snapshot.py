"""Who is brought back goes on as if nothing had happened."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abr.domain.decision import decide
from abr.domain.folding import take
from abr.domain.policies import POLICIES
from abr.domain.snapshot import read_snapshot, times_s, write_snapshot
from abr.domain.stream import Viewport
from abr.domain.view import Choice
from abr.domain.viewer import VIEWER_ID, Viewer
from support.adaptation import FILM, NOW_S, rung, sample, stream, viewer


@pytest.fixture
def watching() -> Viewer:
    one = viewer()
    for msn in range(20):
        take(one, sample(msn * 4.0, msn=msn, buffer_s=20, top_bps=4_500_000, latency_s=0.05), NOW_S + 80)
    one.note_decision(Choice(rung=1, reason=""), NOW_S + 78, obeyed=False)
    one.policy = "zone"
    one.note_question(NOW_S + 79, viewport=Viewport(1_280, 720))
    return one


def test_a_viewer_comes_back_as_it_was(watching: Viewer) -> None:
    now_s = NOW_S + 80
    back = read_snapshot(write_snapshot(watching, now_s), FILM, now_s)
    assert back is not None
    assert back.view(now_s) == watching.view(now_s)
    assert back.experience == watching.experience
    assert (back.told, back.msn, back.policy) == (watching.told, watching.msn, watching.policy)
    assert back.viewport == watching.viewport


@pytest.mark.parametrize("policy", POLICIES)
def test_a_restart_leads_nobody_down(watching: Viewer, policy: str) -> None:
    """A snapshot is seconds old, and the process was away for more: the player played on meanwhile."""
    before = decide(POLICIES[policy], watching.view(NOW_S + 80)).rung
    data = write_snapshot(watching, NOW_S + 80)
    back = read_snapshot(data, FILM, NOW_S + 110)
    assert back is not None
    assert decide(POLICIES[policy], back.view(NOW_S + 110)).rung >= before


def test_a_ladder_may_have_changed_meanwhile(watching: Viewer) -> None:
    data = write_snapshot(watching, NOW_S + 80)
    ladder = (rung("Tiny", 100_000), rung("Medium", 2_000_000))
    back = read_snapshot(data, stream(ladder=ladder), NOW_S + 90)
    assert back is not None
    assert back.view(NOW_S + 90).current == 1
    assert {download.rung for download in back.view(NOW_S + 90).downloads} == {1}


def test_what_is_no_snapshot_brings_nobody_back(watching: Viewer) -> None:
    kept = json.loads(write_snapshot(watching, NOW_S))
    for data in (b"", b"\xff", b"[]", b"{}", json.dumps({**kept, "version": 1}).encode()):
        assert read_snapshot(data, FILM, NOW_S) is None
        assert times_s(data) == (0, 0)
    odd: tuple[object, ...] = ({}, "x", [[1]])
    for name in kept:
        for value in odd:
            read_snapshot(json.dumps({**kept, name: value}).encode(), FILM, NOW_S)
    for name in ("sampled_s", "heard_s"):
        assert times_s(json.dumps({**kept, name: "x"}).encode()) == (0, 0)


def test_of_two_states_the_one_that_was_measured_later_is_newer(watching: Viewer) -> None:
    earlier = times_s(write_snapshot(watching, NOW_S + 80))
    assert earlier == watching.times_s
    watching.note_question(NOW_S + 200, buffer_s=3)
    asked = times_s(write_snapshot(watching, NOW_S + 200))
    other = read_snapshot(write_snapshot(watching, NOW_S + 80), FILM, NOW_S + 81)
    assert other is not None
    take(other, sample(81, msn=20), NOW_S + 82)
    assert earlier < asked < other.times_s


def test_who_is_brought_back_is_saved_again_once_it_is_measured_here(watching: Viewer) -> None:
    back = read_snapshot(write_snapshot(watching, NOW_S + 80), FILM, NOW_S + 81)
    assert back is not None
    back.note_question(NOW_S + 82, buffer_s=3)
    assert not back.is_ours
    take(back, sample(83, msn=20), NOW_S + 83)
    assert back.is_ours


def test_who_is_never_measured_is_of_whoever_is_asked() -> None:
    one = viewer()
    one.note_question(NOW_S, throughput_bps=3e6)
    back = read_snapshot(write_snapshot(one, NOW_S + 1), FILM, NOW_S + 2)
    assert back is not None
    assert back.is_ours


@given(
    viewer_id=st.from_regex(VIEWER_ID, fullmatch=True),
    buffer_s=st.floats(0, 3_600),
    rate_bps=st.floats(1, 1e11),
)
def test_whatever_it_holds_people_can_read_it(viewer_id: str, buffer_s: float, rate_bps: float) -> None:
    one = viewer(viewer_id=viewer_id)
    take(one, sample(1.0, buffer_s=buffer_s, player_bps=rate_bps, transfer_s=buffer_s / 6), NOW_S + 1)
    data = write_snapshot(one, NOW_S + 1)
    kept = json.loads(data)
    assert (kept["viewer_id"], kept["stated_bps"]) == (viewer_id, rate_bps)
    assert kept["experience"]["media_s"] == one.experience.media_s
    for form in (data, json.dumps(kept, indent=1).encode()):
        back = read_snapshot(form, FILM, NOW_S + 1)
        assert back is not None
        assert back.times_s == one.times_s
        assert back.history.packed == one.history.packed
        assert back.experience == one.experience


def test_a_snapshot_is_small(watching: Viewer) -> None:
    assert len(write_snapshot(watching, NOW_S + 80)) < 2_500
