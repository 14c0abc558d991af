"""Use-cases of VOD jobs: start, tell the progress, cancel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from chassis import layout
from chassis.errors import (
    AlreadyExists,
    Conflict,
    FailedPrecondition,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from transcoder.domain.job import Job, JobState, plan_job, require_cancellable, require_replaceable
from transcoder.domain.ladder import Rung
from transcoder.domain.plan import Container, plan_encode
from transcoder.domain.progress import Progress, measure_progress
from transcoder.domain.recording import (
    StoredSource,
    empty_recording,
    give_source,
    require_source,
    use_source,
)
from transcoder.ports import (
    ClaimStore,
    Clock,
    JobQueue,
    JobStore,
    Kept,
    OutputStore,
    ProbeArchive,
    QueueCounts,
    RecordingStore,
    Residue,
)
from transcoder.service_drive import Driver, drive_task
from transcoder.service_intake import Intake
from transcoder.service_recent import Recent
from transcoder.service_recordings import change_recording, read_recording

_RECENT_S = 0.15
_RECENT_COUNT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscodeWish:
    """What a caller asks for."""

    recording_id: str
    input_key: str  # empty: the recording's own source
    rungs: tuple[Rung, ...]
    container: Container
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How far a recording's job is."""

    recording_id: str
    job: Job | None
    progress: Progress | None
    queue: QueueCounts
    dead_tasks_count: int
    time: datetime

    @property
    def is_complete(self) -> bool:
        return self.job is not None and self.job.has_ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What these use-cases work with."""

    recordings: RecordingStore
    jobs: JobStore
    outputs: OutputStore
    claims: ClaimStore
    residue: Residue
    probes: ProbeArchive
    queue: JobQueue
    clock: Clock


class Jobs:
    """The newest job of each recording; an earlier one that has ended makes room for the next."""

    def __init__(self, ports: Ports, intake: Intake, driver: Driver, *, progress_interval_s: float) -> None:
        self._ports = ports
        self._intake = intake
        self._driver = driver
        self._progress_interval_s = progress_interval_s
        self._stopping = asyncio.Event()
        # Pages ask every second for each of their recordings, each of them in many windows.
        self._claims = Recent(ports.claims.list, keep_s=_RECENT_S, limit_count=_RECENT_COUNT)
        self._queue = Recent(self._measure_queue, keep_s=_RECENT_S, limit_count=1)

    def stop(self) -> None:
        """End all watches: the process stops."""
        self._stopping.set()

    async def start(self, wish: TranscodeWish) -> Job:
        """Plan a job and put it into the queue.

        Raises:
            NotFound: No such recording, or no such object.
            FailedPrecondition: The recording has no source.
            AlreadyExists: A job of the recording still runs.
            ResourceExhausted: The queue is full.
        """
        kept = await self._ports.jobs.get(wish.recording_id)
        if kept and wish.request_id and kept.value.request_id == wish.request_id:
            return kept.value
        if kept:
            require_replaceable(kept.value)
        return await self._enqueue(wish, await self._source(wish), kept)

    async def report(self, recording_id: str) -> Report:
        """Measure the recording's progress; NotFound if there is no such recording."""
        await read_recording(self._ports.recordings, recording_id)
        kept = await self._ports.jobs.get(recording_id)
        now = self._ports.clock()
        job = kept.value if kept else None
        claims = await self._claims.get(job.job_id) if job and not job.has_ended else ()
        queue, dead_count = await self._queue.get("")
        return Report(
            recording_id=recording_id,
            job=job,
            progress=measure_progress(job, claims, now) if job else None,
            queue=queue,
            dead_tasks_count=dead_count,
            time=now,
        )

    async def watch(self, recording_id: str) -> AsyncGenerator[Report, None]:
        """Report now, then whenever something changed; ends with the report of the job's end.

        Raises:
            NotFound: There is no such recording.
            Unavailable: This process stops; another one goes on.
        """
        last: Report | None = None
        while not self._stopping.is_set():
            report = await self.report(recording_id)
            if last is None or (report.job, report.progress) != (last.job, last.progress):
                yield report
            if report.is_complete:
                return
            last = report
            with suppress(TimeoutError):
                async with asyncio.timeout(self._progress_interval_s):
                    await self._stopping.wait()
        raise Unavailable("this replica stops: watch another one", reason="STOPPING", retry_delay_s=0.0)

    async def cancel(self, recording_id: str, job_id: str) -> Sequence[str]:
        """Cancel a job; answers the ids of those that were. ffmpeg is dead then, and partial output removed.

        Raises:
            NotFound: No such recording, or no such job.
            FailedPrecondition: The named job has ended.
        """
        await read_recording(self._ports.recordings, recording_id)
        kept = await self._ports.jobs.get(recording_id)
        if job_id and (kept is None or kept.value.job_id != job_id):
            raise NotFound(
                f"recording {recording_id!r} has no job {job_id!r}", reason="NO_JOB", field="job_id"
            )
        return [] if kept is None else await self._cancel(kept.value, named=bool(job_id))

    async def _measure_queue(self, _key: str) -> tuple[QueueCounts, int]:
        return await self._ports.queue.count(), await self._ports.residue.get_dead_count()

    async def _cancel(self, job: Job, *, named: bool) -> Sequence[str]:
        decided = await self._driver.conclude(job, JobState.CANCELLED)
        try:
            require_cancellable(decided or job)
        except FailedPrecondition:
            if named:
                raise
            return []
        await self._driver.drive(job.recording_id, job.job_id)
        return [job.job_id]

    async def _source(self, wish: TranscodeWish) -> StoredSource:
        """Find the source to use; an object named by the caller becomes that of a recording without any."""
        if not wish.input_key:
            return require_source(await read_recording(self._ports.recordings, wish.recording_id))
        source = await self._intake.adopt(wish.recording_id, wish.input_key)
        give = partial(give_source, source=source, now=self._ports.clock())
        try:
            await change_recording(self._ports.recordings, wish.recording_id, give)
        except NotFound:
            await self._ports.recordings.create(give(empty_recording(wish.recording_id, self._ports.clock())))
        return source

    async def _enqueue(self, wish: TranscodeWish, source: StoredSource, kept: Kept[Job] | None) -> Job:
        """Plan, and store the job; what is refused meanwhile leaves the recording's source unused."""
        recording = await read_recording(self._ports.recordings, wish.recording_id)
        media = await self._ports.probes.get(source.probe_key)
        plan = plan_encode(media, rungs=wish.rungs, container=wish.container)
        job = plan_job(
            plan,
            job_id=layout.new_id(),
            recording_id=wish.recording_id,
            request_id=wish.request_id,
            title=recording.title,
            source_key=source.key,
            replaced=kept.value if kept else None,
            now=self._ports.clock(),
        )
        await self._ports.outputs.put_plan(job.job_id, plan)
        try:
            await self._store(job, source, kept)
        except (AlreadyExists, Conflict, FailedPrecondition, NotFound, ResourceExhausted):
            await self._ports.residue.purge(job.job_id)
            raise
        return job

    async def _store(self, job: Job, source: StoredSource, kept: Kept[Job] | None) -> None:
        """Queue the task, which is void without its job, and put the job in the place of the earlier one."""
        await self._ports.queue.publish(drive_task(job.recording_id, job.job_id))
        use = partial(use_source, source=source, now=self._ports.clock())
        await change_recording(self._ports.recordings, job.recording_id, use)
        try:
            await self._ports.jobs.put(job, kept.revision if kept else None)
        except Conflict as error:
            raise AlreadyExists(
                f"another job of recording {job.recording_id!r} was started at the same moment",
                reason="JOB_RUNNING",
            ) from error
