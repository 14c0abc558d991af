"""Streams that a process owns, and how it lets go of them; against hand-written peers."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from weakref import ref

import pytest

from chassis.errors import Unavailable
from transcoder.domain.live_settings import Beat, LiveSettings
from transcoder.domain.live_timeline import LiveEntry, LiveTimeline
from transcoder.live.ownership import OwnerRules, Owners, Ownership, taken_over
from transcoder.live.ports import OpenedLive

SETTINGS = LiveSettings(stream_id="cam", incarnation="1", target_duration_s=2)
OPENED = OpenedLive(incarnation="1", epoch=1, sequence=1, timeline=LiveTimeline())


class Ledger:
    """Gives the stream to whoever asks, and takes everything."""

    async def open(self, settings: LiveSettings) -> OpenedLive:
        return OPENED

    async def read(self, settings: LiveSettings) -> LiveTimeline:
        return OPENED.timeline

    async def append(
        self,
        settings: LiveSettings,
        opened: OpenedLive,
        entries: Sequence[LiveEntry],
        *,
        sequence: int,
        request_id: str,
    ) -> int:
        return sequence + 1


class Settings:
    """Wants the stream for ever."""

    async def admit(self, stream_key: str, stream_id: str) -> LiveSettings:
        return SETTINGS

    async def get(self, stream_id: str) -> LiveSettings:
        return SETTINGS

    async def report(self, stream_id: str, opened: OpenedLive, error: str) -> None:
        pass


class Beats:
    """Shows nothing to nobody; `failure` is what becomes of trying to."""

    def __init__(self, failure: Exception | None = None) -> None:
        self._failure = failure

    async def ask(self, stream_id: str) -> Beat | None:
        return None

    @asynccontextmanager
    async def show(
        self,
        stream_id: str,
        state: Callable[[], Beat],
        *,
        heard: Callable[[Beat], None],
        stop: Callable[[], None],
    ) -> AsyncIterator[None]:
        if self._failure:
            raise self._failure
        yield


def own(beats: Beats) -> Owners:
    async def end(ownership: Ownership) -> None:
        pass

    rules = OwnerRules(owner="here", look_s=0.01)
    return Owners(ledger=Ledger(), settings=Settings(), beats=beats, rules=rules, end=end)


async def test_stream_that_cannot_be_kept_is_lost() -> None:
    """Nobody would hear of its owner: a second publisher would be let in elsewhere, and a stop not heard."""
    owners = own(Beats(failure=OSError("no subscription")))
    ownership = await owners.acquire(SETTINGS)
    async with asyncio.timeout(20):
        with pytest.raises(Unavailable, match="connect again"):
            await ownership.until_lost()
    assert owners.find("cam") is None


async def test_nothing_is_held_of_a_stream_that_was_lost() -> None:
    owners = own(Beats())
    ownership = await owners.acquire(SETTINGS)
    held = ref(ownership)
    ownership.lose(taken_over())
    del ownership
    async with asyncio.timeout(20):
        while held():
            await asyncio.sleep(0.01)
            gc.collect()
