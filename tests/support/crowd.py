"""A crowd of viewers, each on a connection of its own, from a process of its own.

Prints one JSON line when every request is on its way, and another when every answer is whole. Raw sockets on
one selector: ten thousand clients of any library would measure the library.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Viewers who have asked."""

    process: asyncio.subprocess.Process

    async def answers(self) -> tuple[dict[str, int], list[float]]:
        """Wait for every answer: how many of each status, and the wall-clock time of each."""
        told = await _line(self.process)
        return told["statuses"], told["times"]


@asynccontextmanager
async def asking(port: int, count: int, path: str) -> AsyncIterator[Crowd]:
    """Let `count` viewers ask for a path; begins once all of them have."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, str(port), str(count), path, stdout=asyncio.subprocess.PIPE, limit=1 << 24
    )
    try:
        await _line(process)
        yield Crowd(process=process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _line(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout
    async with asyncio.timeout(_DEADLINE_S):
        told: dict[str, Any] = json.loads(await process.stdout.readline())
        return told


def main() -> None:
    """Ask with `count` connections for one path: argv is port, count and path."""
    port, count, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    request = f"GET {path} HTTP/1.1\r\nhost: x\r\nuser-agent: crowd\r\naccept: */*\r\n\r\n".encode()
    viewers = [_ask(port, request) for _ in range(count)]
    _tell({"asked": len(viewers)})
    _tell(_read_all(viewers))


def _tell(facts: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def _ask(port: int, request: bytes) -> socket.socket:
    viewer = socket.create_connection(("127.0.0.1", port), timeout=_DEADLINE_S)
    viewer.sendall(request)
    viewer.setblocking(False)
    return viewer


def _read_all(viewers: list[socket.socket]) -> dict[str, object]:
    """Read every answer to its end; tells how many there were of each status, and when each was whole."""
    selector = selectors.DefaultSelector()
    received = {viewer: bytearray() for viewer in viewers}
    for opened in viewers:
        selector.register(opened, selectors.EVENT_READ)
    times: list[float] = []
    deadline = time.monotonic() + _DEADLINE_S
    while len(times) < len(viewers) and time.monotonic() < deadline:
        for key, _ in selector.select(1.0):
            viewer = key.fileobj
            assert isinstance(viewer, socket.socket)
            data = viewer.recv(65536)
            received[viewer] += data
            if not data or _is_whole(received[viewer]):
                times.append(time.time())
                selector.unregister(viewer)
    statuses: dict[str, int] = {}
    for answer in received.values():
        status = bytes(answer[9:12]).decode()
        statuses[status] = statuses.get(status, 0) + 1
    return {"statuses": statuses, "times": times}


def _is_whole(answer: bytearray) -> bool:
    head, blank, body = bytes(answer).partition(b"\r\n\r\n")
    if not blank:
        return False
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return len(body) >= int(lengths[0].split(b":")[1])


if __name__ == "__main__":
    main()
