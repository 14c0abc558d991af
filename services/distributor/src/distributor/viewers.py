"""What is known of viewers, in step with the log that all replicas share.

Everything that happens to viewers is a message of the log, and the fold of the log decides what came of it:
who was let in and who was not, which sessions are one, which are over. So replicas need not agree on anything
else. Who asks for something waits until the log comes back with it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from chassis.errors import Conflict, DataLoss, NotFound, ResourceExhausted, Unavailable, WeirError
from chassis.telemetry import log
from distributor.domain.audience import Audience
from distributor.domain.audiences import Audiences, Gateway, Outcome, Sum
from distributor.domain.views import Command, Report, Terms
from distributor.ports import StoredView, ViewLog, ViewState, ViewStates

# Commands that wait for the log at one time, and those of one message.
_WAITING_LIMIT = 10_000
_TOGETHER_LIMIT = 500
ASK_DEADLINE_S = 10.0
_STATE_ATTEMPTS = 3
_REREAD_S = 1.0  # news are lost with a connection

Answer = asyncio.Future[Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewerRules:
    """What an operator says of viewers."""

    terms: Terms
    state_interval_s: float
    """How often the fold is stored."""


class Viewers:
    """The viewers of all streams.

    Args:
        view_log: Where everything is stored.
        states: Where the fold is.
        rules: What an operator says.
        now: The clock, seconds since 1970.
    """

    def __init__(
        self, view_log: ViewLog, states: ViewStates, rules: ViewerRules, now: Callable[[], float]
    ) -> None:
        self._log = view_log
        self._states = states
        self._rules = rules
        self._now = now
        self._audiences = Audiences(rules.terms)
        self._position = 0
        self._waiting: list[tuple[Command, Answer]] = []
        self._asked = asyncio.Event()
        self._answers: dict[str, Sequence[Answer]] = {}
        self._reading = asyncio.Lock()

    # What is known

    def audience(self, stream_id: str) -> Audience:
        """The viewers of a stream."""
        return self._audiences.of(stream_id)

    def joined_id(self, stream_id: str, name: str) -> str:
        """Tell which session that was asked for a player's name belongs to; empty: none."""
        return self.audience(stream_id).joined_id(name)

    def present_count(self) -> int:
        """Sessions of all streams that are open now."""
        return self._audiences.present_count(self._now())

    def sum(self) -> Sum:
        """What was served of all streams."""
        return self._audiences.sum()

    def watched_by(self, viewer_id: str) -> str:
        """Name the stream that a viewer joined last and still watches; empty: none."""
        return self._audiences.watched_by(viewer_id, self._now())

    def gateways(self) -> Sequence[Gateway]:
        """List the gateways that report."""
        return self._audiences.gateways(self._now())

    def gateway_of(self, stream_id: str, viewer_id: str) -> Gateway | None:
        """Find the gateway that served a viewer last; None: none did, or it is gone."""
        return self._audiences.gateway_of(stream_id, viewer_id, self._now())

    @property
    def stream_ids(self) -> Sequence[str]:
        """The streams of which anything is known."""
        return self._audiences.stream_ids

    # What happens

    async def ask(self, command: Command) -> Outcome:
        """Ask for something, and wait for what came of it.

        Raises:
            ResourceExhausted: TOO_MANY_ASK.
            Unavailable: NATS is away.
        """
        answer = self.note(command)
        try:
            async with asyncio.timeout(ASK_DEADLINE_S):
                return await answer
        except TimeoutError as error:
            raise Unavailable(
                "the log of views did not come back in time: ask again, the same will be answered",
                reason="VIEWS_AWAY",
                retry_delay_s=1.0,
            ) from error

    def note(self, command: Command) -> Answer:
        """Ask for something; who does not wait for what comes of it need not.

        Raises:
            ResourceExhausted: TOO_MANY_ASK.
        """
        if len(self._waiting) >= _WAITING_LIMIT:
            raise ResourceExhausted(
                f"{_WAITING_LIMIT} viewers wait to join or leave already",
                reason="TOO_MANY_ASK",
                retry_delay_s=1.0,
            )
        answer: Answer = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        self._asked.set()
        return answer

    async def report(self, wire: bytes, *, gateway: str, report_number: int) -> None:
        """Store what a gateway reports; one that is repeated counts once."""
        await self._log.report(wire, message_id=f"{gateway}/{report_number}")

    async def catch_up(self) -> None:
        """Learn what any replica stored up to now."""
        await self._read_to(await self._log.newest())

    # How the fold keeps in step

    async def begin(self) -> None:
        """Learn what there is to know, before anybody asks."""
        try:
            await self._restore()
        except DataLoss as error:
            log.warning("state of views not read", error=error.message)
        await self.catch_up()

    async def _restore(self) -> None:
        """Go on from the newest state that was stored, unless what is held is newer.

        Where NATS lost the end of the log, what is held of it is given up, so that all replicas hold the
        same; where it lost the whole log, the state stays, and a new log goes on from there.

        Raises:
            DataLoss: The state cannot be read.
        """
        state = await self._newest_state()
        newest = await self._log.newest()
        if newest >= self._position and (state is None or state.sequence <= self._position):
            return
        self._audiences = Audiences(self._rules.terms, *((state.outline, state.held) if state else ()))
        self._position = state.sequence if state and state.sequence <= newest else 0

    async def _newest_state(self) -> ViewState | None:
        for _ in range(_STATE_ATTEMPTS):
            with suppress(DataLoss):  # another replica replaced it while it was read
                return await self._states.get()
        return await self._states.get()

    async def follow(self) -> None:
        """Fold what is stored, for as long as the process lives."""
        while True:
            heard = await self._log.news(timeout_s=_REREAD_S)
            try:
                if heard > self._position:
                    await self._read_to(heard)
                elif not heard:
                    await self.catch_up()
            except WeirError as error:
                log.warning("views not read", error=error.message)

    async def send(self) -> None:
        """Store what is asked for, many commands with one message, for as long as the process lives."""
        while True:
            await self._asked.wait()
            together, self._waiting = self._waiting[:_TOGETHER_LIMIT], self._waiting[_TOGETHER_LIMIT:]
            if not self._waiting:
                self._asked.clear()
            await self._send([(command, answer) for command, answer in together if not answer.done()])

    async def keep_states(self) -> None:
        """Store the fold from time to time, for those who start; whichever replica comes first does."""
        known = 0
        while True:
            await asyncio.sleep(self._rules.state_interval_s)
            try:
                newest = await self._states.newest_sequence()
                if newest == known != self._position:
                    newest = await self.keep_state()
                known = newest
            except WeirError as error:
                log.warning("state of views not stored", error=error.message)

    async def keep_state(self) -> int:
        """Store the fold, and drop from the log what the state before it had in it already.

        Returns:
            Up to which sequence of the log what was stored reaches; what stood before, if another replica
            was first.
        """
        before = await self._states.newest_sequence()
        async with self._reading:  # not amid a report
            position, outline, held = self._position, self._audiences.outline(), self._audiences.held()
        try:
            await self._states.put(position, outline, held)
        except Conflict:
            return before
        # Replicas that lag may still need what came after the state before.
        await self._log.trim(up_to=min(before, position))
        return position

    async def _send(self, together: Sequence[tuple[Command, Answer]]) -> None:
        if not together:
            return
        message_id = secrets.token_hex(8)
        for unheard in [one for one, answers in self._answers.items() if all(map(Answer.done, answers))]:
            del self._answers[unheard]
        self._answers[message_id] = [answer for _, answer in together]
        try:
            await self._log.ask([command for command, _ in together], message_id=message_id)
        except WeirError as error:
            for answer in self._answers.pop(message_id, ()):
                if not answer.done():
                    answer.set_exception(error)
                    answer.exception()  # nobody need be waiting

    async def _read_to(self, newest: int) -> None:
        async with self._reading:
            if newest < self._position:
                await self._restore()
            await self._fold_to(newest)

    async def _fold_to(self, newest: int) -> None:
        try:
            async for view in self._log.read(after_sequence=self._position, up_to=newest):
                if view.sequence > self._position + 1:
                    await self._bridge(view.sequence - 1)
                if view.sequence > self._position:
                    await self._take(view)
        except NotFound:  # all of it was trimmed
            await self._bridge(newest)

    async def _bridge(self, sequence: int) -> None:
        """Get over what is gone from the log: a state has it."""
        try:
            await self._restore()
        except DataLoss as error:
            log.warning("state of views not read", error=error.message)
        if self._position < sequence:
            log.warning("views lost", count=sequence - self._position)
            self._position = sequence

    async def _take(self, view: StoredView) -> None:
        self._position = view.sequence
        if isinstance(view.event, Report):
            await self._take_report(view.event, view.store_time)
            return
        outcomes = self._audiences.ask(view.event, time=view.store_time)
        for answer, outcome in zip(self._answers.pop(view.message_id, ()), outcomes, strict=False):
            if not answer.done():
                answer.set_result(outcome)

    async def _take_report(self, report: Report, time: float) -> None:
        """Fold a report, which may name a thousand viewers; others have their turn between its slices."""
        slices = self._audiences.report(report, time=time)
        try:
            for _ in slices:
                await asyncio.sleep(0)
        finally:  # who asked for this may have gone; what was begun is folded whole
            for _ in slices:
                pass
