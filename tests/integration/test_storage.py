"""The laws of object storage: one suite for disk, memory, S3, Azure Blob Storage and Google Cloud Storage.

The clouds are stood for by servers that are started here: moto, Azurite, and for Google a translation of its
XML interface to moto's S3, because neither of the emulators that there are (fake-gcs-server 1.56,
gcp-storage-emulator 2026.7) takes uploads in parts by that interface. So of Google it is shown what we send,
not how Google answers. What none of them shows: roles, quotas, and how real clouds are busy.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from chassis.errors import AlreadyExists, InvalidArgument, NotFound, Unavailable
from chassis.storage import ObjectStore, open_store
from chassis.storage_options import StorageOptions
from support.storage_servers import SERVERS, S3Server, StorageServer, running_storage, told

OPTIONS = StorageOptions(allow_http=True, part_bytes=5 * 1024 * 1024)
PATIENT_S = 60.0  # what a hanging test is told apart by
LARGE = bytes(range(256)) * 50_000  # three parts


class CountingStore(ObjectStore):
    """Counts the objects that each request to the storage deletes."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store._store)
        self.batches: list[int] = []

    async def _delete(self, batch: Sequence[str]) -> None:
        self.batches.append(len(batch))
        await super()._delete(batch)


@pytest.fixture(scope="module", params=["file", "memory", *SERVERS])
def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StorageServer | str]:
    scheme = str(request.param)
    if scheme not in SERVERS:
        yield scheme
        return
    with (
        running_storage(scheme, tmp_path_factory.mktemp(scheme)) as server,
        told(server.environment(server.port)),
    ):
        yield server


@pytest.fixture
def store(backend: StorageServer | str, tmp_path: Path) -> ObjectStore:
    """An empty storage."""
    if isinstance(backend, StorageServer):
        return open_store(f"{backend.url}/{uuid.uuid4().hex}", OPTIONS)
    return open_store(f"file://{tmp_path}/objects" if backend == "file" else "memory:")


async def listed(store: ObjectStore, prefix: str) -> list[str]:
    return sorted([key async for key in store.list(prefix)])


async def pieces_of(data: bytes, *, piece_bytes: int = 700_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), piece_bytes):
        yield data[start : start + piece_bytes]


@pytest.mark.parametrize("data", [b"", b"x", bytes(1_000_000)])
async def test_what_was_put_is_got(store: ObjectStore, data: bytes) -> None:
    await store.put("a/b", data)
    assert await store.get("a/b") == data
    assert await store.size("a/b") == len(data)


async def test_an_object_is_written_once(store: ObjectStore) -> None:
    await store.put("a/b", b"first")
    with pytest.raises(AlreadyExists) as caught:
        await store.put("a/b", b"second")
    assert caught.value.reason == "OBJECT_EXISTS"
    assert await store.get("a/b") == b"first"


async def test_of_many_who_write_a_key_at_once_one_succeeds(store: ObjectStore) -> None:
    texts = [b"%d" % number for number in range(8)]
    results = await asyncio.gather(*(store.put("a/b", text) for text in texts), return_exceptions=True)
    (winner,) = (text for text, result in zip(texts, results, strict=True) if result is None)
    assert [type(result) for result in results if result].count(AlreadyExists) == len(texts) - 1
    assert await store.get("a/b") == winner


async def test_a_large_object_is_written_in_parts(store: ObjectStore) -> None:
    await store.put_stream("a/large", pieces_of(LARGE))
    assert await store.size("a/large") == len(LARGE)
    assert await store.get("a/large") == LARGE


@pytest.mark.parametrize("data", [b"", b"less than a part"])
async def test_a_stream_may_be_small(store: ObjectStore, data: bytes) -> None:
    await store.put_stream("a/small", pieces_of(data))
    assert await store.get("a/small") == data


