"""A rung is left out in mid-stream, as when an encoder falls behind: players on it change to another."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser

from support.browser import Visit, until, visiting
from support.left_out import replaying
from support.stack import Stack
from support.viewers_house import House, make_film

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300), pytest.mark.torture]

SECONDS, HEAD = 48, 4
BIG, LESS = 180, {90, 54}  # heights of Big, and of the rungs below it


async def test_a_player_on_a_rung_that_is_left_out_changes_to_another(
    browser: Browser, stack: Stack, site: str, tmp_path: Path
) -> None:
    film = await asyncio.to_thread(make_film, tmp_path / "film.mp4", SECONDS, sound=False)
    await asyncio.to_thread(House(stack).show, "replayed", film, max_viewers=1)
    async with replaying(stack.grpc_address("distributor"), "replayed", "thinned") as replay:
        await replay.begin(HEAD)
        going_on = asyncio.create_task(replay.run())
        async with visiting(browser, f"{site}/watch/thinned") as visit:
            await until(lambda: _height(visit, {BIG}), "the top rung is shown")
            await replay.leave_out("Big")
            await until(lambda: _height(visit, LESS), "another rung is shown")
            changed_s = await visit.video("video.currentTime")
            await until(lambda: visit.video(f"video.currentTime > {changed_s + 6}"), "it plays on")
            assert await _height(visit, LESS)
        going_on.cancel()
    async with aiohttp.ClientSession(site) as session:
        await session.delete("/hls/streams/thinned")


async def _height(visit: Visit, among: set[int]) -> bool:
    return await visit.video("video.videoHeight") in among
