"""Objects in storage, and what lies below a prefix, over the chassis' object store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from pydantic import TypeAdapter

from chassis.errors import AlreadyExists
from chassis.storage import ObjectStore
from transcoder.domain.source import Source

_SOURCE = TypeAdapter(Source)


class ObjectMediaStore:
    """See `ports.MediaStore`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, key: str, data: bytes) -> None:
        await self._store.put(key, data)

    async def put_shared(self, key: str, data: bytes) -> None:
        try:
            await self._store.put(key, data)
        except AlreadyExists:
            return

    async def put_stream(self, key: str, pieces: AsyncIterator[bytes]) -> None:
        await self._store.put_stream(key, pieces)

    async def get(self, key: str) -> bytes:
        return await self._store.get(key)

    async def size(self, key: str) -> int:
        return await self._store.size(key)

    async def delete(self, keys: Sequence[str]) -> None:
        await self._store.delete(*keys)


class ObjectMediaFolders:
    """See `ports.MediaFolders`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def list(self, prefix: str) -> Sequence[str]:
        return [key async for key in self._store.list(prefix)]

    async def remove(self, prefix: str, *, keep: str = "") -> None:
        await self._store.delete_below(prefix, spares=lambda key: bool(keep) and key.startswith(keep))


class ObjectProbeArchive:
    """See `ports.ProbeArchive`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, key: str, media: Source) -> None:
        try:
            await self._store.put(key, _SOURCE.dump_json(media))
        except AlreadyExists:
            return

    async def get(self, key: str) -> Source:
        return _SOURCE.validate_json(await self._store.get(key))
