"""Tables are worked out beside the event loop; until they are there another policy decides, and says so."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from abr.adapters.bulletin import NatsBulletin
from abr.domain.estimators import TwoSpeed
from abr.domain.folding import take
from abr.domain.policies import outlook
from abr.domain.policies.fixed import Fixed
from abr.domain.policies.foresight import Foresight
from abr.domain.view import Choice, View
from abr.domain.viewer import Viewer
from abr.service_decide import Decider
from abr.service_prepare import READY_COUNT, Preparer
from chassis.lifecycle import end_tasks
from support.adaptation import FILM, NOW_S, rung, sample, stream, viewer


@dataclass(frozen=True)
class Slow:
    """Prepares for as long as it is held up, and never on the thread that decides."""

    name: str = "slow"
    may_go_on: threading.Event = field(default_factory=threading.Event)
    prepared: list[tuple[int, float]] = field(default_factory=list)

    def prepare(self, view: View) -> None:
        assert threading.current_thread() is not threading.main_thread()
        assert self.may_go_on.wait(20)
        self.prepared.append((view.cap, view.buffer_target_s))

    def choose(self, view: View) -> Choice:
        assert (view.cap, view.buffer_target_s) in self.prepared
        return Choice(rung=0, reason="by the table")


class Scene:
    """A decider whose policy is slow to prepare."""

    def __init__(self) -> None:
        self.policy = Slow()
        policies = {"slow": self.policy}
        self.preparer = Preparer(policies, stand_in=Fixed())
        self.decider = Decider(
            policies,
            default_policy="slow",
            preparer=self.preparer,
            bulletin=NatsBulletin("test"),
            now=lambda: NOW_S,
        )

    def reason(self, one: Viewer) -> str:
        return self.decider.decide(one, NOW_S, obeyed=True).reason


@asynccontextmanager
async def preparing() -> AsyncIterator[Scene]:
    scene = Scene()
    task = asyncio.create_task(scene.preparer.run())
    yield scene
    scene.policy.may_go_on.set()
    await end_tasks(task)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while True:
            if holds():
                return
            await asyncio.sleep(0.005)


async def test_nobody_waits_for_a_table() -> None:
    async with preparing() as scene:
        for _ in range(3):
            assert "slow is still being prepared for this ladder" in scene.reason(viewer())
            await asyncio.sleep(0.01)
        assert scene.policy.prepared == []
        scene.policy.may_go_on.set()
        await until(lambda: scene.reason(viewer()) == "by the table")
        assert len(scene.policy.prepared) == 1


async def test_a_stream_that_becomes_known_is_prepared_for_before_anybody_asks() -> None:
    async with preparing() as scene:
        scene.policy.may_go_on.set()
        scene.decider.prepare(FILM)
        await until(lambda: len(scene.policy.prepared) == 1)
        await until(lambda: scene.reason(viewer()) == "by the table")


async def test_each_kind_of_viewer_is_prepared_for() -> None:
    async with preparing() as scene:
        scene.policy.may_go_on.set()
        await until(lambda: scene.reason(viewer()) == "by the table")
        capped, patient = viewer(), viewer(stream(buffer_target_s=60.0))
        capped.top_bps = 1_000_000
        for one in (capped, patient):
            assert scene.reason(one) != "by the table"
        await until(lambda: scene.reason(capped) == scene.reason(patient) == "by the table")


async def test_of_too_many_kinds_the_one_not_used_for_longest_is_prepared_for_again() -> None:
    async with preparing() as scene:
        scene.policy.may_go_on.set()
        targets_s = [10.0 + number for number in range(READY_COUNT + 1)]
        for target_s in targets_s:
            one = viewer(stream(buffer_target_s=target_s))
            await until(lambda one=one: scene.reason(one) == "by the table")  # type: ignore[misc]
        assert scene.reason(viewer(stream(buffer_target_s=targets_s[0]))) != "by the table"
        assert scene.reason(viewer(stream(buffer_target_s=targets_s[-1]))) == "by the table"


@pytest.mark.parametrize("buffer_target_s", [2.0, 30.0, 120.0])
def test_whoever_is_prepared_for_needs_nothing_more(buffer_target_s: float) -> None:
    ladder = (rung("Low", 1_130_000), rung("High", 3_170_000))
    one = viewer(stream(ladder=ladder, buffer_target_s=buffer_target_s))
    Foresight().prepare(one.view(NOW_S))
    worked_out = outlook._make.cache_info().misses
    for spread in (0.05, 0.15, 0.24, 0.37, 0.6, 1.0):
        policy = Foresight(estimator=replace(TwoSpeed(), prior_spread=spread, prior_weight=1e6))
        for msn in range(3):
            take(one, sample(4.0 * msn, "low", msn=msn), NOW_S + 4 * msn)
            one.target_s = buffer_target_s
            policy.choose(one.view(NOW_S + 4 * msn))
    assert outlook._make.cache_info().misses == worked_out
