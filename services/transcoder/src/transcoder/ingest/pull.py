"""Pull: a task per start of a pulled stream, kept by one transcoder until the stream is stopped.

A taker that dies is replaced: the queue gives the task to another one, which opens the stream at the next
epoch. A source that fails is asked again, for as long as the stream is wanted; people see why it fails.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from enum import Enum, auto
from typing import Protocol

from chassis.errors import AlreadyExists, FailedPrecondition, NotFound, WeirError
from chassis.telemetry import STREAM, log
from transcoder.domain.live_settings import LiveSettings
from transcoder.ingest.publication import Session
from transcoder.live.ports import LiveSettingsSource, Taps
from transcoder.ports import Delivery
from transcoder.service_beat import while_beating

PROTOCOL = "pull"
BEAT_S = 1.0
_ELSEWHERE_S = 1.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
_GOOD_S = 30.0


class Starter(Protocol):
    """Begins sessions of streams that nobody publishes; see `live.admission.Admission`."""

    async def begin(self, settings: LiveSettings, protocol: str) -> Session: ...

    async def end(self, stream_id: str) -> None: ...

    async def report(self, stream_id: str, error: str) -> None: ...


class Outcome(Enum):
    """What becomes of a task."""

    DONE = auto()
    """The stream is not wanted any more."""
    ELSEWHERE = auto()
    """Somebody else pulls it."""


class Pulls:
    """Works on the tasks of the lane LIVE."""

    def __init__(self, settings: LiveSettingsSource, starter: Starter, taps: Taps) -> None:
        self._settings = settings
        self._starter = starter
        self._taps = taps

    async def pull(self, delivery: Delivery) -> None:
        """Do one task, and answer its delivery; when cancelled, that is the caller's to return."""
        outcome: list[Outcome] = []

        async def work() -> None:
            outcome.append(await self._pull_on(delivery.task.recording_id, delivery.task.name))

        await while_beating(work(), _beat(delivery))
        if outcome == [Outcome.DONE]:
            await delivery.ack()
        else:
            await delivery.retry(_ELSEWHERE_S)

    async def _pull_on(self, stream_id: str, incarnation: str) -> Outcome:
        pause_s = _FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while True:
            begin_s = loop.time()
            try:
                settings = await self._settings.get(stream_id)
                if settings.incarnation != incarnation or await self._pull_once(settings):
                    return Outcome.DONE
            except (FailedPrecondition, NotFound) as error:
                if not await self._is_wanted(stream_id):
                    return Outcome.DONE
                await self._tell(stream_id, error)
            except AlreadyExists:
                return Outcome.ELSEWHERE
            except WeirError as error:
                await self._tell(stream_id, error)
            if loop.time() - begin_s > _GOOD_S:
                pause_s = _FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _pull_once(self, settings: LiveSettings) -> bool:
        """Pull until the source ends; tells whether the stream has ended with it."""
        tap = self._taps.open(settings.pull)
        session = await self._starter.begin(settings, PROTOCOL)
        async with aclosing(tap.pieces()) as pieces:
            await session.run(tap.demuxer, pieces)
        if settings.pull.recording_id and not settings.pull.loop:
            await self._starter.end(settings.stream_id)
            return True
        return False

    async def _is_wanted(self, stream_id: str) -> bool:
        try:
            await self._settings.get(stream_id)
        except (FailedPrecondition, NotFound):
            return False
        except WeirError:
            return True
        return True

    async def _tell(self, stream_id: str, error: WeirError) -> None:
        log.warning("pulled source is away", error=error.message, **{STREAM: stream_id})
        await self._starter.report(stream_id, error.message)


async def _beat(delivery: Delivery) -> None:
    """Keep the task, so that the queue gives it to nobody else."""
    while True:
        await asyncio.sleep(BEAT_S)
        await delivery.extend()
