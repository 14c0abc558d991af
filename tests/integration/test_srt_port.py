"""The port of SRT against callers that only knock."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import ExitStack

from transcoder.ingest.publication import PublishClaim, Session
from transcoder.ingest.srt import WAITING_COUNT, srt_server

HANDSHAKE = b"\x80\x00" + bytes(62)


class Nobody:
    """Is never asked."""

    async def admit(self, claim: PublishClaim) -> Session:
        raise AssertionError("nobody has shown a key")


async def test_callers_that_only_knock_get_no_more_than_a_few_listeners() -> None:
    ports: list[int] = []

    async def listen(port: int) -> AsyncGenerator[bytes]:
        ports.append(port)
        await asyncio.Event().wait()
        yield b""

    with ExitStack() as stack:
        async with asyncio.timeout(10), srt_server("127.0.0.1", 0, Nobody(), listen) as port:
            for _ in range(WAITING_COUNT + 8):
                caller = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                caller.sendto(HANDSHAKE, ("127.0.0.1", port))
            while len(ports) < WAITING_COUNT:  # noqa: ASYNC110 - they come by UDP, when they come
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)  # one too many would have come by now
            assert len(ports) == WAITING_COUNT
