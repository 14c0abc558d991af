"""Policies' tables, worked out before they are needed: no decision and no call waits for one.

That is done on a thread, for one kind of viewer after the other. Until the tables of a kind are there, a
policy that needs none decides in the place of the one that was asked for.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable, Mapping

from abr.domain.view import Policy, Prepared, View
from chassis.telemetry import log

READY_COUNT = 60
"""Kinds of viewers for whom tables are held; each takes four of the 256 that are kept."""
WAITING_COUNT = 1_000


class Preparer:
    """Knows for whom policies are prepared, and sees to it that they are.

    Args:
        policies: All that may be asked for.
        stand_in: Decides meanwhile.
    """

    def __init__(self, policies: Mapping[str, Policy], *, stand_in: Policy) -> None:
        self._prepared = {name: one for name, one in policies.items() if isinstance(one, Prepared)}
        self._stand_in = stand_in
        self._ready: OrderedDict[Hashable, tuple[Prepared, View]] = OrderedDict()
        self._waiting: OrderedDict[Hashable, tuple[Prepared, View]] = OrderedDict()
        self._filled = asyncio.Event()

    def able(self, policy: Policy, view: View) -> Policy:
        """Say who can decide now: the policy itself, or who stands in for it until it is prepared."""
        if (prepared := self._prepared.get(policy.name)) is None:
            return policy
        kind = _kind(policy, view)
        if kind in self._ready:
            self._ready.move_to_end(kind)
            return policy
        if kind not in self._waiting and len(self._waiting) < WAITING_COUNT:
            self._waiting[kind] = (prepared, view)
            self._filled.set()
        return self._stand_in

    async def run(self) -> None:
        """Prepare, for as long as the process lives."""
        while True:
            await self._filled.wait()
            kind, (policy, view) = next(iter(self._waiting.items()))
            try:
                await asyncio.to_thread(self._prepare, policy, view)
            except Exception:  # noqa: BLE001 - a loop of the process: this kind must do without
                log.exception("policy not prepared", policy=policy.name)
            self._ready[kind] = self._waiting.pop(kind)
            while len(self._ready) > READY_COUNT:
                self._ready.popitem(last=False)
            if not self._waiting:
                self._filled.clear()

    def _prepare(self, policy: Prepared, view: View) -> None:
        """Prepare for one more kind; who is ready stays so, because tables that nobody uses go first."""
        for ready_policy, ready_view in tuple(self._ready.values()):
            ready_policy.prepare(ready_view)
        policy.prepare(view)


def _kind(policy: Policy, view: View) -> Hashable:
    rates_bps = tuple([rung.rate_bps for rung in view.ladder[: view.cap + 1]])
    return policy.name, rates_bps, view.segment_s, view.buffer_target_s
