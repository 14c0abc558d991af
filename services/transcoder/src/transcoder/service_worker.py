"""Use-case of working: take a task, claim it, do it with a heartbeat, acknowledge last.

A task is acknowledged only when all that it should make is stored, so a worker may die between any two steps:
the queue gives the task to another one, which finds what is there and goes on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from chassis import layout
from chassis.errors import Conflict, ResourceExhausted, Unavailable, WeirError
from chassis.telemetry import JOB, RECORDING, TASK, log
from transcoder.domain.encoding import EncodeError
from transcoder.domain.job import Job, JobState
from transcoder.domain.plan import EncodePlan
from transcoder.domain.progress import (
    AUDIO_TASK,
    Claim,
    begin_attempt,
    complete_claim,
    fail_claim,
    hand_back,
    is_at_work,
)
from transcoder.ports import Delivery, Residue
from transcoder.service_attempt import Attempt, JobOver, Superseded
from transcoder.service_attempt import Ports as AttemptPorts
from transcoder.service_beat import while_beating
from transcoder.service_drive import Driver
from transcoder.service_encode import Encoding

_AWAY_RETRY_S = 2.0
_CLASH_RETRY_S = 1.0
_WORDS_CHARACTERS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkRules:
    """How tasks are worked on; see the settings of the same names."""

    max_attempts_count: int
    retry_delay_s: float
    heartbeat_s: float
    lease_s: float
    """A worker that was not heard of for so long is dead."""
    worker_name: str


class Worker:
    """Works on encoding tasks, any number at a time."""

    def __init__(
        self, stores: AttemptPorts, residue: Residue, encoding: Encoding, driver: Driver, rules: WorkRules
    ) -> None:
        self._stores = stores
        self._residue = residue
        self._encoding = encoding
        self._driver = driver
        self._rules = rules

    async def work(self, delivery: Delivery) -> None:
        """Do one task, whatever state it is in, and answer its delivery.

        When it is cancelled, ffmpeg is dead and the attempt not counted; the delivery is then the caller's to
        return.
        """
        task = delivery.task
        kept = await self._stores.jobs.get(task.recording_id)
        if kept is None or kept.value.job_id != task.job_id or not kept.value.is_working:
            await delivery.ack()  # void: the job is over, and what drives it clears up
            return
        plan = await self._stores.outputs.get_plan(task.job_id)
        try:
            attempt = await self._begin(kept.value, plan, task.name)
        except Superseded:
            await delivery.retry(_CLASH_RETRY_S)
            return
        if attempt is None:
            await delivery.ack()
        else:
            await self._see_through(attempt, plan, delivery)

    async def _begin(self, job: Job, plan: EncodePlan, task: str) -> Attempt | None:
        """Claim the task for a new attempt; None, and the end of the job, if there were too many before."""
        kept = await self._stores.claims.get(job.job_id, task)
        now = self._stores.clock()
        claim = kept.value if kept else _unclaimed(plan, task, now)
        if is_at_work(claim, now):  # the queue did not hear of a worker that lives
            raise Superseded(f"task {task} is in good hands")
        if claim.attempts_count >= self._rules.max_attempts_count:
            await self._give_up(job, claim)
            return None
        attempt = Attempt(
            ports=self._stores,
            job=job,
            token=layout.new_attempt(),
            claim=claim,
            revision=kept.revision if kept else None,
        )
        await attempt.write(
            begin_attempt(
                claim,
                attempt=attempt.token,
                worker=self._rules.worker_name,
                lease_s=self._rules.lease_s,
                now=now,
            )
        )
        return attempt

    async def _see_through(self, attempt: Attempt, plan: EncodePlan, delivery: Delivery) -> None:
        """Work on the task, and answer for every way in which that may end."""
        try:
            await self._run(attempt, plan, delivery)
        except Superseded:
            log.info("task goes on elsewhere, or its job has ended", **_names(attempt))
        except JobOver:
            await self._release(attempt)
            await delivery.ack()
        except asyncio.CancelledError:
            await self._release(attempt)
            raise
        except (Unavailable, Conflict, ResourceExhausted) as error:
            log.warning("task waits for a peer, or for room", error=str(error), **_names(attempt))
            await self._release(attempt)
            await delivery.retry(_AWAY_RETRY_S)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in a task is a failure of that task
            log.warning("attempt failed", exc_info=not isinstance(error, EncodeError), **_names(attempt))
            await self._fail(attempt, delivery, _words(error))

    async def _run(self, attempt: Attempt, plan: EncodePlan, delivery: Delivery) -> None:
        try:
            await while_beating(self._encoding.encode(attempt, plan), self._beat(attempt, delivery))
        finally:
            await attempt.remove_loose()
        await attempt.write(complete_claim(attempt.claim, self._stores.clock()))
        await self._drive(attempt.job)
        await delivery.ack()

    async def _beat(self, attempt: Attempt, delivery: Delivery) -> None:
        """Keep the task, show how far it is, and look whether it is still wanted."""
        while True:
            await asyncio.sleep(self._rules.heartbeat_s)
            try:
                await delivery.extend()
                await attempt.renew()
                await attempt.require_working()
            except Unavailable:
                log.warning("heartbeat failed, work goes on", **_names(attempt))

    async def _release(self, attempt: Attempt) -> None:
        try:
            await attempt.write(hand_back(attempt.claim, self._stores.clock()))
        except Superseded:
            log.info("task was taken over meanwhile", **_names(attempt))

    async def _fail(self, attempt: Attempt, delivery: Delivery, words: str) -> None:
        """Count the failure; the last one that is allowed ends the job."""
        try:
            await attempt.write(fail_claim(attempt.claim, words, self._stores.clock()))
        except Superseded:
            return
        if attempt.claim.attempts_count < self._rules.max_attempts_count:
            await delivery.retry(self._rules.retry_delay_s)
        else:
            await self._give_up(attempt.job, attempt.claim)
            await delivery.ack()

    async def _give_up(self, job: Job, claim: Claim) -> None:
        what = "the audio" if claim.is_audio else f"chunk {claim.task}"
        words = claim.error or "its worker died each time and left no words"
        error = f"{what} failed in {claim.attempts_count} attempts: {words}"
        await self._residue.count_dead_task()
        await self._driver.conclude(job, JobState.FAILED, error)
        await self._drive(job)

    async def _drive(self, job: Job) -> None:
        """Bring the job forward now; if that fails, the job's own task does it a little later."""
        try:
            await self._driver.drive(job.recording_id, job.job_id)
        except WeirError as error:
            log.warning("job must wait", error=error.message, **{JOB: job.job_id})


def _unclaimed(plan: EncodePlan, task: str, now: datetime) -> Claim:
    frames = plan.grid.frame_count if task == AUDIO_TASK else plan.chunks[int(task)].frame_count
    return Claim(task=task, frame_count=frames, heartbeat_time=now)


def _words(error: Exception) -> str:
    text = str(error) if isinstance(error, EncodeError | WeirError) else repr(error)
    return text[-_WORDS_CHARACTERS:]


def _names(attempt: Attempt) -> dict[str, str]:
    return {RECORDING: attempt.job.recording_id, JOB: attempt.job.job_id, TASK: attempt.claim.task}
