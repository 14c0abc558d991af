"""What a viewer sees on the player page, with hls.js through Envoy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, expect

from support.browser import Visit, chromium, until, visiting
from support.publish import LONG_S, SAMPLE_S, begin, make_tone, publish
from weir_cli.client import Client, open_client

pytestmark = pytest.mark.asyncio(loop_scope="session")

FOUR_POINTS = re.compile(r"^M[^LH]+([LH][^LH]+){3}")
RENDITION_HEIGHTS = {"720p": 720, "480p": 480, "360p": 360}


async def test_the_sample_plays_to_its_end_with_a_seek_and_a_switch_of_rendition(
    browser: Browser, site: str, sample: str
) -> None:
    async with visiting(browser, f"{site}/watch/{sample}") as visit:
        await _plays_past(visit, 1.0)
        await visit.page.get_by_role("radio", name="360p").check()
        await _shows(visit, 360)
        await _seek(visit, SAMPLE_S - 6.0)
        await visit.page.get_by_role("radio", name="720p").check()
        await _plays_past(visit, SAMPLE_S - 5.5)
        await _shows(visit, 720)
        await until(lambda: visit.video("video.ended"), "the end")
        assert abs(await visit.video("video.currentTime") - SAMPLE_S) < 0.2
        assert visit.witness.complaints == []


async def test_every_rendition_can_be_chosen_and_is_the_one_that_is_shown(
    browser: Browser, site: str, sample: str
) -> None:
    async with visiting(browser, f"{site}/watch/{sample}") as visit:
        await _plays_past(visit, 0.2)
        for name, height in RENDITION_HEIGHTS.items():
            await visit.page.get_by_role("radio", name=name).check()
            await _seek(visit, 0.0)
            await _shows(visit, height)
            await expect(visit.page.locator("#rendition")).to_contain_text(name)


async def test_the_seek_bar_shows_what_is_to_be_seen_there(browser: Browser, site: str, sample: str) -> None:
    async with visiting(browser, f"{site}/watch/{sample}") as visit:
        await _plays_past(visit, 0.2)
        bar, preview = _bar(visit), visit.page.locator("#preview")
        await bar.hover()  # its middle
        await expect(preview).to_contain_text(f"0:0{SAMPLE_S // 2}")
        await expect(preview.locator("img")).to_be_visible()
        # the third segment, from 4 s to 8 s: the second of its pictures
        assert re.search(r"/segment_2\.jpg\?i=\w+$", str(await _preview_image(visit, "image.src")))
        assert await _preview_image(visit, "[image.naturalWidth, image.naturalHeight]") == [200, 2 * 112]
        assert await _preview_image(visit, "image.style.transform") == "translate(0px, -112px)"
        await visit.page.mouse.move(0, 0)
        await expect(preview).to_be_hidden()
        await bar.press("End")
        await expect(preview).to_contain_text(f"0:{SAMPLE_S}")
        await until(lambda: visit.video("video.ended"), "the end")
        await bar.press("Home")
        await until(lambda: visit.video("video.currentTime < 1"), "its beginning again")
        await expect(visit.page.locator("#reach")).to_have_text(re.compile(rf"0:0\d of 0:{SAMPLE_S}"))
        assert visit.witness.complaints == []


async def test_auto_climbs_to_the_highest_rendition_that_the_network_carries(
    browser: Browser, site: str, sample: str
) -> None:
    async with visiting(browser, f"{site}/watch/{sample}", width=1_600) as visit:
        await _shows(visit, 720)
        await expect(visit.page.get_by_text("now 720p")).to_be_visible()


async def test_figures_and_chart_tell_what_flows(browser: Browser, site: str, sample: str) -> None:
    async with visiting(browser, f"{site}/watch/{sample}") as visit:
        await _plays_past(visit, 2.5)
        page = visit.page
        assert float((await page.locator("#buffer").inner_text()).split()[0]) > 1.0
        assert "bit/s" in await page.locator("#throughput").inner_text()
        for line in ("throughput", "rendition", "buffer"):
            await expect(page.locator(f"#hydrograph .line.{line}")).to_have_attribute("d", FOUR_POINTS)
        await page.locator("#hydrograph").hover(position={"x": 295, "y": 60})
        await expect(page.locator("#hydrograph-caption")).to_contain_text("ago: rendition")


@pytest.mark.timeout(300)
async def test_a_stream_plays_from_its_beginning_while_it_is_being_transcoded_and_gets_its_end(
    browser: Browser, site: str, long_source: Path
) -> None:
    recording_id = await begin(site, long_source, profiles=("Medium",))
    async with open_client(site) as client:
        await until(lambda: _percent_above(client, recording_id, 30), "30 % are there", deadline_s=120)
        async with visiting(browser, f"{site}/watch/{recording_id}") as visit:
            await until(lambda: visit.video("video.readyState > 1"), "a picture")
            assert await visit.video("video.currentTime") < 3.0
            await _plays_past(visit, 0.5)
            await expect(visit.page.locator("#state")).to_have_text("Being transcoded")
            await expect(visit.page.get_by_role("progressbar", name="Transcode")).to_be_visible()
            await expect(visit.page.locator("#state")).to_have_text("Ready", timeout=200_000)
            await _has_whole_duration(visit)
            await _seek(visit, LONG_S - 1.0)
            await until(lambda: visit.video("video.ended"), "the end")
            assert visit.witness.complaints == []


@pytest.mark.torture
@pytest.mark.timeout(300)
async def test_play_goes_on_after_the_connection_was_lost(
    browser: Browser, site: str, long_source: Path
) -> None:
    recording_id = await begin(site, long_source)
    async with visiting(browser, f"{site}/watch/{recording_id}") as visit:
        await _plays_past(visit, 0.5)
        await visit.page.context.set_offline(offline=True)
        await expect(visit.page.get_by_text("The connection is lost")).to_be_visible(timeout=90_000)
        stopped_s = await visit.video("video.currentTime")
        await visit.page.context.set_offline(offline=False)
        await _plays_past(visit, stopped_s + 2.0)
        await expect(visit.page.get_by_text("The connection is lost")).to_be_hidden()


async def test_a_stream_that_does_not_exist_is_told_in_words(browser: Browser, site: str) -> None:
    async with visiting(browser, f"{site}/watch/there-is-no-such-one") as visit:
        await _says(visit, "There is no such stream")
        await expect(visit.page.get_by_role("button", name="Try again")).to_be_visible()


async def test_a_recording_that_was_not_transcoded_says_so(browser: Browser, site: str) -> None:
    async with open_client(site) as client:
        recording_id = await client.create_recording(title="Nothing yet")
        async with visiting(browser, f"{site}/watch/{recording_id}") as visit:
            await _says(visit, "There is nothing to play yet")


async def test_a_stream_without_picture_plays_and_says_so(
    browser: Browser, site: str, tmp_path: Path
) -> None:
    stream_id = await publish(site, make_tone(tmp_path / "Only sound.m4a", 6))
    async with visiting(browser, f"{site}/watch/{stream_id}") as visit:
        await _plays_past(visit, 0.5)
        await expect(visit.page.get_by_text("This stream has sound only")).to_be_visible()
        await _bar(visit).hover()
        await expect(visit.page.locator("#preview")).to_contain_text("0:03")
        await expect(visit.page.locator("#preview-picture")).to_be_hidden()
        await until(lambda: visit.video("video.ended"), "the end")
        assert visit.witness.complaints == []


async def test_a_stream_in_transport_segments_plays_too(
    browser: Browser, site: str, short_source: Path
) -> None:
    stream_id = await publish(site, short_source, container="ts")
    async with visiting(browser, f"{site}/watch/{stream_id}") as visit:
        await _plays_past(visit, 0.2)
        await _choice(visit, "360p").check()
        await _seek(visit, 0.0)
        await visit.video("video.play()")  # it is so short that it may have ended before
        await _shows(visit, 360)
        await until(lambda: visit.video("video.ended"), "the end")
        assert visit.witness.complaints == []


async def test_a_browser_without_media_source_plays_by_its_own_means(
    browser: Browser, site: str, sample: str
) -> None:
    async with visiting(browser, site) as visit:
        await visit.page.context.add_init_script(
            "delete globalThis.MediaSource; delete globalThis.ManagedMediaSource"
        )
        await visit.page.goto(f"{site}/watch/{sample}")
        await _plays_past(visit, 0.5)
        assert str(await visit.video("video.src")).endswith(f"/hls/{sample}/master.m3u8")
        await _seek(visit, SAMPLE_S - 2.0)
        await until(lambda: visit.video("video.ended"), "the end")
        assert visit.witness.complaints == []


async def test_play_starts_without_sound_where_the_browser_refuses_it(site: str, sample: str) -> None:
    async with chromium(autoplay=False) as shy, visiting(shy, site) as visit:
        # Playwright evaluates as if the viewer had clicked, so nothing may be asked before play has begun.
        async with visit.page.expect_response(re.compile(r"/segment_\d+")):
            await visit.page.goto(f"{site}/watch/{sample}")
        await _plays_past(visit, 0.5)
        assert await visit.video("video.muted")
        await visit.page.get_by_role("button", name="Turn the sound on").click()
        assert not await visit.video("video.muted")
        await expect(visit.page.get_by_role("button", name="Turn the sound on")).to_be_hidden()


async def test_the_rendition_is_chosen_with_the_keyboard(browser: Browser, site: str, sample: str) -> None:
    async with visiting(browser, f"{site}/watch/{sample}") as visit:
        await _plays_past(visit, 0.2)
        await visit.page.get_by_role("radio", name="Auto").focus()
        await visit.page.keyboard.press("ArrowUp")  # from the first choice round to the last
        await expect(_choice(visit, "360p")).to_be_checked()
        await _shows(visit, 360)


def _bar(visit: Visit) -> Locator:
    return visit.page.get_by_role("slider", name="Position in the stream")


async def _preview_image(visit: Visit, expression: str) -> Any:
    """Evaluate a JavaScript expression in which `image` is the one in the preview."""
    return await visit.page.locator("#preview img").evaluate(f"(image) => {expression}")


def _choice(visit: Visit, name: str) -> Locator:
    return visit.page.get_by_role("radio", name=name)


async def _plays_past(visit: Visit, position_s: float) -> None:
    is_past = f"!video.paused && video.currentTime > {position_s}"
    await until(lambda: visit.video(is_past), f"it plays past {position_s} s")


async def _shows(visit: Visit, height: int) -> None:
    await until(lambda: visit.video(f"video.videoHeight === {height}"), f"{height} lines are shown")


async def _says(visit: Visit, words: str) -> None:
    await expect(visit.page.get_by_role("heading", name=words)).to_be_visible()


async def _seek(visit: Visit, position_s: float) -> None:
    await visit.video(f"(video.currentTime = {position_s})")
    await until(lambda: visit.video("!video.seeking"), f"it stands at {position_s} s")


async def _has_whole_duration(visit: Visit) -> None:
    has_it = f"Math.abs(video.duration - {LONG_S}) < 0.2"
    await until(lambda: visit.video(has_it), f"a duration of {LONG_S} s")


async def _percent_above(client: Client, recording_id: str, percent: float) -> bool:
    return (await client.get_progress(recording_id)).percent > percent
