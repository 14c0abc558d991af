"""Two hundred viewers, and death among those who serve them: nobody stalls, and no count is lost.

`make torture` runs them, and prints what viewers felt.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.stack import Stack, running_stack
from support.viewers import Viewers, plan_viewers, watching
from support.viewers_house import THIN_BPS, House, make_film
from support.viewers_player import Viewer
from support.viewers_words import Line
from weir_cli.plan import Kind

pytestmark = pytest.mark.torture

REPLICAS = {Kind.GATEWAY: 2, Kind.DISTRIBUTOR: 2}
COUNT, MOST = 200, 100
# Two lines of three carry every rung, the third one the lowest alone.
LINES = (Line(), Line(), Line(bps=THIN_BPS))
ON_S = 60.0  # how long a shared machine may take to go on
UNTOLD_S = 3.0  # a gateway tells each second what it sent; on a shared machine later
SAVED_S = UNTOLD_S + 2.0  # and abr saves who changed its rung within about a second


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A suite that one test after the other hurts."""
    with running_stack(tmp_path_factory.mktemp("viewers"), replicas=REPLICAS) as running:
        yield running


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("film") / "film.mp4", 24, sound=True)


@pytest.fixture
def house(stack: Stack) -> House:
    stack.wait_healthy()
    return House(stack)


@contextmanager
def full(house: House, film: Path, stream_id: str) -> Iterator[Viewers]:
    """Let two hundred watch a stream of their own; the block begins when all of them play."""
    house.show(stream_id, film, max_viewers=MOST)
    with watching(plan_viewers(house.stack.url, stream_id, COUNT, joining=COUNT, lines=LINES)) as viewers:
        viewers.wait_playing(8, ON_S)
        yield viewers
    sys.stdout.write(f"{stream_id}: {viewers.tell()}\n")
    assert viewers.failures == []


def on_the_top_rung(viewers: Viewers) -> Sequence[Viewer]:
    return [viewer for viewer in viewers.all if viewer.rung == "Big"]


def require_unhurt(viewers: Viewers, since: float) -> None:
    """Each plays on, and nobody has stood still whose line has room: thin ones stall on a busy machine."""
    viewers.wait_playing(6, ON_S)
    now, wide = time.monotonic(), [viewer for viewer in viewers.all if not viewer.plan.line.bps]
    assert [stall for viewer in wide for stall in viewer.clock.stalls_since(since, now)] == []


def test_counts_are_what_the_viewers_counted(house: House, film: Path) -> None:
    before = house.totals(house.metrics())
    with full(house, film, "counted") as viewers:
        assert (len(viewers.joined(200)), len(viewers.joined(429))) == (MOST, COUNT - MOST)
        assert house.distribution("counted")["active_viewers"] == COUNT
    house.wait_counted("counted", viewers)
    shown, metrics = house.distribution("counted"), house.metrics()
    assert house.counted_per_viewer(shown) == viewers.counted_per_viewer()
    assert shown["peak_viewers"] == COUNT
    assert house.totals(house.stats("counted")) == viewers.totals
    assert [now - then for now, then in zip(house.totals(metrics), before, strict=True)] == [*viewers.totals]
    assert (metrics["total_distributors"], metrics["total_active_viewers"]) == (2, COUNT)


def staying_on_the_top_rung(viewers: Viewers, for_s: float) -> Sequence[Viewer]:
    """Who plays the top rung all the time: of who came there just now nobody knows yet."""
    top, deadline = on_the_top_rung(viewers), time.monotonic() + for_s
    while time.monotonic() < deadline:
        time.sleep(0.05)
        top = [viewer for viewer in top if viewer.rung == "Big"]
    assert top
    return top


def test_death_of_abr_leads_nobody_down(house: House, film: Path) -> None:
    with full(house, film, "without-abr") as viewers:
        viewers.wait(lambda: len(on_the_top_rung(viewers)) > COUNT // 3, ON_S, "the top rung for many")
        top, killed_time = staying_on_the_top_rung(viewers, SAVED_S), time.monotonic()
        pid = house.stack.kill("abr")
        house.stack.wait_restarted("abr", pid)
        told = [house.select("without-abr", viewer.name) for viewer in top]
        labels = Counter(answer["bitrate_label"] for answer in told)
        sys.stdout.write(f"SelectQuality behind the death of abr: {labels}; all were on Big\n")
        require_unhurt(viewers, killed_time)
    assert [answer["reason"] for answer in told if answer["bitrate_label"] == "Small"] == []


@pytest.mark.parametrize("name", ["distributor", "distributor-2"])
def test_death_of_a_distributor_loses_no_count(house: House, film: Path, name: str) -> None:
    stream_id = f"without-{name}"
    with full(house, film, stream_id) as viewers, house.growing(stream_id):
        killed_time = time.monotonic()
        pid = house.stack.kill(name)
        house.stack.wait_restarted(name, pid)
        require_unhurt(viewers, killed_time)
    house.wait_counted(stream_id, viewers)
    shown = house.distribution(stream_id)
    assert shown["active_viewers"] == shown["peak_viewers"] == COUNT


def test_death_of_a_gateway_loses_no_more_than_it_had_not_told(house: House, film: Path) -> None:
    with full(house, film, "without-gateway") as viewers, house.growing("without-gateway"):
        killed_time = time.monotonic()
        pid = house.stack.kill("hls-gateway")
        dead_time = time.monotonic()
        house.stack.wait_restarted("hls-gateway", pid)
        require_unhurt(viewers, killed_time)
    time.sleep(UNTOLD_S)
    shown = house.distribution("without-gateway")
    assert shown["active_viewers"] == shown["peak_viewers"] == COUNT
    lost = viewers.media_bytes - house.totals(shown)[1]
    sys.stdout.write(f"not told by the dead gateway: {lost} of {viewers.media_bytes} bytes\n")
    assert 0 <= lost <= viewers.bytes_between(killed_time - UNTOLD_S, dead_time + 1)
