"""Use-case of bringing a job forward: begin it, announce what is ready, and clear up behind it when it ends.

Every step may be done by any process, again, or by two at once. A task in the queue, kept until the job has
ended, makes certain that somebody does them whoever dies; the workers do them besides, so that nothing waits
for that task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from weakref import WeakValueDictionary

from chassis import layout
from chassis.errors import Conflict, FailedPrecondition, InvalidArgument, NotFound, WeirError
from chassis.telemetry import JOB, RECORDING, log
from transcoder.domain.announce import announced_keys
from transcoder.domain.job import Job, JobState, begin_job, close_job, conclude_job
from transcoder.domain.progress import AUDIO_TASK, is_at_work, lost_tasks, tally_claims
from transcoder.ports import (
    ClaimStore,
    Clock,
    Delivery,
    JobQueue,
    JobStore,
    Lane,
    MediaFolders,
    MediaStore,
    OutputStore,
    Residue,
    Task,
    Timeline,
)
from transcoder.service_announce import Announcer
from transcoder.service_beat import while_beating

# How long the end of a job waits for its workers to stop. They look once per heartbeat, and kill ffmpeg at
# once.
STOP_WAIT_S = 4.0
_STOP_POLL_S = 0.05
_RECORD_WAIT_S = 30.0
_RECORD_POLL_S = 0.02
_ATTEND_S = 2.0
_TRIES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What driving works with."""

    jobs: JobStore
    outputs: OutputStore
    claims: ClaimStore
    residue: Residue
    queue: JobQueue
    media: MediaStore
    folders: MediaFolders
    timeline: Timeline
    clock: Clock


def drive_task(recording_id: str, job_id: str) -> Task:
    """Name the task that accompanies a job to its end."""
    return Task(lane=Lane.DRIVE, recording_id=recording_id, job_id=job_id, name="drive")


def chunk_task(job: Job, index: int) -> Task:
    """Name the task of one chunk."""
    return _encode_task(job, str(index))


def _encode_task(job: Job, name: str) -> Task:
    """Name a task; the audio and the first chunk are what viewers wait for."""
    lane = Lane.FIRST if name in {AUDIO_TASK, "0"} else Lane.REST
    return Task(lane=lane, recording_id=job.recording_id, job_id=job.job_id, name=name)


