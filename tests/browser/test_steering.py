"""Players are led along pathways, away from one that fails and back again, in a browser (rfc8216bis 7)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Request

from support.browser import Visit, network_of, until, visiting
from support.publish import publish
from support.second_way import SecondWay
from support.stack import Stack
from support.viewers_house import make_film

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240), pytest.mark.torture]

DURATION_S = 120
# A few times what the film needs, and hardly more than that: there is always something left to load.
WIDE_BPS, NARROW_BPS = 1_000_000, 240_000
_NEVER = 0.000_001


@pytest.fixture
def edge() -> SecondWay:
    return SecondWay()


@pytest_asyncio.fixture(loop_scope="session")
async def steered(edge: SecondWay, start_stack: Callable[..., Stack]) -> AsyncIterator[str]:
    """A suite whose viewers are led along the edge, as long as that is well; its public address."""
    pathways = [
        {"pathway_id": "origin", "base_url": "", "weight": _NEVER},
        {"pathway_id": "edge", "base_url": edge.url, "weight": 1},
    ]
    settings = {
        "WEIR_PATHWAYS": json.dumps(pathways),
        "WEIR_PATHWAY_CHECK_INTERVAL_S": "0.5",
        "WEIR_STEERING_TTL_S": "1",
    }
    await edge.open()
    stack = await asyncio.to_thread(start_stack, settings=settings)
    edge.lead_to(stack.url)
    yield stack.url
    await edge.close()


class Ways:
    """Which way the media of a page came."""

    def __init__(self, edge: SecondWay) -> None:
        self._edge = edge
        self._by_edge: list[bool] = []

    def hear(self, request: Request) -> None:
        if "/segment_" in request.url:
            self._by_edge.append(request.url.startswith(self._edge.url))

    async def are(self, *, by_edge: bool, count: int = 2) -> bool:
        """Tell whether the newest went this way."""
        return self._by_edge[-count:] == [by_edge] * count


async def test_players_are_led_away_from_a_pathway_that_is_not_well_and_back(
    browser: Browser, steered: str, edge: SecondWay, tmp_path: Path
) -> None:
    async with _watching(browser, steered, edge, tmp_path) as (visit, ways):
        edge.is_well = False
        await until(lambda: ways.are(by_edge=False), "media come from the origin")
        edge.is_well = True
        await until(lambda: ways.are(by_edge=True), "media come from the edge again")
        await _plays_on(visit)
        assert visit.witness.complaints == []


async def test_players_go_on_when_their_pathway_breaks(
    browser: Browser, steered: str, edge: SecondWay, tmp_path: Path
) -> None:
    async with _watching(browser, steered, edge, tmp_path) as (visit, ways):
        await edge.close()
        await until(lambda: ways.are(by_edge=False), "media come from the origin")
        await _plays_on(visit)


@asynccontextmanager
async def _watching(
    browser: Browser, site: str, edge: SecondWay, folder: Path
) -> AsyncIterator[tuple[Visit, Ways]]:
    """Watch a film along the edge."""
    film = await asyncio.to_thread(make_film, folder / "film.mp4", DURATION_S, sound=False)
    stream_id = await publish(site, film)
    ways = Ways(edge)
    async with visiting(browser, f"{site}/") as visit:
        network = await network_of(visit.page)
        await network.carry(WIDE_BPS)
        visit.page.on("request", ways.hear)
        await visit.page.goto(f"{site}/watch/{stream_id}")
        await until(lambda: ways.are(by_edge=True), "media come from the edge")
        assert visit.witness.complaints == []
        await network.carry(NARROW_BPS)
        yield visit, ways


async def _plays_on(visit: Visit) -> None:
    now_s = await visit.video("video.currentTime")
    await until(lambda: visit.video(f"video.currentTime > {now_s + 1}"), "it plays on")
