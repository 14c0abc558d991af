"""A port of this machine for the time of a block; each connection is closed, however its task ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

from chassis.lifecycle import end_tasks

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


@asynccontextmanager
async def local_port(serve: Serve, *, head_bytes: int, connections_count: int) -> AsyncIterator[int]:
    """Listen for the time of a block, which gets the port's number.

    Args:
        serve: Serves one connection; closing it is done here.
        head_bytes: How much `readuntil` of a connection's reader may look at.
        connections_count: At once; who comes then is sent away.
    """
    visits = _Visits(serve, connections_count)
    server = await asyncio.start_server(visits.accept, "127.0.0.1", 0, limit=head_bytes)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await visits.stop()


class _Visits:
    """The connections to one port."""

    def __init__(self, serve: Serve, most_count: int) -> None:
        self._serve = serve
        self._most_count = most_count
        self._tasks: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        self._most_count = 0  # one that the listener had taken already may still come
        if self._tasks:
            await end_tasks(*self._tasks)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= self._most_count:
            writer.close()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        # Not within the task: one that is cancelled before its first step runs no `finally`.
        task.add_done_callback(lambda _: writer.close())
        task.add_done_callback(self._tasks.discard)
