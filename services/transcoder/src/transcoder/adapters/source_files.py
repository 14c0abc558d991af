"""Sources as local files: the object's own file where storage is a folder, else a copy in a bounded cache."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chassis.errors import FailedPrecondition, NotFound, ResourceExhausted
from chassis.storage import ObjectStore

_RETRY_DELAY_S = 10.0  # others work on their sources for that long at least


class LocalSourceFiles:
    """For storage on this machine; see `ports.SourceFiles`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @asynccontextmanager
    async def open(self, key: str) -> AsyncIterator[Path]:
        path = self._store.local_path(key)
        if path is None or not path.is_file():
            raise NotFound(f"there is no source {key!r} in storage", reason="NO_OBJECT")
        yield path


class CachedSourceFiles:
    """For remote storage; see `ports.SourceFiles`.

    A source is copied once and kept while there is room: the chunks of a job come one after the other.
    Whoever needs room removes those that were not used for the longest time, and that nobody holds.
    """

    def __init__(self, store: ObjectStore, folder: Path, *, limit_bytes: int) -> None:
        self._store = store
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._holders: dict[str, int] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    @asynccontextmanager
    async def open(self, key: str) -> AsyncIterator[Path]:
        path = self._folder / hashlib.sha256(key.encode()).hexdigest()
        self._holders[key] = self._holders.get(key, 0) + 1
        try:
            async with self._locks.setdefault(key, asyncio.Lock()):
                if key not in self._sizes:
                    await self._copy(key, path)
                self._sizes.move_to_end(key)
            yield path
        finally:
            self._let_go(key)

    async def _copy(self, key: str, path: Path) -> None:
        size_bytes = await self._store.size(key)
        self._make_room(size_bytes)
        self._sizes[key] = size_bytes
        try:
            file = await asyncio.to_thread(path.open, "wb")
            with file:
                async for piece in self._store.stream(key):
                    await asyncio.to_thread(file.write, piece)
        except BaseException:
            del self._sizes[key]
            await asyncio.to_thread(path.unlink, missing_ok=True)
            raise

    def _make_room(self, size_bytes: int) -> None:
        if size_bytes > self._limit_bytes:
            raise FailedPrecondition(
                f"the source has {size_bytes} bytes, more than this transcoder may copy: scratch_limit_bytes "
                f"is {self._limit_bytes}",
                reason="SOURCE_TOO_LARGE",
            )
        for key in [key for key in self._sizes if key not in self._holders]:
            if sum(self._sizes.values()) + size_bytes <= self._limit_bytes:
                break
            del self._sizes[key]
            (self._folder / hashlib.sha256(key.encode()).hexdigest()).unlink(missing_ok=True)
        if sum(self._sizes.values()) + size_bytes > self._limit_bytes:
            raise ResourceExhausted(
                f"no room for a source of {size_bytes} bytes while others are worked on: scratch_limit_bytes "
                f"is {self._limit_bytes}",
                reason="SCRATCH_FULL",
                retry_delay_s=_RETRY_DELAY_S,
            )

    def _let_go(self, key: str) -> None:
        self._holders[key] -= 1
        if not self._holders[key]:
            del self._holders[key]
            self._locks.pop(key, None)
