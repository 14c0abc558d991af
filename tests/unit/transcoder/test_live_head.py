"""The head of a publisher's bytes: looked into, unless they begin as the last ones did."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest

from support.flv import told_rate
from support.live_node import SOURCE, ScriptedProbe
from transcoder.domain.opening import KnownHead
from transcoder.ingest.rtmp.flv import write_header, write_tag
from transcoder.live.feed import Feed
from transcoder.live.head import Head, read_head

SOUND = write_tag(8, 40, b"\xaf\x01a sound")
PICTURE = write_tag(9, 40, b"\x17\x01\x00\x00\x00a picture")
FRAME = PICTURE + SOUND
RATE = write_tag(18, 0, told_rate(30))
TRACKS = write_tag(9, 0, b"\x17\x00the SPS") + write_tag(8, 0, b"\xaf\x00it")
OPENING = write_header((8, 9)) + RATE + TRACKS
OTHER = OPENING.replace(b"the SPS", b"another")


async def read(
    pieces: Sequence[bytes], probe: ScriptedProbe, known: KnownHead | None = None, demuxer: str = "flv"
) -> Head | None:
    """Read the head of what comes in these pieces, one after the other."""

    async def come() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
            await asyncio.sleep(0)

    feed = Feed(lambda: datetime.now(UTC))
    filling = asyncio.create_task(feed.fill(come(), silence_s=5))
    filling.add_done_callback(lambda _: feed.end())
    head = await read_head(feed, probe.look, demuxer, known)
    await filling
    return head


@pytest.fixture
async def known() -> KnownHead:
    """What is remembered of a first publisher."""
    head = await read([OPENING + FRAME], ScriptedProbe())
    assert head
    assert head.found
    return head.found


async def test_first_publisher_is_looked_into(known: KnownHead) -> None:
    assert known.source == SOURCE


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_who_begins_as_the_last_one_is_recognized(known: KnownHead, size: int) -> None:
    probe, data = ScriptedProbe(), OPENING + FRAME
    head = await read([data[at : at + size] for at in range(0, len(data), size)], probe, known)
    assert probe.looks_count == 0
    assert head
    assert (head.source, head.found) == (SOURCE, None)
    assert data.startswith(head.data)


@pytest.mark.parametrize("data", [OTHER + FRAME, OTHER, OPENING, OPENING + PICTURE, b"something else"])
async def test_who_begins_in_another_way_is_looked_into(known: KnownHead, data: bytes) -> None:
    probe = ScriptedProbe()
    head = await read([data[:20], data[20:]], probe, known)
    assert probe.looks_count == 1
    assert head
    assert head.data == data


async def test_what_cannot_be_recognized_is_not_remembered(known: KnownHead) -> None:
    probe = ScriptedProbe()
    head = await read([OPENING + FRAME], probe, known, "mpegts")
    assert probe.looks_count == 1
    assert head
    assert head.found is None


async def test_who_sends_nothing_has_no_head(known: KnownHead) -> None:
    assert await read([], ScriptedProbe(), known) is None