async def test_a_stream_that_breaks_leaves_nothing(
    store: ObjectStore, backend: StorageServer | str, tmp_path: Path
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        async for piece in pieces_of(LARGE[:6_000_000]):
            yield piece
        raise ConnectionError("the client died")

    with pytest.raises(ConnectionError):
        await store.put_stream("a/b", pieces())
    with pytest.raises(NotFound):
        await store.size("a/b")
    assert await listed(store, "a/") == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    if isinstance(backend, S3Server):
        assert "<Upload>" not in backend.unfinished_uploads()


async def test_ranges_and_streams_give_the_same_bytes(store: ObjectStore) -> None:
    await store.put("a/b", LARGE)
    for start, length in ((0, 1), (1000, 77), (len(LARGE) - 5, 5), (5_000_000, 2_000_000)):
        assert await store.get_range("a/b", start=start, length=length) == LARGE[start : start + length]
    assert b"".join([piece async for piece in store.stream("a/b", piece_bytes=65_536)]) == LARGE


async def test_what_is_missing_is_told_by_every_verb(store: ObjectStore) -> None:
    await store.put("a/b", b"x")
    with pytest.raises(NotFound) as caught:
        await store.get("a/c")
    assert caught.value.reason == "NO_OBJECT"
    with pytest.raises(NotFound):
        await store.size("a")  # a prefix is no object
    with pytest.raises(NotFound):
        await store.get_range("a/c", start=0, length=1)
    with pytest.raises(NotFound):
        [piece async for piece in store.stream("a/c")]
    assert await listed(store, "c/") == []


async def test_a_prefix_is_listed_whole_and_alone(store: ObjectStore) -> None:
    for key in ("s/1/a", "s/1/b/c", "s/10/a", "s/1.x", "S/1/a"):
        await store.put(key, b"x")
    assert await listed(store, "s/1/") == ["s/1/a", "s/1/b/c"]
    assert await listed(store, "s/") == ["s/1.x", "s/1/a", "s/1/b/c", "s/10/a"]


ODD_KEYS = (
    "x",
    "-",
    "_",
    "=",
    "a=b/c=d",
    "a/.hidden",
    "a/b.c.d..e",
    "a/...",
    "A/a",
    "a/A",
    "a/0123456789-_=.",
    f"a/{'l' * 200}/{'m' * 200}",
    "/".join("abcdefghijklmnopqrstuvwxyz"),
)


async def test_odd_keys_are_kept_apart(store: ObjectStore) -> None:
    for key in ODD_KEYS:
        await store.put(f"odd/{key}", key.encode())
    assert await listed(store, "odd/") == sorted(f"odd/{key}" for key in ODD_KEYS)
    for key in ODD_KEYS:
        assert await store.get(f"odd/{key}") == key.encode()
    await store.delete(*(f"odd/{key}" for key in ODD_KEYS))
    assert await listed(store, "odd/") == []


@pytest.mark.parametrize("key", ["", "/a", "a//b", "../a", "a/../b", "a/%2e%2e/b", "a\x00", "a/", "ä", "a b"])
async def test_other_keys_are_refused(store: ObjectStore, key: str) -> None:
    with pytest.raises(InvalidArgument):
        await store.put(key, b"x")
    with pytest.raises(InvalidArgument):
        await store.get(key)


async def test_what_is_not_there_may_be_deleted(store: ObjectStore) -> None:
    await store.delete()
    await store.delete("a/none")
    keys = [f"a/{number}" for number in range(20)]
    for key in keys:
        await store.put(key, b"x")
    await store.delete(*keys[:7], "a/none", *keys[7:15])
    assert await listed(store, "a/") == sorted(keys[15:])


async def test_what_cannot_be_deleted_is_told_beside_a_key_that_is_not_there(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/objects")
    await store.put("a/b", b"x")
    with pytest.raises(Unavailable) as caught:
        await store.delete("a/none", "a")  # a folder
    assert caught.value.reason == "STORAGE_AWAY"


@pytest.mark.torture
async def test_any_number_of_objects_is_listed_and_deleted_in_few_requests(store: ObjectStore) -> None:
    keys = [f"a/{number}" for number in range(1100)]
    at_once = asyncio.Semaphore(32)

    async def put(key: str) -> None:
        async with at_once:
            await store.put(key, b"x")

    await asyncio.gather(*map(put, keys))
    assert await listed(store, "a/") == sorted(keys)
    counting = CountingStore(store)
    await counting.delete(*keys[:1050])
    # More are for what a busy server did: close a connection, and then miss the keys that it had deleted.
    assert counting.batches[0] == 1000
    assert 50 in counting.batches
    assert await listed(store, "a/") == sorted(keys[1050:])


async def test_all_below_a_prefix_goes_but_what_is_spared(store: ObjectStore) -> None:
    for key in ("s/1/a", "s/1/b/c", "s/1/b/d", "s/10/a", "s/1.x"):
        await store.put(key, b"x")
    assert await store.delete_below("s/1/", spares=lambda key: key == "s/1/b/c") == 2
    assert await listed(store, "s/") == ["s/1.x", "s/1/b/c", "s/10/a"]
    assert await store.delete_below("s/1/") == 1
    assert await store.delete_below("s/1/") == 0
    assert await listed(store, "s/") == ["s/1.x", "s/10/a"]


async def test_where_storage_is_stays_in_the_log(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/objects")
    await store.put("a/b", b"x")
    shutil.rmtree(tmp_path / "objects")
    (tmp_path / "objects").write_bytes(b"no folder")
    with pytest.raises(Unavailable) as caught:
        await store.put("a/c", b"x")
    assert (caught.value.reason, caught.value.message) == ("STORAGE_AWAY", "storage cannot be reached")


KILLED = """
import asyncio, sys
from chassis.storage import open_store

async def pieces():
    yield b"the first of it"
    await asyncio.Event().wait()

asyncio.run(open_store(sys.argv[1]).put_stream(sys.argv[2], pieces()))
"""


def kill_while_writing(root: Path, key: str) -> Path:
    """Have a process write to a disk, and kill it in the middle; answers the file that it leaves."""
    before = set(root.rglob("*#*"))
    argv = [sys.executable, "-c", KILLED, f"file://{root}", key]
    with subprocess.Popen(argv) as writer:
        deadline = time.monotonic() + PATIENT_S
        while not (left := set(root.rglob("*#*")) - before):
            assert writer.poll() is None, "the writer has ended by itself"
            assert time.monotonic() < deadline, "the writer does not begin"
            time.sleep(0.02)
        writer.kill()
    (path,) = left
    return path


async def test_what_a_killed_process_left_of_an_upload_goes_as_its_object_would(tmp_path: Path) -> None:
    root = tmp_path / "objects"
    store = open_store(f"file://{root}")
    await store.put("s/1/a/whole", b"x")
    spared, first, second, elsewhere = (
        kill_while_writing(root, key) for key in ("s/1/a/b", "s/1/c/d", "s/1/c/d", "s/10/a")
    )
    assert await listed(store, "s/") == ["s/1/a/whole"]  # so whoever goes by listings leaves them for ever
    assert await store.delete_below("s/1/", spares=lambda key: key in {"s/1/a/b", "s/1/a/whole"}) == 0
    assert [path.exists() for path in (spared, first, second, elsewhere)] == [True, False, False, True]
    assert not (root / "s/1/c").exists()
    assert await store.delete_below("s/1/") == 1
    assert sorted(path.name for path in (root / "s").iterdir()) == ["10"]


async def test_a_bucket_that_is_not_there_is_no_missing_object(backend: StorageServer | str) -> None:
    if not isinstance(backend, StorageServer):
        return  # a folder is made, memory is always there
    store = open_store(f"{backend.scheme}://no-such-bucket", OPTIONS)
    for work in (store.get("a/b"), store.put("a/b", b"x"), store.get_range("a/b", start=0, length=1)):
        with pytest.raises(Unavailable) as caught:
            await work
        assert caught.value.reason == "STORAGE_AWAY"


def test_an_unknown_scheme_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="ftp://x"):
        open_store("ftp://x")
