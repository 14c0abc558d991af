"""The laws of object storage, on disk and in memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from chassis.errors import AlreadyExists, InvalidArgument, NotFound
from chassis.storage import ObjectStore, open_store


class CountingStore(ObjectStore):
    """Counts the objects that each request to the storage deletes."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store._store)
        self.batches: list[int] = []

    async def _delete(self, batch: Sequence[str]) -> None:
        self.batches.append(len(batch))
        await super()._delete(batch)


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return open_store(f"file://{tmp_path}/objects" if request.param == "file" else "memory:")


async def test_an_object_is_written_once(store: ObjectStore) -> None:
    await store.put("a/b", b"first")
    with pytest.raises(AlreadyExists):
        await store.put("a/b", b"second")
    assert await store.get("a/b") == b"first"


async def test_a_stream_that_breaks_leaves_nothing(store: ObjectStore, tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * 6_000_000
        raise ConnectionError("the client died")

    with pytest.raises(ConnectionError):
        await store.put_stream("a/b", pieces())
    with pytest.raises(NotFound):
        await store.size("a/b")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_ranges_and_streams_give_the_same_bytes(store: ObjectStore) -> None:
    data = bytes(range(256)) * 20_000
    await store.put("a/b", data)
    assert await store.get_range("a/b", start=1000, length=77) == data[1000:1077]
    assert b"".join([piece async for piece in store.stream("a/b", piece_bytes=65_536)]) == data
    assert await store.size("a/b") == len(data)


async def test_a_prefix_is_listed_whole_and_alone(store: ObjectStore) -> None:
    for key in ("s/1/a", "s/1/b/c", "s/10/a"):
        await store.put(key, b"x")
    assert sorted([key async for key in store.list("s/1/")]) == ["s/1/a", "s/1/b/c"]


async def test_what_is_not_there_may_be_deleted(store: ObjectStore) -> None:
    await store.delete()
    await store.delete("a/none")
    keys = [f"a/{number}" for number in range(20)]
    for key in keys:
        await store.put(key, b"x")
    await store.delete(*keys[:7], "a/none", *keys[7:15])
    assert sorted([key async for key in store.list("a/")]) == sorted(keys[15:])


async def test_any_number_of_objects_is_deleted_in_few_requests(store: ObjectStore) -> None:
    keys = [f"a/{number}" for number in range(2500)]
    await asyncio.gather(*(store.put(key, b"x") for key in keys))
    counting = CountingStore(store)
    await counting.delete(*keys[:2200])
    assert counting.batches == [1000, 1000, 200]
    assert len([key async for key in store.list("a/")]) == 300


@pytest.mark.parametrize("key", ["", "/a", "a//b", "../a", "a/../b", "a/%2e%2e/b", "a\x00", "a/"])
async def test_other_keys_are_refused(store: ObjectStore, key: str) -> None:
    with pytest.raises(InvalidArgument):
        await store.put(key, b"x")


def test_an_unknown_scheme_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="ftp://x"):
        open_store("ftp://x")
