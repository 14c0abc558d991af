"""A port of this machine for one program: whoever has connected is let go when the port ends."""

from __future__ import annotations

import asyncio

import pytest

from transcoder.adapters.local_port import local_port


async def _wait_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del reader, writer
    await asyncio.Event().wait()


async def _refuse_to_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take two cancellations, as a task does that still has something to put away."""
    del writer
    try:
        await reader.read()
    except asyncio.CancelledError:
        await asyncio.Event().wait()


async def test_connections_end_with_their_port() -> None:
    for serve in (_wait_for_ever, _refuse_to_end):
        async with local_port(serve, head_bytes=64, connections_count=4) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("steps_count", range(6))
async def test_a_connection_ends_however_far_its_service_got(steps_count: int) -> None:
    async with local_port(_wait_for_ever, head_bytes=64, connections_count=4) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(steps_count):
            await asyncio.sleep(0)
    assert await reader.read() == b""
    writer.close()


async def test_one_too_many_is_sent_away() -> None:
    async with local_port(_wait_for_ever, head_bytes=64, connections_count=1) as port:
        _, first = await asyncio.open_connection("127.0.0.1", port)
        reader, second = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        first.close()
        second.close()
