"""The pure modules of the pages, asked in the browser that runs them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from support.browser import visiting

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOW = "2026-11-22T12:00:00Z"
DELIVERY = (
    "{ total_active_viewers: 1, total_segments_served: '7', total_bytes_served: '2500000',"
    " total_delivery_failures: '0', cdn_cache_hit_rate: 0, queue_depth: 0 }"
)
DECIDED = (
    "{ isFollowed: true, isManual: false, news: { fault: null, decision:"
    " { resolution: '640x360', bitrate_label: 'VeryLow', policy: 'bba',"
    " reason: '12000 kbit/s expected: up' } } }"
)
SAID = [
    ("units", "bytes(999)", "999 B"),
    ("units", "bytes(12_400_000)", "12.4 MB"),
    ("units", "bytes(412_400_000)", "412 MB"),
    ("units", "bitrate(2_050_000).join(' ')", "2.0 Mbit/s"),
    ("units", "clock(0.4)", "0:00"),
    ("units", "clock(75.4)", "1:15"),
    ("units", "clock(3_671)", "1:01:11"),
    ("units", "span(0.2)", "1 s"),
    ("units", "span(59.2)", "1 min"),
    ("units", "span(95)", "1 min 35 s"),
    ("units", "span(4_000)", "1 h 6 min"),
    ("units", "percent(99.99)", "99 %"),
    ("units", "ratio(1.184)", "1.2\N{MULTIPLICATION SIGN}"),
    ("units", "frameRate(30_000 / 1_001)", "29.97 fps"),
    ("units", f"ago(Date.parse('2026-11-22T11:59:40Z'), Date.parse('{NOW}'))", "just now"),
    ("units", f"ago(Date.parse('2026-11-22T11:55:00Z'), Date.parse('{NOW}'))", "5 minutes ago"),
    ("units", f"ago(Date.parse('2026-11-21T11:00:00Z'), Date.parse('{NOW}'))", "25 hours ago"),
    ("units", f"ago(Date.parse('2026-10-01T12:00:00Z'), Date.parse('{NOW}'))", "1 October 2026"),
    ("naming", "titleOf('Low tide, 3.mov')", "Low tide, 3"),
    ("naming", "titleOf('.mov')", ".mov"),
    ("rendition", "renditionName({ width_pixels: 720, height_pixels: 1280 })", "720p"),
    ("rendition", "renditionName({ width_pixels: 0, height_pixels: 0 })", "Sound"),
    ("audience", "stateOf(1)", "One viewer watches now."),
    ("audience", "share(0.0042)", "0.4 %"),
    (
        "delivery",
        f"describeDelivery({DELIVERY}).flat().join(' ')",
        "1 viewer now 7 segments sent 2.5 MB in all",
    ),
    ("decision", f"describeDecision({DECIDED}).verdict", "Weir: 360p"),
    ("decision", f"describeDecision({DECIDED}).reason", "12.0\N{NO-BREAK SPACE}Mbit/s expected: up."),
    ("decision", "placeOf({ resolution: '', recommended_bitrate_kbps: 900 }, [])", -1),
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def page(browser: Browser, site: str) -> AsyncIterator[Page]:
    """A page from which the modules can be imported."""
    async with visiting(browser, site) as visit:
        yield visit.page


@pytest.mark.parametrize(("module", "call", "said"), SAID)
async def test_figures_are_said_as_people_read_them(page: Page, module: str, call: str, said: object) -> None:
    assert await _ask(page, module, call) == said


@pytest.mark.parametrize("title", ["Low tide, 3", "Fjærland, été", "日本", "-", "a" * 300])
async def test_an_id_made_from_any_title_is_one_that_the_api_takes(page: Page, title: str) -> None:
    made = await _ask(page, "naming", f"idOf({title!r})")
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", made)


async def test_ids_of_one_title_differ(page: Page) -> None:
    first, second = [await _ask(page, "naming", "idOf('Twice')") for _ in range(2)]
    assert first != second


async def _ask(page: Page, module: str, call: str) -> Any:
    words = f"/assets/js/words/{module}.js"
    return await page.evaluate(
        f"async () => {{ const words = await import('{words}'); return words.{call}; }}"
    )
