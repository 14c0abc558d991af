"""The public REST API, as far as the command line needs it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

_PIECE_BYTES = 256 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=120)
# Reads are tried again for so long: a service that is started again is back within that.
_PATIENCE_S = 30.0
_RETRY_INTERVAL_S = 0.5
_UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError)


class ApiError(Exception):
    """The suite refused a request, or a job failed; the message says why."""


class Away(ApiError):
    """The suite, or the service in question, cannot be reached at the moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the newest job of a recording is."""

    state: str = ""
    """As the API has it: QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED; empty: there is no job."""
    percent: float = 0.0
    speed_ratio: float = 0.0
    error: str = ""


class Client:
    """Calls of one suite; make it with `open_client`."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url

    async def list_recordings(self) -> list[dict[str, Any]]:
        """Return the newest recordings."""
        document = await self._get("/api/v1/recordings")
        return list(document["recordings"])

    async def create_recording(self, *, title: str, recording_id: str = "") -> str:
        """Create an empty recording; return its id."""
        body = {"recording_id": recording_id, "title": title}
        document = await self._call("POST", "/api/v1/recordings", json=body)
        return str(document["recording_id"])

    async def upload(self, recording_id: str, path: Path, sent: Callable[[int], None]) -> None:
        """Upload a source; `sent` hears of each piece's bytes."""
        source = f"/api/v1/recordings/{recording_id}/source"
        await self._call("PUT", source, data=_pieces(path, sent), headers=_upload_headers(path))

    async def start_transcode(self, recording_id: str) -> None:
        """Start the job that makes the ladder."""
        await self._call("POST", f"/api/v1/recordings/{recording_id}/transcode/quality", json={})

    async def get_progress(self, recording_id: str) -> Progress:
        return read_progress(await self._get(f"/api/v1/recordings/{recording_id}/transcode/progress"))

    async def is_playable(self, stream_id: str) -> bool:
        """Tell whether the stream's playlist is there."""
        try:
            async with self._session.get(f"{self.url}/hls/{stream_id}/master.m3u8") as response:
                return response.status == HTTPStatus.OK
        except _UNREACHABLE:
            return False

    def watch_url(self, stream_id: str) -> str:
        return f"{self.url}/watch/{stream_id}"

    async def _get(self, path: str) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return await self._call("GET", path)
            except Away:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_RETRY_INTERVAL_S)

    async def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        try:
            async with self._session.request(method, self.url + path, **arguments) as response:
                document: dict[str, Any] = await response.json()
        except _UNREACHABLE as error:
            raise Away(f"{method} {self.url}{path}: {error or type(error).__name__}") from error
        if response.status >= HTTPStatus.BAD_REQUEST:
            kind = Away if response.status == HTTPStatus.SERVICE_UNAVAILABLE else ApiError
            raise kind(str(document.get("message", response.reason)))
        return document


@asynccontextmanager
async def open_client(url: str) -> AsyncIterator[Client]:
    """Speak to the suite at `url`."""
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        yield Client(session, url.rstrip("/"))


def read_progress(document: dict[str, Any]) -> Progress:
    """Read the answer of the progress call: the newest job counts, it replaces those before it."""
    jobs = sorted(document["jobs"].values(), key=lambda job: str(job["create_time"]))
    if not jobs:
        return Progress()
    newest = jobs[-1]
    return Progress(
        state=newest["state"],
        percent=newest["percent"],
        speed_ratio=newest["speed_ratio"],
        error=newest["error"],
    )


def _upload_headers(path: Path) -> dict[str, str]:
    """Declare the length, by which the suite knows a whole upload from a broken one."""
    return {"content-length": str(path.stat().st_size), "content-type": "application/octet-stream"}


async def _pieces(path: Path, sent: Callable[[int], None]) -> AsyncIterator[bytes]:
    with path.open("rb") as source:
        while piece := await asyncio.to_thread(source.read, _PIECE_BYTES):
            yield piece
            sent(len(piece))
