"""The laws of object storage, on disk and in memory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chassis.errors import AlreadyExists, InvalidArgument, NotFound
from chassis.storage import ObjectStore, open_store


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


async def test_a_prefix_goes_whole_and_alone(store: ObjectStore) -> None:
    for key in ("s/1/a", "s/1/b/c", "s/10/a"):
        await store.put(key, b"x")
    assert await store.delete_prefix("s/1/") == 2
    assert [key async for key in store.list("s/")] == ["s/10/a"]


async def test_what_is_not_there_may_be_deleted(store: ObjectStore) -> None:
    await store.delete("a/none")


@pytest.mark.parametrize("key", ["", "/a", "a//b", "../a", "a/../b", "a/%2e%2e/b", "a\x00", "a/"])
async def test_other_keys_are_refused(store: ObjectStore, key: str) -> None:
    with pytest.raises(InvalidArgument):
        await store.put(key, b"x")


def test_an_unknown_scheme_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="ftp://x"):
        open_store("ftp://x")
