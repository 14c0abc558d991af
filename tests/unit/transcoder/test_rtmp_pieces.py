"""Pieces come out as they went in, and a writer that waits for room is held up by a slow reader."""

from __future__ import annotations

import asyncio

from transcoder.ingest.rtmp.pieces import Pieces


async def test_pieces_keep_their_order() -> None:
    pieces = Pieces(100)
    for piece in (b"a", b"b", b"c"):
        pieces.add(piece)
    pieces.end()
    assert [piece async for piece in pieces] == [b"a", b"b", b"c"]


async def test_reader_waits_for_what_comes() -> None:
    pieces = Pieces(100)
    reading = asyncio.create_task(anext(pieces))
    await asyncio.sleep(0)
    assert not reading.done()
    pieces.add(b"late")
    assert await reading == b"late"


async def test_end_is_heard_by_a_reader_that_waits() -> None:
    pieces = Pieces(100)
    reading = asyncio.create_task(anext(pieces, b"end"))
    await asyncio.sleep(0)
    pieces.end()
    assert await reading == b"end"


async def test_writer_waits_until_enough_was_taken() -> None:
    pieces = Pieces(10)
    for _ in range(3):
        pieces.add(bytes(8))
    assert not pieces.has_room
    waiting = asyncio.create_task(pieces.wait_for_room())
    await anext(pieces)
    await asyncio.sleep(0)
    assert not waiting.done()
    await anext(pieces)
    await waiting
    assert pieces.has_room