class Driver:
    """Brings jobs forward."""

    def __init__(self, ports: Ports, *, beat_s: float, lost_after_s: float) -> None:
        self._ports = ports
        self._beat_s = beat_s
        self._lost_after_s = lost_after_s
        self._announcer = Announcer(outputs=ports.outputs, timeline=ports.timeline)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def drive(self, recording_id: str, job_id: str) -> bool:
        """Do for a job all that can be done now; tells whether there is nothing left to do, now or later.

        Raises:
            Unavailable: A peer does not answer; drive again later.
        """
        turn = self._turns.setdefault(job_id, asyncio.Lock())  # within a process nobody need race
        async with turn:
            return await self._drive(recording_id, job_id)

    async def _drive(self, recording_id: str, job_id: str) -> bool:
        while job := await self._find(recording_id, job_id):
            if job.has_ended:
                await self._forget(job)
                return True
            try:
                if not await self._advance(job):
                    return False
            except (FailedPrecondition, InvalidArgument, NotFound) as error:
                await self.conclude(job, JobState.FAILED, f"its stream is not to be had: {error.message}")
        return True

    async def attend(self, delivery: Delivery) -> None:
        """Answer for the task that accompanies a job: it stays in the queue until the job has ended."""
        task = delivery.task
        known = await self._find(task.recording_id, task.job_id)
        # It is published before the job's record is written.
        if known is None and delivery.age_s < _RECORD_WAIT_S:
            await delivery.retry(max(_RECORD_POLL_S, delivery.age_s))
        elif await while_beating(self._see_to(task), self._keep(delivery)):
            await delivery.ack()
        else:
            await delivery.retry(_ATTEND_S)

    async def _see_to(self, task: Task) -> bool:
        """Drive a job and look after its tasks; while a peer is away, there is something left to do."""
        try:
            is_over = await self.drive(task.recording_id, task.job_id)
            if not is_over and (job := await self._find(task.recording_id, task.job_id)):
                await self._requeue_lost(job)
            return is_over
        except WeirError as error:
            log.warning(
                "job must wait", error=error.message, **{RECORDING: task.recording_id, JOB: task.job_id}
            )
            return False

    async def announce(self, job: Job) -> None:
        """Announce what is ready of a job that goes on; failures are left to the job's own task."""
        try:
            await self._announcer.announce(job)
        except WeirError as error:
            log.warning("not announced yet", error=error.message, **_names(job))

    async def conclude(self, job: Job, outcome: JobState, error: str = "") -> Job | None:
        """Decide how a job ends, if nobody has yet; answers the job as decided, None if it is gone."""
        return await self._change(job, partial(conclude_job, outcome=outcome, error=error))

    async def _advance(self, job: Job) -> bool:
        """Do the job's next step; tells whether there was one."""
        if job.outcome:
            await self._end(job)
        elif job.state is JobState.QUEUED:
            await self._begin(job, anew=True)
        elif not job.dispatched:
            await self._dispatch(job)
        else:
            return await self._announce(job)
        return True

    async def _find(self, recording_id: str, job_id: str) -> Job | None:
        kept = await self._ports.jobs.get(recording_id)
        return kept.value if kept and kept.value.job_id == job_id else None

    async def _change(self, job: Job, step: Callable[[Job], Job]) -> Job | None:
        for _ in range(_TRIES):
            kept = await self._ports.jobs.get(job.recording_id)
            if kept is None or kept.value.job_id != job.job_id:
                return None
            changed = step(kept.value)
            try:
                if changed != kept.value:
                    await self._ports.jobs.put(changed, kept.revision)
            except Conflict:
                continue
            return changed
        raise Conflict(f"job {job.job_id} is being changed by many at once: try again", reason="BUSY")

    async def _keep(self, delivery: Delivery) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            await delivery.extend()

    async def _begin(self, job: Job, *, anew: bool) -> None:
        """Own the job's stream: a new incarnation, or the present one.

        Whoever ended the job meanwhile did not know of the incarnation, and has not removed it.
        """
        opened = await self._ports.timeline.open(job, anew=anew)
        now = self._ports.clock()
        begun = await self._change(
            job, partial(begin_job, incarnation=opened.incarnation, epoch=opened.epoch, now=now)
        )
        if begun is None or begun.incarnation != opened.incarnation:
            await self._ports.timeline.remove(job.recording_id, opened.incarnation)

    async def _begin_again(self, job: Job) -> bool:
        """Own the present stream, unless somebody else does by now; tells whether to go on at once.

        Another process that began the job at the same moment has opened the stream later than ours did. Who
        opens it again takes it from those who append, so two who did that at once would do it for ever: the
        first to write it down goes on, the other looks again later.
        """
        if await self._find(job.recording_id, job.job_id) != job:
            return False
        await self._begin(job, anew=False)
        return True

    async def _dispatch(self, job: Job) -> None:
        """Queue the job's tasks; chunks that audio is muxed into are queued as their audio gets ready."""
        if job.has_audio:
            await self._ports.queue.publish(_encode_task(job, AUDIO_TASK))
        if not job.audio_is_muxed:
            for index in range(job.chunk_count):
                await self._ports.queue.publish(chunk_task(job, index))
        await self._change(job, partial(replace, dispatched=True))

    async def _requeue_lost(self, job: Job) -> None:
        """Queue again what nobody works on although nothing waits: the queue has lost it."""
        lost = lost_tasks(
            job, await self._ports.claims.list(job.job_id), self._ports.clock(), silent_s=self._lost_after_s
        )
        if not lost or (await self._ports.queue.count()).waiting_count:
            return
        log.warning("tasks were lost", tasks=lost, **_names(job))
        for name in lost:
            await self._ports.queue.publish(_encode_task(job, name), again=True)

    async def _announce(self, job: Job) -> bool:
        """Announce what is ready; tells whether that changed the job."""
        try:
            complete = await self._announcer.announce(job)
        except (FailedPrecondition, NotFound) as error:
            log.warning("stream is taken over", error=error.message, **_names(job))
            return await self._begin_again(job)
        if complete:
            await self.conclude(job, JobState.SUCCEEDED)
        return complete

    async def _end(self, job: Job) -> None:
        """Stop the work, remove what is not part of a finished stream, and close the job."""
        if job.outcome is JobState.SUCCEEDED:
            await self._remove_orphans(job)
        else:
            await self._ports.queue.purge(job.recording_id, job.job_id, keep=Lane.DRIVE)
            await self._wait_for_workers(job)
            await self._remove_output(job)
        if job.incarnation:  # else what it would have replaced still plays
            for earlier in job.replaces:
                await self._ports.folders.remove(layout.stream_prefix(job.recording_id, earlier))
        tally = tally_claims(job, await self._ports.claims.list(job.job_id))
        now = self._ports.clock()
        closed = await self._change(job, partial(close_job, tally=tally, now=now))
        if closed and closed.end_time == now:  # else somebody else closed it
            log.info("job ended", state=closed.state, error=closed.error, **_names(job))

    async def _wait_for_workers(self, job: Job) -> None:
        """Wait until no living worker holds a task of the job, but not for long."""
        try:
            async with asyncio.timeout(STOP_WAIT_S):
                while any(  # noqa: ASYNC110 - the workers are other processes: there is no event to wait for
                    is_at_work(claim, self._ports.clock())
                    for claim in await self._ports.claims.list(job.job_id)
                ):
                    await asyncio.sleep(_STOP_POLL_S)
        except TimeoutError:
            log.warning("workers did not stop in time", **_names(job))

    async def _remove_output(self, job: Job) -> None:
        if job.incarnation:
            await self._ports.timeline.remove(job.recording_id, job.incarnation)
        await self._ports.folders.remove(layout.stream_prefix(job.recording_id, job.job_id))

    async def _remove_orphans(self, job: Job) -> None:
        """Remove what attempts left that died, or that came second."""
        used = announced_keys(job, await self._ports.outputs.list_pieces(job.job_id))
        if used is None:  # somebody else was here before, and has forgotten the pieces
            return
        stored = await self._ports.folders.list(layout.stream_prefix(job.recording_id, job.job_id))
        await self._ports.media.delete([key for key in stored if key not in used])

    async def _forget(self, job: Job) -> None:
        await self._ports.residue.purge(job.job_id)


def _names(job: Job) -> dict[str, str]:
    return {RECORDING: job.recording_id, JOB: job.job_id}
