"""Look into the beginning of what a publisher sends, until it tells what there is to encode."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from chassis.errors import InvalidArgument
from transcoder.domain.live_plan import HEAD_BYTES, HEAD_S
from transcoder.domain.opening import KnownHead, has_opening, read_opening, remember
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
    known: KnownHead | None = None
    """What is to be remembered of it; None if such bytes cannot be recognized."""


async def read_head(
    feed: Feed, probe: HeadProber, demuxer: str, known: KnownHead | None = None
) -> Head | None:
    """Read as much as is needed to know the tracks; None if nothing came at all.

    Args:
        feed: The bytes.
        probe: Looks into them.
        demuxer: Their container.
        known: How the last publisher began: one that begins in the same way is not looked into.

    Raises:
        InvalidArgument: What came in HEAD_BYTES or HEAD_S is nothing that can be transcoded.
    """
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    data = await (_read_opening(feed, demuxer) if known else feed.take())
    if known and (opening := read_opening(demuxer, data)) and opening.digest == known.digest:
        return Head(data=data, source=known.source, known=known)
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
            return Head(data=data, source=source, known=remember(read_opening(demuxer, data), source))
    return None


async def _read_opening(feed: Feed, demuxer: str) -> bytes:
    """Read on until the first frame shows, for as long as there would be nothing to look into."""
    data, until_s = await feed.take(), asyncio.get_running_loop().time() + _LOOK_AFTER_S
    while has_opening(demuxer) and not read_opening(demuxer, data) and len(data) < _LOOK_AFTER_BYTES:
        more, _ = await _read_more(feed, until_s, 1)
        if not more:
            break
        data += more
    return data


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
