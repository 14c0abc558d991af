"""Viewers who play for real: what they are sent is counted, what they measure decides what they are told."""

from __future__ import annotations

from pathlib import Path

from support.stack import Stack
from support.viewers import plan_viewers, watching
from support.viewers_house import THIN_BPS, House, make_film
from support.viewers_words import Line

COUNT, JOINING, MOST = 10, 5, 3


def test_the_loop_from_players_to_decisions_is_closed(stack: Stack, tmp_path: Path) -> None:
    house = House(stack)
    house.show("watched", make_film(tmp_path / "film.mp4", 12, sound=True), max_viewers=MOST)
    lines = (Line(), Line(bps=THIN_BPS))
    with watching(plan_viewers(stack.url, "watched", COUNT, joining=JOINING, lines=lines)) as viewers:
        viewers.wait_playing(3, within_s=30)
        wide, thin = viewers.all[::2], viewers.all[1::2]
        viewers.wait(lambda: all(viewer.rung == "Big" for viewer in wide), 20, "Big on wide lines")
        viewers.wait(lambda: all(viewer.rung == "Small" for viewer in thin), 20, "Small on thin lines")
        viewers.wait(lambda: all(viewer.felt.told_kbps for viewer in viewers.all), 20, "a word of the server")
        told = [[viewer.felt.told_kbps or 0 for viewer in some] for some in (thin, wide)]
    assert max(told[0]) * 1000 < THIN_BPS < min(told[1]) * 1000
    assert (len(viewers.joined(200)), len(viewers.joined(429))) == (MOST, JOINING - MOST)
    assert viewers.failures == []
    house.wait_counted("watched", viewers)
    shown = house.distribution("watched")
    assert shown["active_viewers"] == shown["peak_viewers"] == COUNT
    assert house.counted_per_viewer(shown) == viewers.counted_per_viewer()
