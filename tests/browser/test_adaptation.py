"""The closed loop, in a browser: what a player measures changes what it plays, and the page tells of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, Request, expect

from support.browser import Visit, network_of, until, visiting
from support.publish import make_picture, publish

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

# Two rungs; with sound they take 0.65 and 1.2 Mbit/s.
LOW, HIGH = "VeryLow", "Low"
DURATION_S = 44
WIDE_BPS, NARROW_BPS, WIDER_BPS = 2_500_000, 800_000, 20_000_000
# Windows in which the video is wider than 480p, and no wider than 360p.
WIDE_PIXELS, NARROW_PIXELS = 1_600, 600
# What was asked for before the network changed is not to blame.
WITHIN_SEGMENTS = 2

_PICTURE = re.compile(rf"/variants/({LOW}|{HIGH})/segment_\d+\.m4s")
_QUESTION = "/abr/quality"
# The default policy's, and of who stands in for it until it is prepared for a ladder.
_REASON = re.compile("expected, give or take|Best plan for")


@dataclass
class Asked:
    """What a page asked for: segments of the picture, by their renditions, and decisions."""

    renditions: list[str] = field(default_factory=list)
    questions: int = 0

    def hear(self, request: Request) -> None:
        if found := _PICTURE.search(request.url):
            self.renditions.append(found[1])
        self.questions += _QUESTION in request.url

    async def has(self, rendition: str, since: int) -> bool:
        return rendition in self.renditions[since:]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def rungs(site: str, sources: Path) -> AsyncIterator[str]:
    """The id of a recording with two rungs, long enough for a network to change twice."""
    source = await asyncio.to_thread(make_picture, sources / "Two rungs.mp4", DURATION_S)
    stream_id = await publish(site, source, profiles=(LOW, HIGH))
    yield stream_id
    async with aiohttp.ClientSession(site) as session:
        await session.delete(f"/api/v1/recordings/{stream_id}")


async def test_players_go_down_with_their_network_and_up_again(
    browser: Browser, site: str, rungs: str
) -> None:
    weir, own = await asyncio.gather(
        _live_through(browser, f"{site}/watch/{rungs}?abr=weir"),
        _live_through(browser, f"{site}/watch/{rungs}?abr=hlsjs"),
    )
    assert weir.questions > WITHIN_SEGMENTS
    assert own.questions == 0


async def test_the_page_says_what_was_decided_and_why(browser: Browser, site: str, sample: str) -> None:
    async with visiting(browser, site, width=WIDE_PIXELS) as visit:
        decision = await _first_decision(visit, f"{site}/watch/{sample}?abr=weir")
        assert decision["bitrate_label"] == "Medium"
        await expect(_slot(visit.page, "verdict")).to_have_text("Weir: 720p")
        await expect(_slot(visit.page, "reason")).to_contain_text(_REASON)
        await expect(_slot(visit.page, "policy")).to_have_text(f"Policy: {decision['policy']}")
        await visit.page.get_by_role("radio", name="480p").check()
        await expect(_slot(visit.page, "reason")).to_contain_text("You have chosen")
        await expect(_slot(visit.page, "verdict")).to_be_hidden()
        assert visit.witness.complaints == []


async def test_nobody_is_sent_more_pixels_than_the_page_shows(
    browser: Browser, site: str, sample: str
) -> None:
    async with visiting(browser, site, width=NARROW_PIXELS) as visit:
        decision = await _first_decision(visit, f"{site}/watch/{sample}?abr=weir")
        assert await visit.video("video.clientWidth <= 640 && video.clientHeight <= 360")
        assert decision["resolution"] == "640x360"


async def _first_decision(visit: Visit, url: str) -> Any:
    async with visit.page.expect_response(lambda answer: _QUESTION in answer.url) as asked:
        await visit.page.goto(url)
    return await (await asked.value).json()


async def test_the_controller_can_be_changed_while_it_plays(browser: Browser, site: str, rungs: str) -> None:
    async with _listening(browser, f"{site}/watch/{rungs}") as (visit, asked):
        await (await network_of(visit.page)).carry(NARROW_BPS)
        await until(lambda: _is_above(asked, 0), "Weir is asked")
        await visit.page.get_by_role("radio", name="hls.js").check()
        await expect(_slot(visit.page, "reason")).to_contain_text("hls.js decides by itself")
        assert visit.page.url.endswith("?abr=hlsjs")
        so_far, loaded = asked.questions, len(asked.renditions)
        await until(lambda: _has_loaded(asked, loaded + 3), "three more segments")
        assert asked.questions == so_far
        await visit.page.get_by_role("radio", name="Weir").check()
        await until(lambda: _is_above(asked, so_far), "Weir is asked again")
        assert visit.witness.complaints == []


async def test_a_player_decides_by_itself_while_nobody_answers(
    browser: Browser, site: str, sample: str
) -> None:
    async with visiting(browser, site) as visit:
        await visit.page.route(f"**{_QUESTION}*", lambda route: route.abort())
        await visit.page.goto(f"{site}/watch/{sample}")
        await until(lambda: visit.video("video.videoHeight === 720"), "the highest rendition")
        await expect(_slot(visit.page, "verdict")).to_have_text("hls.js decides for now")
        await expect(_slot(visit.page, "reason")).to_contain_text("cannot be reached")


async def test_viewers_are_shown_with_what_they_play_and_how_they_fare(
    browser: Browser, site: str, sample: str
) -> None:
    async with visiting(browser, site, width=WIDE_PIXELS) as visit:
        await visit.page.get_by_role("link", name=re.compile("Viewers of (The s|S)ample")).click()
        table = visit.page.get_by_role("table", name="Viewers")
        row = table.get_by_role("row").filter(has_text="This player")
        await expect(row).to_contain_text("720p")
        await expect(row).to_contain_text("excellent")
        await expect(row.locator("[data-slot=segments]")).to_have_text(re.compile(r"^[1-9]\d*$"))
        await expect(row.locator("[data-slot=throughput]")).to_contain_text("bit/s")
        await expect(row.locator("[data-slot=stalls]")).to_have_text(re.compile(r"^\d+$"))
        await expect(visit.page.locator("#totals")).to_contain_text(re.compile(r"Sent\s*\d+\.\d MB"))
        rate = visit.page.locator(".trend").filter(has_text="Average rate")
        await expect(rate.locator(".line")).to_have_attribute("d", re.compile(r"^M[^L]+L"))
        await expect(rate.locator("b")).to_contain_text("bit/s")
        viewer_id = await row.locator("[data-slot=name]").get_attribute("title")
        assert viewer_id in await _viewers(site, sample)
        await visit.page.goto(site)
        await until(lambda: _is_gone(site, sample, viewer_id), "who left is not counted any more")
        assert visit.witness.complaints == []


async def test_who_looks_for_a_moment_is_no_other_viewer(browser: Browser, site: str, sample: str) -> None:
    before = await _viewers(site, sample)
    async with visiting(browser, f"{site}/watch/{sample}", user_agent="somebody else") as visit:
        await visit.page.get_by_role("slider", name="Position in the stream").hover()
        await expect(visit.page.locator("#preview img")).to_be_visible()
        new = await until(lambda: _new_viewers(site, sample, before), "the player is known")
        await visit.page.goto(f"{site}/watch/{sample}#viewers")
        await expect(visit.page.get_by_role("table")).to_contain_text("This player")
        assert not [name for name in new | await _new_viewers(site, sample, before) if name.startswith("at-")]


async def test_a_stream_without_viewers_says_so(browser: Browser, site: str) -> None:
    async with aiohttp.ClientSession(site) as session:
        await session.post("/hls/streams", json={"stream_id": "nobody", "type": "live"})
        async with visiting(browser, f"{site}/watch/nobody#viewers") as visit:
            await expect(visit.page.get_by_text("Nobody watches at the moment")).to_be_visible()
            await expect(visit.page.get_by_role("table")).to_be_hidden()
            assert visit.witness.complaints == []
        await session.delete("/hls/streams/nobody")


async def test_the_console_tells_what_is_delivered(browser: Browser, site: str, sample: str) -> None:
    assert sample
    async with visiting(browser, site) as visit:
        line = visit.page.get_by_role("group", name="What all streams together deliver")
        await expect(line).to_contain_text(re.compile(r"\d+ viewers? now"))
        await expect(line).to_contain_text(re.compile(r"\d+ segments sent"))


async def _live_through(browser: Browser, url: str) -> Asked:
    """Play on a wide network, a narrow one and a wide one."""
    async with _listening(browser, url) as (visit, asked):
        network = await network_of(visit.page)
        await network.carry(WIDE_BPS)
        await until(lambda: asked.has(HIGH, 0), f"{url} begins high")
        changed = len(asked.renditions)
        await network.carry(NARROW_BPS)
        await until(lambda: asked.has(LOW, changed), f"{url} goes down")
        assert LOW in asked.renditions[changed : changed + WITHIN_SEGMENTS + 1], asked.renditions
        changed = len(asked.renditions)
        await network.carry(WIDER_BPS)
        await until(lambda: asked.has(HIGH, changed), f"{url} goes up again")
    return asked


@asynccontextmanager
async def _listening(browser: Browser, url: str) -> AsyncIterator[tuple[Visit, Asked]]:
    """Look at a page, and hear from its very beginning what it asks for."""
    asked = Asked()
    async with visiting(browser, "about:blank") as visit:
        visit.page.on("request", asked.hear)
        await visit.page.goto(url)
        yield visit, asked


def _slot(page: Page, name: str) -> Locator:
    return page.locator(f"#{name}")


async def _is_above(asked: Asked, count: int) -> bool:
    return asked.questions > count


async def _has_loaded(asked: Asked, count: int) -> bool:
    return len(asked.renditions) >= count


async def _viewers(site: str, stream_id: str) -> set[str]:
    async with aiohttp.ClientSession(site) as session, session.get(f"/api/v1/streams/{stream_id}") as answer:
        gathering: dict[str, Any] = await answer.json()
    return {viewer["viewer_id"] for viewer in gathering["viewers"]}


async def _new_viewers(site: str, stream_id: str, known: set[str]) -> set[str]:
    return await _viewers(site, stream_id) - known


async def _is_gone(site: str, stream_id: str, viewer_id: str | None) -> bool:
    return viewer_id not in await _viewers(site, stream_id)
