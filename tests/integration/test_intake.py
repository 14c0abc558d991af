"""Bytes that are in force stay, whatever happens to the arrival that brought them in the moment after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chassis.config import ServiceConfig
from chassis.nats_connection import connect
from support.nats import NatsServer
from support.transcoder import small_film
from transcoder.adapters.probe import probe
from transcoder.bootstrap_ground import Stores, open_stores
from transcoder.config import TranscoderConfig
from transcoder.domain.recording import RecordingState, empty_recording
from transcoder.domain.wholeness import Promise
from transcoder.ports import MediaFolders
from transcoder.service_intake import Intake, Ports
from transcoder.service_receive import Limits, UploadPiece

BEAT_S = 0.05


class SlowFolders:
    """Takes its time to remove what earlier arrivals left."""

    def __init__(self, folders: MediaFolders) -> None:
        self._folders = folders
        self.asked = asyncio.Event()

    async def list(self, prefix: str) -> Any:
        return await self._folders.list(prefix)

    async def remove(self, prefix: str, *, keep: str = "") -> None:
        self.asked.set()
        await asyncio.sleep(10 * BEAT_S)
        await self._folders.remove(prefix, keep=keep)


@pytest.fixture
async def stores(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Stores]:
    config = TranscoderConfig(nats_url=nats_server.url, storage_url=f"file://{tmp_path}/objects")
    async with connect(ServiceConfig(nats_url=nats_server.url), name="test") as client:
        stores = await open_stores(config, client)
        await stores.recordings.create(empty_recording("film", datetime.now(UTC)))
        yield stores


def build_intake(stores: Stores, folders: SlowFolders) -> Intake:
    unused: Any = None
    ports = Ports(
        recordings=stores.recordings,
        media=stores.media,
        folders=folders,
        files=stores.files,
        probes=stores.probes,
        probe=probe,
        fetcher=unused,
        clock=lambda: datetime.now(UTC),
    )
    return Intake(ports, Limits(size_bytes=10_000_000, silence_s=10.0), beat_s=BEAT_S)


async def pieces(film: Path) -> AsyncIterator[UploadPiece]:
    yield UploadPiece(data=film.read_bytes(), last=True)


async def check_in_force(stores: Stores) -> None:
    kept = await stores.recordings.get("film")
    assert kept
    assert kept.value.state is RecordingState.READY
    assert kept.value.source
    assert await stores.media.size(kept.value.source.key) == kept.value.source.size_bytes


async def test_no_heartbeat_undoes_an_arrival_that_is_in_force(stores: Stores, tmp_path: Path) -> None:
    intake = build_intake(stores, SlowFolders(stores.folders))
    film = small_film(tmp_path, seconds=2.0)
    assert (await intake.upload("film", Promise(), pieces(film))).state is RecordingState.READY
    await check_in_force(stores)


async def test_a_caller_that_leaves_too_late_undoes_nothing(stores: Stores, tmp_path: Path) -> None:
    folders = SlowFolders(stores.folders)
    film = small_film(tmp_path, seconds=2.0)
    uploading = asyncio.create_task(build_intake(stores, folders).upload("film", Promise(), pieces(film)))
    await folders.asked.wait()
    uploading.cancel()
    await asyncio.wait((uploading,))
    await check_in_force(stores)
