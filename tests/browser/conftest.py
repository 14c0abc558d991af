"""Fixtures of the browser tests: the public address, sources to upload, a stream to watch, a Chromium.

The tests share one Chromium, and so one event loop; each looks at its page in a context of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from support.browser import chromium
from support.publish import LONG_RATE, LONG_S, SAMPLE_S, make_picture, publish
from support.stack import Stack
from weir_cli.client import open_client


@pytest.fixture(scope="session")
def site(stack: Stack) -> str:
    """The suite's public address."""
    return stack.url


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for sources."""
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(scope="session")
def long_source(sources: Path) -> Path:
    """A source of LONG_S seconds."""
    return make_picture(sources / "long.mp4", LONG_S, rate=LONG_RATE)


@pytest.fixture(scope="session")
def short_source(sources: Path) -> Path:
    """A source of 3 seconds."""
    return make_picture(sources / "short.mp4", 3)


@pytest.fixture(scope="session")
def sample(site: str, sources: Path) -> str:
    """The id of a stream of SAMPLE_S seconds that is complete."""
    return asyncio.run(publish(site, make_picture(sources / "The sample.mp4", SAMPLE_S)))


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _tidy(site: str, sample: str) -> AsyncIterator[None]:
    """Delete what a test made, so that no transcode goes on beside the next test."""
    async with open_client(site) as client, aiohttp.ClientSession(site) as session:
        before = {recording["recording_id"] for recording in await client.list_recordings()} | {sample}
        yield
        made = {recording["recording_id"] for recording in await client.list_recordings()} - before
        for recording_id in made:
            await session.delete(f"/api/v1/recordings/{recording_id}")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium that may play unasked."""
    async with chromium() as running:
        yield running
