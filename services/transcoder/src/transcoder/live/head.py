"""Look into the beginning of what a publisher sends, until it tells what there is to encode."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from chassis.errors import InvalidArgument
from transcoder.domain.live_plan import HEAD_BYTES, HEAD_S
from transcoder.domain.source import Source
from transcoder.live.feed import Feed
from transcoder.live.ports import HeadProber

# A publisher that sends both picture and sound has begun both by then; one that sends only one never will.
ONE_TRACK_S = 3.0
# Fifteen pictures, from which a rate can be told, last 0.63 s at 24 a second: a look before that is in vain.
_LOOK_AFTER_S = 0.65
_LOOK_AFTER_BYTES = 512 * 1024
_TOO_SHORT = "HEAD_TOO_SHORT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The beginning of a stream of bytes, and what it holds."""

    data: bytes
    source: Source


async def read_head(feed: Feed, probe: HeadProber, demuxer: str) -> Head | None:
    """Read as much as is needed to know the tracks; None if nothing came at all.

    Raises:
        InvalidArgument: What came in HEAD_BYTES or HEAD_S is nothing that can be transcoded.
    """
    loop = asyncio.get_running_loop()
    data = await feed.take()
    begin_s = loop.time()
    while data:
        more, ended = await _read_more(feed, loop.time() + _LOOK_AFTER_S, len(data) + _LOOK_AFTER_BYTES)
        data += more
        elapsed_s = loop.time() - begin_s
        is_whole = ended or elapsed_s >= HEAD_S or len(data) >= HEAD_BYTES
        try:
            source = await probe(data[:HEAD_BYTES], demuxer, is_whole=is_whole)
        except InvalidArgument as error:
            if is_whole or error.reason != _TOO_SHORT:
                raise
            continue
        if is_whole or elapsed_s >= ONE_TRACK_S or (source.video and source.audio):
            return Head(data=data, source=source)
    return None


async def _read_more(feed: Feed, until_s: float, size_bytes: int) -> tuple[bytes, bool]:
    """Read for some time, or up to a size; tells whether the feed has ended."""
    data = bytearray()
    try:
        async with asyncio.timeout_at(until_s):
            while len(data) < size_bytes:
                piece = await feed.take()
                if not piece:
                    return bytes(data), True
                data += piece
    except TimeoutError:
        return bytes(data), False
    return bytes(data), False
