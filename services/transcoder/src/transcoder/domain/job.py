"""A VOD job's life, as pure steps.

    QUEUED ──begin──> RUNNING ──close──> SUCCEEDED, FAILED or CANCELLED
       └─────────conclude─────────┘ ^ conclude decides which

`conclude` is the decision: of a worker that fails, a caller that cancels and a worker that completes the job,
the first to store it wins. What the job leaves behind is then removed, and only after that is it closed. All
of it may be done by any process, and again by another one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from chassis.errors import AlreadyExists, FailedPrecondition
from transcoder.domain.ladder import Rung
from transcoder.domain.plan import AUDIO_RENDITION_ID, Container, EncodePlan


class JobState(StrEnum):
    """The names are the API's."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What of a job is done."""

    done_ratio: float = 0.0
    chunks_done_count: int = 0
    frames_done_count: int = 0
    retries_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job, as stored. Its EncodePlan is stored beside it."""

    job_id: str
    recording_id: str
    request_id: str
    title: str
    source_key: str
    container: Container
    ladder: tuple[Rung, ...]
    has_audio: bool
    segment_count: int
    chunk_count: int
    frame_count: int  # of the grid; of a source without video its ticks
    duration_s: float
    target_duration_s: int
    state: JobState
    create_time: datetime
    start_time: datetime | None = None
    end_time: datetime | None = None
    incarnation: str = ""  # of the stream; empty until RUNNING
    epoch: int = 0
    replaces: tuple[str, ...] = ()  # earlier jobs, whose objects go when this job ends
    dispatched: bool = False  # its tasks are in the queue
    outcome: JobState | None = None  # decided, but not yet closed
    error: str = ""
    tally: Tally | None = None  # the last one, once closed
    has_thumbnails: bool = False

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    @property
    def is_working(self) -> bool:
        """Whether its tasks should still be worked on."""
        return self.state is JobState.RUNNING and self.outcome is None

    @property
    def rendition_names(self) -> tuple[str, ...]:
        """Ascending by rate; audio alone has its own name."""
        return tuple(rung.name for rung in self.ladder) or (AUDIO_RENDITION_ID,)

    @property
    def audio_is_muxed(self) -> bool:
        """Whether audio travels inside the video's segments."""
        return self.container is Container.TS and self.has_audio and bool(self.ladder)


def plan_job(
    plan: EncodePlan,
    *,
    job_id: str,
    recording_id: str,
    request_id: str,
    title: str,
    source_key: str,
    replaced: Job | None,
    now: datetime,
) -> Job:
    """Make the record of a new job."""
    return Job(
        job_id=job_id,
        recording_id=recording_id,
        request_id=request_id,
        title=title,
        source_key=source_key,
        container=plan.container,
        ladder=plan.ladder,
        has_audio=plan.audio is not None,
        has_thumbnails=plan.thumbnails is not None,
        segment_count=plan.grid.segment_count,
        chunk_count=len(plan.chunks),
        frame_count=plan.grid.frame_count,
        duration_s=float(plan.grid.duration_s),
        target_duration_s=plan.grid.target_duration_s,
        state=JobState.QUEUED,
        create_time=now,
        replaces=(*replaced.replaces, replaced.job_id) if replaced else (),
    )


def begin_job(job: Job, *, incarnation: str, epoch: int, now: datetime) -> Job:
    """Let the job run as the owner of an incarnation of its stream; of two owners the later one counts.

    A job whose end is decided begins no more.
    """
    if job.has_ended or job.outcome or (job.incarnation == incarnation and job.epoch >= epoch):
        return job
    start_time = job.start_time or now
    return replace(job, state=JobState.RUNNING, incarnation=incarnation, epoch=epoch, start_time=start_time)


def conclude_job(job: Job, outcome: JobState, error: str = "") -> Job:
    """Decide how the job ends; what was decided before stays."""
    if job.has_ended or job.outcome:
        return job
    return replace(job, outcome=outcome, error=error)


def close_job(job: Job, tally: Tally, now: datetime) -> Job:
    """End the job as decided: nothing of it is left to do or to remove.

    One that never began has replaced nothing: what it would have replaced still plays, and the next job is to
    remove it.
    """
    if job.has_ended or job.outcome is None:
        return job
    replaces = () if job.incarnation else job.replaces
    return replace(job, state=job.outcome, outcome=None, tally=tally, replaces=replaces, end_time=now)


def require_cancellable(job: Job) -> None:
    """Raise FailedPrecondition if the job's end came, or was decided, otherwise than by a cancel before."""
    end = job.outcome or job.state
    if job.has_ended or (job.outcome and job.outcome is not JobState.CANCELLED):
        raise FailedPrecondition(
            f"job {job.job_id} has ended as {end}: there is nothing to cancel", reason="JOB_ENDED"
        )


def require_replaceable(job: Job) -> None:
    """Raise AlreadyExists if the job still runs, so that no other may take its place."""
    if not job.has_ended:
        raise AlreadyExists(
            f"job {job.job_id} of recording {job.recording_id!r} still runs: wait for its end, or cancel it",
            reason="JOB_RUNNING",
            job_id=job.job_id,
        )
