"""What is loaded for many at once."""

from __future__ import annotations

import asyncio

import pytest

from transcoder.service_recent import Recent


class Loader:
    """Counts its loads, each of which takes a moment."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, key: str) -> str:
        self.count += 1
        await asyncio.sleep(0.01)
        if key == "bad":
            raise LookupError(key)
        return f"{key}{self.count}"


async def test_callers_of_one_moment_share_a_load() -> None:
    loader = Loader()
    recent = Recent(loader, keep_s=60, limit_count=10)
    assert set(await asyncio.gather(*(recent.get("a") for _ in range(9)))) == {"a1"}
    assert await recent.get("b") == "b2"
    assert await recent.get("a") == "a1"


async def test_a_value_is_loaded_again_after_its_time() -> None:
    recent = Recent(Loader(), keep_s=0, limit_count=10)
    assert [await recent.get("a"), await recent.get("a")] == ["a1", "a2"]


async def test_no_more_is_remembered_than_allowed() -> None:
    loader = Loader()
    recent = Recent(loader, keep_s=60, limit_count=2)
    for key in "abca":
        await recent.get(key)
    assert loader.count == 4


async def test_one_caller_who_leaves_takes_nothing_from_the_others() -> None:
    recent = Recent(Loader(), keep_s=60, limit_count=2)
    leaving = asyncio.create_task(recent.get("a"))
    staying = asyncio.create_task(recent.get("a"))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == "a1"


async def test_a_failure_is_told_to_all_of_the_moment() -> None:
    recent = Recent(Loader(), keep_s=0, limit_count=2)
    outcomes = await asyncio.gather(recent.get("bad"), recent.get("bad"), return_exceptions=True)
    assert all(isinstance(outcome, LookupError) for outcome in outcomes)
    with pytest.raises(LookupError):
        await recent.get("bad")
