"""What comes through real pipes: in order, to the end, and no faster than it is taken."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar

import pytest

from transcoder.adapters.pipe_inbox import PIECE_BYTES, PipeInbox

Result = TypeVar("Result")


@dataclass
class Pipes:
    """Two pipes into one inbox, by the ends that are written to."""

    inbox: PipeInbox
    ends: list[int]

    def close(self, number: int) -> None:
        os.close(self.ends[number])
        self.ends[number] = -1


@pytest.fixture
async def pipes() -> AsyncIterator[Pipes]:
    pairs, inbox = [os.pipe() for _ in range(2)], PipeInbox()
    with ExitStack() as stack:
        for number, (read_end, _) in enumerate(pairs):
            file = stack.enter_context(os.fdopen(read_end, "rb", buffering=0))
            stack.callback(await inbox.connect(number, file))
        written = Pipes(inbox, [end for _, end in pairs])
        yield written
        for end in written.ends:
            if end >= 0:
                os.close(end)


async def soon(work: Awaitable[Result]) -> Result:
    async with asyncio.timeout(20):
        return await work


async def test_each_piece_comes_under_the_number_of_its_pipe(pipes: Pipes) -> None:
    for number in (1, 0, 1):
        os.write(pipes.ends[number], b"%d" % number)
        assert await soon(pipes.inbox.take()) == (number, b"%d" % number)


async def test_what_came_before_the_end_is_taken_and_then_nothing(pipes: Pipes) -> None:
    os.write(pipes.ends[0], b"last words")
    pipes.close(0)
    taking = asyncio.create_task(soon(pipes.inbox.take()))
    assert await taking == (0, b"last words")
    ended = asyncio.create_task(soon(pipes.inbox.take()))
    pipes.close(1)
    assert await ended is None
    assert await soon(pipes.inbox.take()) is None


async def test_a_writer_is_held_up_while_nobody_takes_and_goes_on_then(pipes: Pipes) -> None:
    os.set_blocking(pipes.ends[0], False)
    written_bytes = await fill(pipes.ends[0])
    assert written_bytes < 4 * PIECE_BYTES
    os.write(pipes.ends[1], b"others go on")
    taken_bytes = [0, 0]
    while taken_bytes != [written_bytes, len(b"others go on")]:
        piece = await soon(pipes.inbox.take())
        assert piece
        number, data = piece
        taken_bytes[number] += len(data)
    assert os.write(pipes.ends[0], b"more") == len(b"more")
    assert await soon(pipes.inbox.take()) == (0, b"more")


async def fill(end: int) -> int:
    """Write until nothing was taken for long; tells how many bytes went in."""
    written_bytes, refusals_count = 0, 0
    while refusals_count < 20:
        try:
            written_bytes += os.write(end, bytes(1 << 14))
            refusals_count = 0
        except BlockingIOError:
            refusals_count += 1
            await asyncio.sleep(0.01)
    return written_bytes
