"""Look into the beginning of what a publisher sends, until it tells what there is to encode."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from chassis.errors import InvalidArgument
from transcoder.domain.live_plan import HEAD_BYTES, HEAD_S
from transcoder.domain.opening import OPENING_DEMUXER, KnownHead, Opening, read_opening, remember
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
    found: KnownHead | None = None
    """What is to be remembered of it; None if it was known, or is not to be recognized by its bytes."""


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
    begin_s = asyncio.get_running_loop().time()
    data = await feed.take()
    if known and demuxer == OPENING_DEMUXER:
        data, opening = await _read_opening(feed, data)
        if opening and opening.digest == known.digest:
            return Head(data=data, source=known.source)
    return await _look(feed, probe, demuxer, data, begin_s)


async def _look(feed: Feed, probe: HeadProber, demuxer: str, data: bytes, begin_s: float) -> Head | None:
    """Read on behind `data` until a probe has seen enough; raises as `read_head`."""
    loop = asyncio.get_running_loop()
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
            opening = read_opening(data) if demuxer == OPENING_DEMUXER else None
            return Head(data=data, source=source, found=remember(opening, source))
    return None


async def _read_opening(feed: Feed, data: bytes) -> tuple[bytes, Opening | None]:
    """Read on until the opening is whole, for as long as there would be nothing to look into."""
    until_s = asyncio.get_running_loop().time() + _LOOK_AFTER_S
    while (opening := read_opening(data)) is None and 0 < len(data) < _LOOK_AFTER_BYTES:
        more, _ = await _read_more(feed, until_s, 1)
        if not more:
            break
        data += more
    return data, opening


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
