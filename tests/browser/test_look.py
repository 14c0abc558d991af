"""How the pages look: in both themes, in windows from narrow to wide, to those who read with difficulty."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from playwright.async_api import Browser, Page, expect

from support.browser import Theme, until, visiting
from weir_cli.client import open_client

pytestmark = pytest.mark.asyncio(loop_scope="session")

WIDTHS = (320, 390, 768, 1280, 1920)
# WCAG 2.2, 1.4.3: contrast of text, normal and large.
NORMAL_CONTRAST, LARGE_CONTRAST = 4.5, 3.0

LONG_TITLE = "Recording-with-a-name-that-no-line-of-a-telephone-can-hold-and-that-has-no-place-to-break " * 2

# The contrast of each text that is seen, against what lies behind it; colours are resolved by painting them.
_CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const paint = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const colours = [];
    for (let at = element; at; at = at.parentElement) colours.unshift(getComputedStyle(at).backgroundColor);
    return colours;
  };
  const isText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const isSeen = (element) => element.checkVisibility() && !element.closest("svg, .dropveil, noscript");
  return [...document.body.querySelectorAll("*")].filter((e) => isText(e) && isSeen(e)).map((element) => {
    const style = getComputedStyle(element);
    const grounds = behind(element);
    const both = [luminance(paint([...grounds, style.color])), luminance(paint(grounds))];
    return {
      text: element.textContent.trim().slice(0, 40),
      ratio: (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05),
      large: parseFloat(style.fontSize) >= 24,
    };
  });
}"""


@pytest.fixture(scope="module", autouse=True)
def _something_to_show(sample: str) -> None:
    """A board with rows on it."""
    assert sample


@pytest.mark.parametrize("theme", get_args(Theme))
async def test_the_console_fits_and_complains_of_nothing(browser: Browser, site: str, theme: Theme) -> None:
    async with visiting(browser, site, theme=theme) as visit:
        await expect(visit.page.get_by_role("listitem").first).to_be_visible()
        await _fits_every_window(visit.page)
        await _is_readable(visit.page)
        assert visit.witness.complaints == []


@pytest.mark.parametrize("theme", get_args(Theme))
async def test_the_player_fits_and_complains_of_nothing(
    browser: Browser, site: str, sample: str, theme: Theme
) -> None:
    async with visiting(browser, f"{site}/watch/{sample}", theme=theme) as visit:
        await until(lambda: visit.video("video.currentTime > 0.2"), "it plays")
        await _fits_every_window(visit.page)
        await _is_readable(visit.page)
        assert visit.witness.complaints == []


async def test_a_title_without_end_does_not_widen_the_page(browser: Browser, site: str) -> None:
    async with open_client(site) as client:
        recording_id = await client.create_recording(title=LONG_TITLE[:200])
    for path in ("/", f"/watch/{recording_id}"):
        async with visiting(browser, site + path) as visit:
            await expect(visit.page.get_by_role("heading", name=LONG_TITLE[:60]).first).to_be_visible()
            await _fits_every_window(visit.page)


async def test_both_themes_differ(browser: Browser, site: str) -> None:
    grounds = set()
    for theme in get_args(Theme):
        async with visiting(browser, site, theme=theme) as visit:
            grounds.add(await visit.page.evaluate("() => getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == len(get_args(Theme))


async def test_nothing_moves_for_those_who_asked_for_stillness(browser: Browser, site: str) -> None:
    async with visiting(browser, site, reduced_motion="reduce") as visit:
        await expect(visit.page.get_by_role("listitem").first).to_be_visible()
        await visit.page.evaluate("() => document.body.classList.add('flowing')")
        assert await visit.page.evaluate("() => document.getAnimations().length") == 0


async def test_every_control_has_a_name(browser: Browser, site: str, sample: str) -> None:
    for path in ("/", f"/watch/{sample}"):
        async with visiting(browser, site + path) as visit:
            await expect(visit.page.get_by_role("heading", level=1)).to_be_visible()
            for control in await visit.page.locator("button, a, input, [role=progressbar]").all():
                if await control.is_visible():
                    await expect(control).to_have_accessible_name(_SOMETHING)


async def test_a_script_that_was_smuggled_in_does_not_run(browser: Browser, site: str, sample: str) -> None:
    smuggle = """() => {
      const script = document.createElement("script");
      script.textContent = "window.smuggled = true";
      document.head.append(script);
      return window.smuggled ?? false;
    }"""
    for path in ("/", f"/watch/{sample}"):
        async with visiting(browser, site + path) as visit:
            assert not await visit.page.evaluate(smuggle)


_SOMETHING = re.compile(r"\S")


async def _fits_every_window(page: Page) -> None:
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 800})
        needed = await page.evaluate("() => document.documentElement.scrollWidth")
        assert needed <= width, f"the page needs {needed} pixels in a window of {width}"


async def _is_readable(page: Page) -> None:
    faint = [
        f"{found['text']!r}: {found['ratio']:.2f}"
        for found in await page.evaluate(_CONTRASTS)
        if found["ratio"] < (LARGE_CONTRAST if found["large"] else NORMAL_CONTRAST)
    ]
    assert not faint, f"too little contrast: {faint}"
