"""Deciding: at once for who asks, and once per segment for who is measured.

What follows from samples is decided behind them, in short turns: a burst of samples costs its viewers a
moment of waiting, and those who ask almost nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from abr.domain.decision import decide
from abr.domain.news import Decision
from abr.domain.policies.fixed import Fixed
from abr.domain.stream import Stream
from abr.domain.view import Choice, Policy
from abr.domain.viewer import NOWHERE, Viewer
from abr.ports import Bulletin
from abr.service_prepare import Preparer
from chassis.errors import InvalidArgument
from chassis.telemetry import STREAM, log

TURN_S = 0.001
"""How long others wait for a turn; as much time is left to them between two."""
_PLAY_ON = Fixed()


class Decider:
    """Asks policies, remembers what viewers were told, and tells those who follow.

    Args:
        policies: By the name that callers give.
        default_policy: The one for who names none.
        preparer: Says whether a policy's tables are there.
        bulletin: Where decisions are told.
        now: The clock, seconds since 1970.
    """

    def __init__(
        self,
        policies: Mapping[str, Policy],
        *,
        default_policy: str,
        preparer: Preparer,
        bulletin: Bulletin,
        now: Callable[[], float],
    ) -> None:
        self._policies = policies
        self._default_policy = default_policy
        self._preparer = preparer
        self._bulletin = bulletin
        self._now = now
        self._due: dict[Viewer, None] = {}
        self._filled = asyncio.Event()

    def require_policy(self, name: str) -> str:
        """Return the name if there is such a policy, or if it is empty; InvalidArgument."""
        if name and name not in self._policies:
            raise InvalidArgument(
                f"policy is {name[:80]!r}: it must be one of {', '.join(self._policies)}, or empty",
                reason="UNKNOWN_POLICY",
                field="policy",
            )
        return name

    def choose(self, viewer: Viewer, now_s: float) -> Choice:
        """Say what a viewer would be told now; who was brought back, and not heard of since, plays on."""
        if viewer.is_presumed and viewer.current != NOWHERE:
            choice = decide(_PLAY_ON, viewer.view(now_s))
            return replace(choice, reason=f"not heard of since another process knew it: {choice.reason}")
        policy, view = self._policy_of(viewer), viewer.view(now_s)
        able = self._preparer.able(policy, view)
        choice = decide(able, view)
        if able is policy:
            return choice
        return replace(
            choice, reason=f"{choice.reason}; {policy.name} is still being prepared for this ladder"
        )

    def prepare(self, stream: Stream) -> None:
        """Begin to prepare for the viewers of a stream, before the first of them asks."""
        now_s = self._now()
        self.choose(Viewer("", stream, now_s), now_s)

    def decide(self, viewer: Viewer, now_s: float, *, obeyed: bool) -> Decision:
        """Decide now; with `obeyed` the viewer asked and will play it."""
        choice = self.choose(viewer, now_s)
        self._due.pop(viewer, None)
        decision = Decision(
            stream_id=viewer.stream.stream_id,
            viewer_id=viewer.viewer_id,
            place=choice.rung,
            rung=viewer.stream.ladder[choice.rung],
            policy=self._policy_of(viewer).name,
            reason=choice.reason,
            time_s=now_s,
        )
        if viewer.note_decision(choice, now_s, obeyed=obeyed) and viewer.viewer_id:
            self._bulletin.publish(decision)
        return decision

    def decide_soon(self, viewer: Viewer) -> None:
        """Decide in one of the next turns; saying so again changes nothing."""
        self._due[viewer] = None
        self._filled.set()

    async def run(self) -> None:
        """Take turns, for as long as the process lives."""
        while True:
            await self._filled.wait()
            await asyncio.sleep(self._take_turn())

    def _take_turn(self) -> float:
        """Decide for who waits longest; answers how long it took."""
        start = time.perf_counter()
        while self._due and time.perf_counter() - start < TURN_S:
            viewer = next(iter(self._due))
            del self._due[viewer]
            try:
                self.decide(viewer, self._now(), obeyed=False)
            except Exception:  # noqa: BLE001 - a loop of the process: the next viewer is another matter
                log.exception("not decided", **{STREAM: viewer.stream.stream_id})
        if not self._due:
            self._filled.clear()
        return time.perf_counter() - start

    def _policy_of(self, viewer: Viewer) -> Policy:
        return self._policies[viewer.policy or self._default_policy]
