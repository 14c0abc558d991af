"""Who saves whom, and when: each viewer once, and of two states the newer one stays."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence

import pytest

from abr.domain.crowd import Crowd
from abr.domain.folding import take
from abr.domain.stats import Figures
from abr.domain.viewer import Viewer
from abr.ports import Snapshot
from abr.service_viewers import BATCH_COUNT, WRITE_COUNT, Viewers
from support.adaptation import FILM, NOW_S, sample

INTERVAL_S = 10.0


class Memory:
    """Keeps snapshots in the order in which they came, each batch after others had a turn."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Snapshot]] = []
        self.is_away = False

    @property
    def is_open(self) -> bool:
        return not self.is_away

    @property
    def saved(self) -> Sequence[str]:
        return [one.viewer_id for batch in self.batches for one in batch]

    @property
    def kept(self) -> Mapping[str, bytes]:
        return {one.viewer_id: one.data for batch in self.batches for one in batch}

    async def load(self, stream_id: str, viewer_id: str) -> bytes | None:
        return self.kept.get(viewer_id)

    async def save(self, snapshots: Sequence[Snapshot]) -> bool:
        if self.is_away:
            return False
        self.batches.append(snapshots)
        await asyncio.sleep(0)
        return True


class Alone:
    heard_s = 0.0

    async def figures(self, stream_id: str) -> Sequence[Mapping[bytes, Figures]]:
        return ()


class Clock:
    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def viewers(memory: Memory, clock: Clock) -> Viewers:
    crowd = Crowd(limit_count=1_000, idle_s=60)
    return Viewers(crowd, memory, Alone(), interval_s=INTERVAL_S, now=clock)


def begin(viewers: Viewers, clock: Clock, count: int) -> Sequence[Viewer]:
    """Have so many viewers measured for the first time."""
    begun = [viewers.begin(FILM, f"v{number}") for number in range(count)]
    clock.now_s += 1
    for one in begun:
        measure(one, clock)
    return begun


def measure(one: Viewer, clock: Clock, variant_id: str = "medium") -> None:
    assert take(one, sample(clock.now_s - NOW_S, variant_id), clock.now_s)


async def until_written(one: Viewer) -> None:
    async with asyncio.timeout(20):
        while one.saved_current != one.current:  # noqa: ASYNC110 - to write sets no event
            await asyncio.sleep(0)


async def test_each_who_changed_is_saved_once(viewers: Viewers, memory: Memory, clock: Clock) -> None:
    begun = begin(viewers, clock, 2 * BATCH_COUNT + WRITE_COUNT + 1)
    names = {one.viewer_id for one in begun}
    await viewers.save()
    assert sorted(memory.saved) == sorted(names)
    assert max(len(batch) for batch in memory.batches) == BATCH_COUNT
    await viewers.save()
    assert len(memory.saved) == len(names)
    clock.now_s += 1
    measure(begun[3], clock)
    await viewers.save()
    assert memory.saved[len(names) :] == ["v3"]


async def test_who_is_new_or_plays_something_else_is_saved_soon(
    viewers: Viewers, memory: Memory, clock: Clock
) -> None:
    ann, bob = begin(viewers, clock, 2)
    await viewers.save_urgent()
    await viewers.save_urgent()
    assert memory.saved == ["v0", "v1"]
    clock.now_s += 1
    measure(ann, clock)
    measure(bob, clock, "high")
    for one in (ann, bob):
        viewers.note_change(one)
    await viewers.save_urgent()
    assert memory.saved == ["v0", "v1", "v1"]


async def test_of_two_who_save_at_once_the_newer_state_stays(
    viewers: Viewers, memory: Memory, clock: Clock
) -> None:
    """A viewer changes while the batch that it is in is written."""
    begun = begin(viewers, clock, BATCH_COUNT)
    await viewers.save()
    clock.now_s += 1
    for one in begun:
        measure(one, clock, "low")
    saving = asyncio.create_task(viewers.save())
    await until_written(begun[0])
    assert len(memory.batches) == 1
    measure(begun[0], clock, "high")
    viewers.note_change(begun[0])
    await asyncio.gather(viewers.save_urgent(), saving)
    assert memory.saved[BATCH_COUNT:] == [*(one.viewer_id for one in begun), "v0"]
    assert json.loads(memory.kept["v0"])["current"] == "high"


async def test_who_was_measured_while_being_saved_is_saved_again(
    viewers: Viewers, memory: Memory, clock: Clock
) -> None:
    begun = begin(viewers, clock, BATCH_COUNT)
    saving = asyncio.create_task(viewers.save())
    await until_written(begun[0])
    clock.now_s += 1
    for one in begun:
        measure(one, clock)
    await saving
    await viewers.save()
    assert sorted(memory.saved) == sorted(2 * [one.viewer_id for one in begun])


async def test_who_could_not_be_saved_is_saved_later(viewers: Viewers, memory: Memory, clock: Clock) -> None:
    begin(viewers, clock, 3)
    memory.is_away = True
    await viewers.save_urgent()
    memory.is_away = False
    await viewers.save()
    assert sorted(memory.saved) == ["v0", "v1", "v2"]
