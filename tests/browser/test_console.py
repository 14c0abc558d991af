"""The console: what is uploaded, dropped, refused, cancelled and deleted there."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from playwright.async_api import Browser, FilePayload, Locator, Page, expect

from support.browser import Visit, until, visiting
from weir_cli.client import open_client

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

READY_TIMEOUT_MS = 200_000
SLOW_BYTES_PER_S = 400_000

# Fires what a browser fires when something from the desktop is dropped on the page.
_DROP = """([name, bytes]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name));
  const fire = (type) => document.body.dispatchEvent(
    new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
  fire("dragenter");
  fire("dragover");
  return new Promise((resolve) => setTimeout(() => { fire("drop"); resolve(); }, 50));
}"""

_DRAG = """() => {
  const transfer = new DataTransfer();
  transfer.items.add(new File(["x"], "x.mp4"));
  document.body.dispatchEvent(new DragEvent("dragenter", { dataTransfer: transfer, bubbles: true }));
}"""


async def test_an_upload_becomes_a_stream_that_can_be_watched_before_it_is_complete(
    browser: Browser, site: str, long_source: Path
) -> None:
    async with visiting(browser, site) as visit:
        await _pick(visit.page, "Picked by hand.mp4", long_source)
        row = _row(visit.page, "Picked by hand")
        await expect(row).to_contain_text("Transcoding", timeout=READY_TIMEOUT_MS)
        before = await _level(row)
        await until(lambda: _is_further(row, before), "the gauge moves")
        await expect(row).to_contain_text("real time")
        await expect(row.get_by_role("link", name="Watch")).to_be_visible()
        await expect(row).to_contain_text("Transcoding")
        await row.get_by_role("link", name="Watch").click()
        await until(lambda: visit.video("video.currentTime > 0.5"), "it plays")
        assert visit.witness.complaints == []


async def test_a_dropped_source_is_uploaded_and_gets_ready(
    browser: Browser, site: str, short_source: Path
) -> None:
    async with visiting(browser, site) as visit:
        await _drop(visit.page, "Dropped, not picked.mp4", short_source)
        row = _row(visit.page, "Dropped, not picked")
        await expect(row).to_contain_text("Ready", timeout=READY_TIMEOUT_MS)
        await expect(row).to_contain_text("0:03")
        await expect(row).to_contain_text("1280 \N{MULTIPLICATION SIGN} 720")
        await expect(row).to_contain_text("as 720p, 480p, 360p")
        assert visit.witness.complaints == []


async def test_the_page_shows_that_something_can_be_dropped(browser: Browser, site: str) -> None:
    async with visiting(browser, site) as visit:
        await visit.page.evaluate(_DRAG)
        await expect(visit.page.get_by_text("Drop to upload")).to_be_visible()


async def test_what_is_no_media_is_refused_in_words_and_leaves_nothing(browser: Browser, site: str) -> None:
    async with visiting(browser, site) as visit:
        notes = FilePayload(name="My notes.txt", mimeType="text/plain", buffer=b"Buy bread. " * 200)
        await visit.page.set_input_files("#picker", notes)
        row = _row(visit.page, "My notes")
        await expect(row).to_contain_text("Refused")
        assert len(await row.locator("[data-slot=message]").inner_text()) > 20
        await row.get_by_role("button", name="Dismiss").click()
        await expect(row).to_have_count(0)
        assert "My notes" not in await _titles(site)


async def test_an_upload_can_be_cancelled_and_leaves_nothing(
    browser: Browser, site: str, long_source: Path
) -> None:
    assert long_source.stat().st_size > 4 * SLOW_BYTES_PER_S, "it would be sent before anyone could cancel"
    async with visiting(browser, site) as visit:
        await _slow_down(visit)
        await _pick(visit.page, "Changed my mind.mp4", long_source)
        row = _row(visit.page, "Changed my mind")
        await expect(row).to_contain_text("Uploading")
        first = await _level(row)
        await until(lambda: _is_further(row, first), "the gauge moves")
        await row.get_by_role("button", name="Cancel").click()
        await expect(row).to_have_count(0)
        await until(lambda: _is_gone(site, "Changed my mind"), "the server has nothing of it")


async def test_a_transcode_can_be_cancelled_and_started_again(
    browser: Browser, site: str, long_source: Path
) -> None:
    async with visiting(browser, site) as visit:
        await _pick(visit.page, "Stop and go.mp4", long_source)
        row = _row(visit.page, "Stop and go")
        await expect(row).to_contain_text("Transcoding", timeout=READY_TIMEOUT_MS)
        await row.get_by_role("button", name="Cancel").click()
        await expect(row).to_contain_text("Cancelled")
        await expect(row.get_by_role("link", name="Watch")).to_be_hidden()
        await row.get_by_role("button", name="Transcode").click()
        await expect(row).to_contain_text("Transcoding", timeout=READY_TIMEOUT_MS)
        await expect(row.get_by_role("link", name="Watch")).to_be_visible(timeout=READY_TIMEOUT_MS)
        assert visit.witness.complaints == []


async def test_deleting_asks_first_and_then_deletes(browser: Browser, site: str) -> None:
    async with open_client(site) as client:
        await client.create_recording(title="To be deleted")
    async with visiting(browser, site) as visit:
        row = _row(visit.page, "To be deleted")
        await row.get_by_role("button", name="Delete").click()
        await visit.page.get_by_role("button", name="Keep it").click()
        await expect(row).to_be_visible()
        await row.get_by_role("button", name="Delete").click()
        await visit.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        await expect(row).to_have_count(0)
        assert "To be deleted" not in await _titles(site)
        assert visit.witness.complaints == []


async def test_deleting_works_by_keyboard_and_keeps_the_focus_on_the_page(
    browser: Browser, site: str
) -> None:
    async with open_client(site) as client:
        await client.create_recording(title="By keyboard")
    async with visiting(browser, site) as visit:
        row = _row(visit.page, "By keyboard")
        keep = visit.page.get_by_role("button", name="Keep it")
        await row.get_by_role("button", name="Delete").focus()
        await visit.page.keyboard.press("Enter")
        await expect(keep).to_be_focused()
        await visit.page.keyboard.press("Escape")
        await expect(keep).to_be_hidden()
        await expect(row).to_be_visible()
        await row.get_by_role("button", name="Delete").press("Enter")
        await expect(keep).to_be_focused()
        await visit.page.keyboard.press("Tab")
        await visit.page.keyboard.press("Enter")
        await expect(row).to_have_count(0)
        await expect(visit.page.get_by_role("heading", name="Streams")).to_be_focused()


async def test_the_page_says_when_the_api_is_away_and_when_it_is_back(browser: Browser, site: str) -> None:
    async with visiting(browser, site) as visit:
        away = visit.page.get_by_text("The recordings cannot be read")
        await expect(visit.page.get_by_role("list", name="Recordings")).to_be_attached()
        await visit.page.context.set_offline(offline=True)
        await expect(away).to_be_visible(timeout=15_000)
        await expect(visit.page.get_by_role("button", name="Try now")).to_be_visible()
        await visit.page.context.set_offline(offline=False)
        await expect(away).to_be_hidden(timeout=15_000)


async def test_what_others_upload_appears_by_itself(browser: Browser, site: str) -> None:
    async with visiting(browser, site) as visit, open_client(site) as client:
        await client.create_recording(title="From elsewhere")
        await expect(_row(visit.page, "From elsewhere")).to_contain_text("Empty", timeout=15_000)


@pytest.mark.parametrize(
    "title", ['<img src=x onerror="document.title=1">', "</template><script>throw 1</script>"]
)
async def test_a_title_is_text_whatever_it_holds(browser: Browser, site: str, title: str) -> None:
    async with open_client(site) as client:
        await client.create_recording(title=title)
    async with visiting(browser, site) as visit:
        await expect(visit.page.get_by_role("heading", name=title, exact=True)).to_be_visible()
        assert visit.witness.complaints == []


def _row(page: Page, title: str) -> Locator:
    return page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=title, exact=True))


async def _level(row: Locator) -> float:
    gauge = row.get_by_role("progressbar")
    return float(await gauge.get_attribute("aria-valuenow") or 0)


async def _is_further(row: Locator, level: float) -> bool:
    return await _level(row) > level


async def _pick(page: Page, name: str, source: Path) -> None:
    """Choose a source in the file picker under another name."""
    named = source.with_name(name)
    if not named.exists():
        named.hardlink_to(source)
    await page.set_input_files("#picker", named)


async def _drop(page: Page, name: str, source: Path) -> None:
    await page.evaluate(_DROP, [name, base64.b64encode(source.read_bytes()).decode()])


async def _slow_down(visit: Visit) -> None:
    """Give the page a slow way out, so that an upload takes its time."""
    devtools = await visit.page.context.new_cdp_session(visit.page)
    conditions = {
        "offline": False,
        "latency": 0,
        "downloadThroughput": -1,
        "uploadThroughput": SLOW_BYTES_PER_S,
    }
    await devtools.send("Network.emulateNetworkConditions", conditions)


async def _titles(site: str) -> set[str]:
    async with open_client(site) as client:
        return {recording["title"] for recording in await client.list_recordings()}


async def _is_gone(site: str, title: str) -> bool:
    return title not in await _titles(site)
