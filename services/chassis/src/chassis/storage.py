"""Object storage by URL: immutable objects under keys, on disk, in memory or in a cloud.

A key is written once and never changed. What may change lives in NATS.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
from obstore import exceptions as storage_errors
from obstore.store import LocalStore, MemoryStore, from_url

from chassis.errors import AlreadyExists, InvalidArgument, NotFound, Unavailable, WeirError
from chassis.storage_leftovers import remove_leftovers
from chassis.storage_options import DEFAULTS, StorageOptions
from chassis.telemetry import Seldom

# obstore accepts a leading slash and percent escapes; no key of ours has either.
_KEY = re.compile(r"[A-Za-z0-9_=.-]+(/[A-Za-z0-9_=.-]+)*")
_DELETE_BATCH = 1000  # the most that S3 takes in one request
_DELETES_AT_ONCE = 16
_DELETE_PAUSES_S = (0.1, 0.5)
_PARTS_AT_ONCE = 2  # of one upload: it holds so many parts in memory
# No bucket is no missing object: a viewer must not be told that what was announced does not exist.
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
_FAILURES = {reason: Seldom() for reason in ("STORAGE_AWAY", "STORAGE_REFUSED")}
_REFUSALS = (storage_errors.PermissionDeniedError, storage_errors.UnauthenticatedError)


def _spare_none(_key: str) -> bool:
    return False


class ObjectStore:
    """The few verbs that Weir needs, over any obstore backend.

    Raises (all verbs):
        InvalidArgument: The key is none of ours.
        Unavailable: STORAGE_AWAY, it cannot be reached, or the bucket is not there; STORAGE_REFUSED, it
            does not take our credentials.
    """

    def __init__(
        self,
        store: obstore.store.ObjectStore,
        *,
        root: Path | None = None,
        part_bytes: int = DEFAULTS.part_bytes,
    ) -> None:
        self._store = store
        self._root = root
        self._part_bytes = part_bytes

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
                chunk_size=self._part_bytes,
                max_concurrency=_PARTS_AT_ONCE,
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
            await self._delete_surely(batch)

    async def delete_below(self, prefix: str, *, spares: Callable[[str], bool] = _spare_none) -> int:
        """Remove all objects below a prefix that ends with '/', but those that are spared; answers how many.

        On disk, what killed processes left of uploads goes as its object would, so nobody may be writing
        any more what is not spared. In clouds that is for a rule of the bucket.
        """
        doomed = [key async for key in self.list(prefix) if not spares(key)]
        await self.delete(*doomed)
        if self._root:
            await asyncio.to_thread(remove_leftovers, self._root, prefix, spares)
        return len(doomed)

    async def _delete_surely(self, batch: Sequence[str]) -> None:
        """Try again when a connection is lost: obstore sends no list of keys twice."""
        for pause_s in _DELETE_PAUSES_S:
            with suppress(Unavailable):
                return await self._delete_whole(batch)
            await asyncio.sleep(pause_s)
        return await self._delete_whole(batch)

    async def _delete_whole(self, batch: Sequence[str]) -> None:
        try:
            await self._delete(batch)
        except NotFound:  # some stores stop at a missing key, others never tell
            await self._delete_one_by_one(batch)

    async def _delete(self, batch: Sequence[str]) -> None:
        with _translated(batch[0]):
            await obstore.delete_async(self._store, batch)

    async def _delete_one_by_one(self, batch: Sequence[str]) -> None:
        for start in range(0, len(batch), _DELETES_AT_ONCE):
            await asyncio.gather(*map(self._delete_if_there, batch[start : start + _DELETES_AT_ONCE]))

    async def _delete_if_there(self, key: str) -> None:
        with suppress(NotFound):
            await self._delete([key])

    def local_path(self, key: str) -> Path | None:
        """Name the file that holds an object, where the storage is a folder of this machine."""
        return self._root / _checked(key) if self._root else None


def open_store(url: str, options: StorageOptions = DEFAULTS) -> ObjectStore:
    """Open the storage that a URL names; see `ServiceConfig.storage_url`.

    Who we are, a cloud's storage learns as its own tools do: from the environment, or by the machine's or
    pod's role.

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
        store = from_url(url, client_options=options.client(), retry_config=options.retry())
        return ObjectStore(store, part_bytes=options.part_bytes)
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
        if isinstance(error, (storage_errors.BaseError, FileNotFoundError)):
            raise self._meaning(error) from error

    def _meaning(self, error: Exception) -> WeirError:
        if any(code in str(error).replace(self._key, "") for code in _NO_BUCKET):
            return self._failed(error, "the bucket of storage_url is not there: create it")
        match error:
            case storage_errors.NotFoundError() | FileNotFoundError():
                return NotFound(f"there is no object {self._key!r}", reason="NO_OBJECT")
            case storage_errors.AlreadyExistsError():
                return AlreadyExists(f"object {self._key!r} is there already", reason="OBJECT_EXISTS")
        if isinstance(error, _REFUSALS):
            return self._failed(error, "storage does not take our credentials", reason="STORAGE_REFUSED")
        return self._failed(error, "storage cannot be reached")

    def _failed(self, error: Exception, message: str, *, reason: str = "STORAGE_AWAY") -> Unavailable:
        """Say what is the matter; whoever asks may be anybody: where and what storage is stays in the log."""
        _FAILURES[reason].warn("storage failed", reason=reason, key=self._key, error=_told(error))
        return Unavailable(message, reason=reason)


def _told(error: Exception) -> str:
    """Keep of obstore's pages of words what went wrong, without the storage's address."""
    return str(error).partition("\n")[0].rpartition(" - ")[2]
