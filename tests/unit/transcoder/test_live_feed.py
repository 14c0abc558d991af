"""The queue between a publisher and its encoder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from transcoder.live.feed import LIMIT_BYTES, Feed


def make_feed() -> Feed:
    return Feed(lambda: datetime.now(UTC))


async def send(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_piece_without_bytes_is_not_the_end() -> None:
    feed = make_feed()
    taking = asyncio.create_task(feed.take())
    await feed.fill(send([b""]), silence_s=5)
    await asyncio.sleep(0)
    await feed.fill(send([b"a", b"", b"b"]), silence_s=5)
    assert await taking == b"ab"


async def test_publisher_that_is_kept_waiting_is_not_silent() -> None:
    """Else another one would be let in its place while the encoder or storage is slow."""
    feed = make_feed()
    filling = asyncio.create_task(feed.fill(send([bytes(LIMIT_BYTES), b"more"]), silence_s=5))
    await asyncio.sleep(0.05)
    assert not filling.done()
    assert feed.silent_s == 0
    assert len(await feed.take()) == LIMIT_BYTES
    await filling
    await asyncio.sleep(0.01)
    assert feed.silent_s > 0
