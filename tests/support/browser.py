"""Chromium for tests, and witnesses of what went wrong in it.

A page's content security policy forbids to evaluate strings, and so Playwright's own waiting for functions.
Here one waits with `until`, which asks again and again from outside.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from playwright.async_api import (
    Browser,
    CDPSession,
    ConsoleMessage,
    Page,
    Request,
    Response,
    async_playwright,
    expect,
)

Theme = Literal["light", "dark"]

DEADLINE_S = 90.0
expect.set_options(
    timeout=DEADLINE_S * 1_000
)  # five seconds, the default, are short for a machine that transcodes
_POLL_S = 0.1

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",  # and without a display
    # Nothing but the page under test may use the network or the processor.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@asynccontextmanager
async def chromium(*, autoplay: bool = True) -> AsyncIterator[Browser]:
    """Run a Chromium: the one that WEIR_CHROMIUM names, the system's, else Playwright's own.

    Args:
        autoplay: True: pages may play with sound unasked, as those do that a viewer has used before.
            False: as on a first visit.
    """
    policy = "no-user-gesture-required" if autoplay else "user-gesture-required"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=os.environ.get("WEIR_CHROMIUM") or _installed(),
            args=[*_ARGUMENTS, f"--autoplay-policy={policy}"],
        )
        try:
            yield browser
        finally:
            await browser.close()


class Witness:
    """Remembers what a page complained of."""

    def __init__(self) -> None:
        self.complaints: list[str] = []

    def watch(self, page: Page) -> None:
        """Listen to a page from now on."""
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.on("requestfailed", self._miss)
        page.on("response", self._read)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            place = message.location.get("url", "")
            self.complaints.append(f"console {message.type}: {message.text} ({place})")

    def _miss(self, request: Request) -> None:
        # A player that seeks or leaves gives up what it was loading: that is no failure.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"{request.method} {request.url}: {request.failure}")

    def _read(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.request.method} {response.url}: {response.status}")


@dataclass(slots=True, kw_only=True)
class Visit:
    """One page that somebody looks at, and what it complained of."""

    page: Page
    witness: Witness

    async def video(self, expression: str) -> Any:
        """Evaluate a JavaScript expression in which `video` is the page's player."""
        return await self.page.locator("video").evaluate(f"(video) => {expression}")


class Network:
    """What a page has of the network, as long as this lives; make it with `network_of`."""

    LATENCY_MS = 30

    def __init__(self, session: CDPSession) -> None:
        self._session = session

    async def carry(self, rate_bps: float) -> None:
        """Let the page receive no more than this from now on, bits per second."""
        conditions = {
            "offline": False,
            "latency": self.LATENCY_MS,
            "downloadThroughput": rate_bps / 8,
            "uploadThroughput": -1,
        }
        await self._session.send("Network.emulateNetworkConditions", conditions)


async def network_of(page: Page) -> Network:
    """Take a page's network in hand."""
    session = await page.context.new_cdp_session(page)
    await session.send("Network.enable")
    return Network(session)


@asynccontextmanager
async def visiting(
    browser: Browser,
    url: str,
    *,
    theme: Theme = "light",
    width: int = 1280,
    height: int = 800,
    **context: Any,
) -> AsyncIterator[Visit]:
    """Open a page in a context of its own: no cache, no cookies."""
    opened = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, locale="en-GB", **context
    )
    try:
        page = await opened.new_page()
        page.set_default_timeout(DEADLINE_S * 1_000)
        witness = Witness()
        witness.watch(page)
        await page.goto(url)
        yield Visit(page=page, witness=witness)
    finally:
        await opened.close()


async def until(check: Callable[[], Awaitable[Any]], what: str, *, deadline_s: float = DEADLINE_S) -> Any:
    """Ask until the answer is true, and return it.

    Args:
        check: The question.
        what: What is waited for; the words of the failure.
        deadline_s: How long it may take.
    """
    end = time.monotonic() + deadline_s
    while not (answer := await check()):
        assert time.monotonic() < end, f"not within {deadline_s:g} s: {what}; the last answer was {answer!r}"
        await asyncio.sleep(_POLL_S)
    return answer


def _installed() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)
