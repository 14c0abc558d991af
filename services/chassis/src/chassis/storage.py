"""Object storage by URL: immutable objects under keys, on disk, in memory or in a cloud.

A key is written once and never changed. What may change lives in NATS.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
from obstore import exceptions as storage_errors
from obstore.store import LocalStore, MemoryStore, from_url

from chassis.errors import AlreadyExists, InvalidArgument, NotFound, Unavailable

# obstore accepts a leading slash and percent escapes; no key of ours has either.
_KEY = re.compile(r"[A-Za-z0-9_=.-]+(/[A-Za-z0-9_=.-]+)*")
_DELETE_BATCH = 1000  # the most that S3 takes in one request
_PIECE_BYTES = 5 * 1024 * 1024  # the least that S3 takes as one part of a multipart upload


class ObjectStore:
    """The few verbs that Weir needs, over any obstore backend.

    Raises (all verbs):
        InvalidArgument: The key is none of ours.
        Unavailable: The storage cannot be reached.
    """

    def __init__(self, store: obstore.store.ObjectStore, *, root: Path | None = None) -> None:
        self._store = store
        self._root = root

    async def put(self, key: str, data: bytes) -> None:
        """Write a whole object; AlreadyExists if the key is taken."""
        with _translated(key):
            await obstore.put_async(self._store, _checked(key), data, mode="create")

    async def put_stream(self, key: str, pieces: AsyncIterator[bytes]) -> None:
        """Write an object of any size in flat memory; nothing is left behind when `pieces` raises.

        The key must be fresh: a store that uploads in parts cannot refuse a taken one.
        """
        with _translated(key):
            await obstore.put_async(
                self._store,
                _checked(key),
                pieces,
                use_multipart=True,
                chunk_size=_PIECE_BYTES,
                max_concurrency=2,
            )

    async def get(self, key: str) -> bytes:
        """Read a whole object; NotFound if there is none."""
        with _translated(key):
            result = await obstore.get_async(self._store, _checked(key))
            return bytes(await result.bytes_async())

    async def get_range(self, key: str, *, start: int, length: int) -> bytes:
        """Read `length` bytes from `start`."""
        with _translated(key):
            piece = await obstore.get_range_async(self._store, _checked(key), start=start, length=length)
            return bytes(piece)

    async def stream(self, key: str, *, piece_bytes: int = 1024 * 1024) -> AsyncIterator[bytes]:
        """Read an object piece by piece."""
        with _translated(key):
            result = await obstore.get_async(self._store, _checked(key))
            async for piece in result.stream(min_chunk_size=piece_bytes):
                yield bytes(piece)

    async def size(self, key: str) -> int:
        """Tell an object's size in bytes; NotFound if there is none."""
        with _translated(key):
            return int((await obstore.head_async(self._store, _checked(key)))["size"])

    async def list(self, prefix: str) -> AsyncIterator[str]:
        """Go through the keys below a prefix that ends with '/'."""
        with _translated(prefix):
            async for batch in obstore.list(self._store, prefix=_checked(prefix.rstrip("/"))):
                for entry in batch:
                    yield entry["path"]

    async def delete(self, *keys: str) -> None:
        """Remove objects; a key that is not there is no error."""
        for start in range(0, len(keys), _DELETE_BATCH):
            batch = [_checked(key) for key in keys[start : start + _DELETE_BATCH]]
            try:
                await self._delete(batch)
            except NotFound:  # some stores stop at a missing key, others never tell
                await self._delete_one_by_one(batch)

    async def _delete(self, batch: Sequence[str]) -> None:
        with _translated(batch[0]):
            await obstore.delete_async(self._store, batch)

    async def _delete_one_by_one(self, batch: Sequence[str]) -> None:
        for key in batch:
            with suppress(NotFound):
                await self._delete([key])

    def local_path(self, key: str) -> Path | None:
        """Name the file that holds an object, where the storage is a folder of this machine."""
        return self._root / _checked(key) if self._root else None


def open_store(url: str) -> ObjectStore:
    """Open the storage that a URL names; see `ServiceConfig.storage_url`.

    Raises:
        InvalidArgument: The URL's scheme is none of file, memory, s3, gs and az.
    """
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return ObjectStore(MemoryStore())
    if parts.scheme == "file":
        root = Path(unquote(parts.path))
        root.mkdir(parents=True, exist_ok=True)
        return ObjectStore(LocalStore(root, automatic_cleanup=True), root=root)
    if parts.scheme in {"s3", "gs", "az"}:
        return ObjectStore(from_url(url))
    raise InvalidArgument(
        f"storage_url is {url!r}: its scheme must be file, memory, s3, gs or az", field="storage_url"
    )


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key) or ".." in key.split("/"):
        raise InvalidArgument(f"{key[:200]!r} is no storage key", reason="INVALID_KEY", field="key")
    return key


class _translated:  # noqa: N801 - reads as a verb where it is used
    """Turn obstore's exceptions into kinds of ours."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, (storage_errors.NotFoundError, FileNotFoundError)):
            raise NotFound(f"there is no object {self._key!r}", reason="NO_OBJECT") from error
        if isinstance(error, storage_errors.AlreadyExistsError):
            raise AlreadyExists(f"object {self._key!r} is there already", reason="OBJECT_EXISTS") from error
        if isinstance(error, storage_errors.BaseError):
            raise Unavailable(f"storage failed on {self._key!r}: {error}", reason="STORAGE_AWAY") from error
