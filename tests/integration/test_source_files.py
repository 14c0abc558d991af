"""Sources as files: the object's own, or a copy in a cache that keeps to its limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
from weir.transcoder.v1 import transcoder_pb2 as pb

from chassis.errors import FailedPrecondition, NotFound, ResourceExhausted
from chassis.storage import ObjectStore, open_store
from support.nats import NatsServer
from support.transcoder import running_pair, small_film, until
from transcoder.adapters.source_files import CachedSourceFiles, LocalSourceFiles


@pytest.fixture
async def store() -> ObjectStore:
    """Four objects of 1,000 bytes in storage that is not on this disk."""
    store = open_store("memory:")
    for name in "abcd":
        await store.put(name, name.encode() * 1000)
    return store


@pytest.fixture
def cache(store: ObjectStore, tmp_path: Path) -> Callable[[], CachedSourceFiles]:
    return lambda: CachedSourceFiles(store, tmp_path / "cache", limit_bytes=2500)


async def read(files: CachedSourceFiles, key: str) -> bytes:
    async with files.open(key) as path:
        return path.read_bytes()


def used_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "cache").iterdir())


async def test_a_source_on_disk_is_its_own_file(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/objects")
    await store.put("a/b", b"source")
    async with LocalSourceFiles(store).open("a/b") as path:
        assert path == tmp_path / "objects" / "a" / "b"
    with pytest.raises(NotFound):
        async with LocalSourceFiles(store).open("a/none"):
            pass


async def test_a_copy_is_made_once_and_kept(
    cache: Callable[[], CachedSourceFiles], store: ObjectStore
) -> None:
    files = cache()
    copies = await asyncio.gather(*(read(files, "a") for _ in range(5)))
    await store.delete("a")
    assert await read(files, "a") == b"a" * 1000
    assert set(copies) == {b"a" * 1000}


async def test_the_longest_unused_makes_room(cache: Callable[[], CachedSourceFiles], tmp_path: Path) -> None:
    files = cache()
    for key in "aba":
        await read(files, key)
    await read(files, "c")
    assert used_bytes(tmp_path) == 2000
    names = {path.read_bytes()[:1] for path in (tmp_path / "cache").iterdir()}
    assert names == {b"a", b"c"}


async def test_what_is_held_stays(cache: Callable[[], CachedSourceFiles], tmp_path: Path) -> None:
    files = cache()
    async with files.open("a") as first, files.open("b"):
        with pytest.raises(ResourceExhausted, match="scratch_limit_bytes is 2500"):
            await read(files, "c")
        assert first.read_bytes() == b"a" * 1000
    assert await read(files, "c") == b"c" * 1000
    assert used_bytes(tmp_path) <= 2500


async def test_a_source_that_never_fits_is_refused_otherwise(
    cache: Callable[[], CachedSourceFiles], store: ObjectStore
) -> None:
    await store.put("large", bytes(2501))
    with pytest.raises(FailedPrecondition, match=r"has 2501 bytes.*scratch_limit_bytes is 2500"):
        await read(cache(), "large")


async def test_a_source_that_is_gone_leaves_no_trace(
    cache: Callable[[], CachedSourceFiles], tmp_path: Path
) -> None:
    files = cache()
    with pytest.raises(NotFound):
        await read(files, "none")
    assert used_bytes(tmp_path) == 0


async def test_a_restart_begins_with_an_empty_folder(
    cache: Callable[[], CachedSourceFiles], tmp_path: Path
) -> None:
    await read(cache(), "a")
    cache()
    assert used_bytes(tmp_path) == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cramped:
    """Settings that leave room for one copy of a film, and an ffmpeg that holds it for a second or more."""

    film: Path
    ffmpeg_began: Path
    settings: dict[str, Any]


@pytest.fixture
def cramped(tmp_path: Path) -> Cramped:
    film, ffmpeg, began = small_film(tmp_path, seconds=5.0), tmp_path / "ffmpeg", tmp_path / "began"
    ffmpeg.write_text(f'#!/bin/sh\ntouch {began}\nsleep 1\nexec {imageio_ffmpeg.get_ffmpeg_exe()} "$@"\n')
    ffmpeg.chmod(0o755)
    settings = {
        "storage_url": "memory:",
        "scratch_path": tmp_path / "scratch",
        "scratch_limit_bytes": film.stat().st_size * 3 // 2,
        "transcode_workers": 4,
        "transcode_max_attempts": 1,
        "ffmpeg": str(ffmpeg),
    }
    return Cramped(film=film, ffmpeg_began=began, settings=settings)


async def test_two_jobs_take_turns_where_there_is_room_for_one_source(
    nats_server: NatsServer, tmp_path: Path, cramped: Cramped
) -> None:
    async with running_pair(nats_server.url, tmp_path / "objects", **cramped.settings) as transcoder:
        for name in ("one", "two"):
            await transcoder.bring(cramped.film, name)
        for name in ("one", "two"):
            await transcoder.start(name)
        jobs = [await transcoder.finish(name) for name in ("one", "two")]
    assert {(job.state, job.error, job.retries_count) for job in jobs} == {(pb.JobProgress.SUCCEEDED, "", 0)}


async def test_an_upload_waits_for_room(nats_server: NatsServer, tmp_path: Path, cramped: Cramped) -> None:
    async with running_pair(nats_server.url, tmp_path / "objects", **cramped.settings) as transcoder:
        await transcoder.bring(cramped.film, "one")
        await transcoder.start("one")

        async def is_held() -> bool:
            return cramped.ffmpeg_began.exists()

        await until(is_held)
        assert (await transcoder.bring(cramped.film, "two")).state == pb.Recording.READY
        assert (await transcoder.finish("one")).state == pb.JobProgress.SUCCEEDED


async def test_a_job_works_from_a_copy(nats_server: NatsServer, tmp_path: Path) -> None:
    film = small_film(tmp_path, seconds=5.0)
    settings = {"storage_url": "memory:", "scratch_path": tmp_path / "scratch"}
    async with running_pair(nats_server.url, tmp_path / "objects", **settings) as transcoder:
        await transcoder.bring(film)
        await transcoder.start()
        assert (await transcoder.finish()).state == pb.JobProgress.SUCCEEDED
        assert [path.read_bytes() for path in (tmp_path / "scratch").rglob("*") if path.is_file()] == [
            film.read_bytes()
        ]
