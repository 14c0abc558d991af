"""Decisions behind samples: once for who is due, in turns, and whatever a policy does to one viewer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from weir.abr.v1 import abr_pb2 as pb

from abr.adapters.bulletin import BATCH_COUNT, PENDING_COUNT, NatsBulletin
from abr.domain.folding import take
from abr.domain.policies.fixed import Fixed
from abr.domain.snapshot import read_snapshot, write_snapshot
from abr.domain.view import Choice, Policy, View
from abr.domain.viewer import Viewer
from abr.mailbox import Mailbox
from abr.service_decide import Decider
from abr.service_prepare import Preparer
from chassis.lifecycle import end_tasks
from support.adaptation import FILM, NOW_S, sample, viewer


@dataclass(frozen=True)
class Busy:
    """Takes two milliseconds for each viewer, but for one, of whom it despairs."""

    name: str = "busy"

    def choose(self, view: View) -> Choice:
        if view.buffer_s == 13:
            raise ZeroDivisionError
        start = time.perf_counter()
        while time.perf_counter() - start < 0.002:
            pass
        return Choice(rung=1, reason="busy")


POLICIES: Mapping[str, Policy] = {"busy": Busy()}


def decider(bulletin: NatsBulletin) -> Decider:
    return Decider(
        POLICIES,
        default_policy="busy",
        preparer=Preparer(POLICIES, stand_in=Fixed()),
        bulletin=bulletin,
        now=lambda: NOW_S,
    )


class Deciding:
    """A decider at work, and what it tells."""

    def __init__(self) -> None:
        self.mailbox = Mailbox(limit_count=100)
        self.bulletin = NatsBulletin("test")
        self.decider = decider(self.bulletin)

    async def told(self, count: int) -> Sequence[str]:
        """Wait until so many viewers were told something."""
        names: list[str] = []
        async with asyncio.timeout(20):
            while len(names) < count:
                batch = pb.WatchDecisionsResponse.FromString(await self.mailbox.take())
                names += [decision.viewer_id for decision in batch.decisions]
        return names


@asynccontextmanager
async def deciding() -> AsyncIterator[Deciding]:
    work = Deciding()
    tasks = [asyncio.create_task(work.decider.run()), asyncio.create_task(work.bulletin.run())]
    with work.bulletin.follow(work.mailbox):
        yield work
    await end_tasks(*tasks)


async def test_who_is_due_is_decided_for_once() -> None:
    async with deciding() as work:
        ann, bob = viewer(viewer_id="ann"), viewer(viewer_id="bob")
        for one in (ann, ann, bob, ann):
            work.decider.decide_soon(one)
        assert await work.told(2) == ["ann", "bob"]


async def test_others_get_turns_between() -> None:
    async with deciding() as work:
        for number in range(50):
            work.decider.decide_soon(viewer(viewer_id=f"v{number}"))
        telling = asyncio.create_task(work.told(50))
        seen_counts = set()
        while not telling.done():
            seen_counts.add(len(work.decider._due))
            await asyncio.sleep(0)
        assert len(seen_counts) > 25


async def test_one_viewer_at_whom_a_policy_fails_holds_nobody_up() -> None:
    async with deciding() as work:
        despair, ann = viewer(viewer_id="despair"), viewer(viewer_id="ann")
        despair.note_buffer(13, NOW_S)
        work.decider.decide_soon(despair)
        work.decider.decide_soon(ann)
        assert await work.told(1) == ["ann"]


def brought_back() -> Viewer:
    """Somebody who played Medium, and was saved when it had just begun."""
    one = viewer()
    take(one, sample(0, buffer_s=0), NOW_S)
    back = read_snapshot(write_snapshot(one, NOW_S), FILM, NOW_S + 5)
    assert back is not None
    return back


def test_who_is_brought_back_plays_on_until_something_is_heard_of_it() -> None:
    choosing, back = decider(NatsBulletin("test")), brought_back()
    choice = choosing.choose(back, NOW_S + 6)
    assert FILM.ladder[choice.rung].name == "Medium"
    assert "another process" in choice.reason
    back.note_question(NOW_S + 6)  # says nothing of its network or buffer
    assert choosing.choose(back, NOW_S + 6) == choice
    back.top_bps = 600_000
    assert choosing.choose(back, NOW_S + 6).rung == 0


@pytest.mark.parametrize(
    "hear",
    [
        lambda back: back.note_question(NOW_S + 6, throughput_bps=1e6),
        lambda back: back.note_question(NOW_S + 6, buffer_s=2),
        lambda back: take(back, sample(6, msn=1), NOW_S + 6),
    ],
    ids=["throughput", "buffer", "sample"],
)
def test_the_policy_decides_for_who_was_heard_of_since_it_was_brought_back(
    hear: Callable[[Viewer], object],
) -> None:
    back = brought_back()
    hear(back)
    assert decider(NatsBulletin("test")).choose(back, NOW_S + 7).reason == "busy"


async def test_of_too_many_decisions_the_newest_are_told_in_batches() -> None:
    bulletin, mailbox = NatsBulletin("test"), Mailbox(limit_count=100)
    decision = decider(bulletin).decide(viewer(), NOW_S, obeyed=True)
    for _ in range(PENDING_COUNT):
        bulletin.publish(decision)
    with bulletin.follow(mailbox):
        running = asyncio.create_task(bulletin.run())
        sizes: list[int] = []
        while sum(sizes) < PENDING_COUNT:
            batch = pb.WatchDecisionsResponse.FromString(await mailbox.take())
            sizes.append(len(batch.decisions))
        await end_tasks(running)
    assert sum(sizes) == PENDING_COUNT
    assert max(sizes) == BATCH_COUNT
