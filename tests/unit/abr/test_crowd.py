"""Nobody is held for ever, and not more than there is room for."""

from __future__ import annotations

from abr.domain.crowd import Crowd
from support.adaptation import FILM, NOW_S, stream, viewer


def test_for_one_too_many_those_go_who_were_not_heard_of_for_longest() -> None:
    crowd = Crowd(limit_count=32, idle_s=60)
    for number in range(33):
        one = viewer(viewer_id=f"v{number}")
        one.heard_s = NOW_S + (number or 100)
        crowd.add(one)
    assert len(crowd) == 31
    assert {f"v{number}" for number in range(33)} - {one.viewer_id for one in crowd} == {"v1", "v2"}


def test_the_newest_stays_even_where_there_is_room_for_one() -> None:
    crowd = Crowd(limit_count=1, idle_s=60)
    for name in ("ann", "bob"):
        crowd.add(viewer(viewer_id=name))
    assert [one.viewer_id for one in crowd] == ["bob"]


def test_the_idle_are_forgotten() -> None:
    crowd = Crowd(limit_count=10, idle_s=60)
    idle, fresh = viewer(viewer_id="idle"), viewer(stream(stream_id="other"), viewer_id="fresh")
    fresh.heard_s = NOW_S + 50
    crowd.add(idle)
    crowd.add(fresh)
    gone = viewer(viewer_id="gone")  # was forgotten meanwhile
    assert crowd.expire([gone, idle, fresh], NOW_S + 61) == 1
    assert list(crowd) == [fresh]
    assert crowd.of_stream("film") == {}


def test_a_viewer_replaces_its_namesake_of_the_same_stream_only() -> None:
    crowd = Crowd(limit_count=10, idle_s=60)
    for of in (FILM, stream(stream_id="other"), FILM):
        crowd.add(viewer(of))
    assert len(crowd) == 2
