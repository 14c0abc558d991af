"""Fold the claims of a job's tasks into its progress: percent, speed and time to the end.

A claim is what the workers of one task have told of it. It outlives them: percent never goes back when a
worker dies and its task begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from transcoder.domain.job import Job, JobState, Tally

AUDIO_TASK = "audio"
"""Name of the task that encodes the audio; chunks are named by their number."""

AUDIO_SHARE = 0.02
"""Cost of the audio against all of the video: measured, one or two percent of the encoders' time."""

ALMOST_ALL = 0.999
"""Share that a job shows at most until its end is announced and what it left is removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is known of the work on one task."""

    task: str
    frame_count: int  # of the grid
    attempt: str = ""  # the attempt at work; empty: nobody works on the task
    worker: str = ""
    attempts_count: int = 0  # begun, and not handed back
    done_ratio: float = 0.0  # of the best attempt
    speed_ratio: float = 0.0  # seconds of media per second, of this attempt
    heartbeat_time: datetime
    lease_s: float = 10.0  # a worker that was not heard of for so long is dead
    error: str = ""  # why the last attempt failed

    @property
    def is_audio(self) -> bool:
        return self.task == AUDIO_TASK


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job is."""

    percent: float
    speed_ratio: float
    eta_s: float | None
    tally: Tally


def begin_attempt(claim: Claim, *, attempt: str, worker: str, lease_s: float, now: datetime) -> Claim:
    """Let an attempt work on the task, and count it."""
    return replace(
        claim,
        attempt=attempt,
        worker=worker,
        attempts_count=claim.attempts_count + 1,
        speed_ratio=0.0,
        heartbeat_time=now,
        lease_s=lease_s,
    )


def renew_claim(claim: Claim, *, done_ratio: float, speed_ratio: float, now: datetime) -> Claim:
    """Note that the attempt lives, and how far it is; the best attempt counts."""
    done_ratio = max(claim.done_ratio, min(done_ratio, 1.0))
    return replace(claim, done_ratio=done_ratio, speed_ratio=speed_ratio, heartbeat_time=now)


def complete_claim(claim: Claim, now: datetime) -> Claim:
    """Note that the task is done."""
    return replace(
        claim, attempt="", worker="", done_ratio=1.0, speed_ratio=0.0, error="", heartbeat_time=now
    )


def fail_claim(claim: Claim, error: str, now: datetime) -> Claim:
    """Note that the attempt failed; it stays counted."""
    return replace(claim, attempt="", worker="", speed_ratio=0.0, error=error, heartbeat_time=now)


def hand_back(claim: Claim, now: datetime) -> Claim:
    """Note that the attempt was given up through no fault of the task: it does not count."""
    return replace(
        claim,
        attempt="",
        worker="",
        attempts_count=claim.attempts_count - 1,
        speed_ratio=0.0,
        heartbeat_time=now,
    )


def is_at_work(claim: Claim, now: datetime) -> bool:
    """Whether a living worker works on the task."""
    return bool(claim.attempt) and now - claim.heartbeat_time < timedelta(seconds=claim.lease_s)


def lost_tasks(job: Job, claims: Iterable[Claim], now: datetime, *, silent_s: float) -> tuple[str, ...]:
    """Name the queued tasks that are not done, of a job of which nothing was heard for so long, seconds."""
    by_task = {claim.task: claim for claim in claims}
    news = [claim.heartbeat_time for claim in by_task.values()] + [job.start_time or now]
    if not (job.is_working and job.dispatched) or now - max(news) < timedelta(seconds=silent_s):
        return ()
    undone = [name for name in _task_names(job) if name not in by_task or by_task[name].done_ratio < 1.0]
    # Chunks that audio is muxed into are queued as it gets ready.
    return (AUDIO_TASK,) if job.audio_is_muxed and AUDIO_TASK in undone else tuple(undone)


def _task_names(job: Job) -> list[str]:
    return [AUDIO_TASK] * job.has_audio + [str(index) for index in range(job.chunk_count)]


def tally_claims(job: Job, claims: Iterable[Claim]) -> Tally:
    """Count what is done."""
    done_work, retries, chunks, frames = 0.0, 0, 0, 0.0
    for claim in claims:
        done_work += _work(job, claim) * claim.done_ratio
        retries += max(0, claim.attempts_count - 1)
        if not claim.is_audio:
            chunks += claim.done_ratio >= 1.0
            frames += claim.frame_count * claim.done_ratio
    return Tally(
        done_ratio=min(1.0, done_work / _total_work(job)),
        chunks_done_count=chunks,
        frames_done_count=round(frames),
        retries_count=retries,
    )


def measure_progress(job: Job, claims: Iterable[Claim], now: datetime) -> Progress:
    """Tell how far a job is.

    The speed is that of all living workers together, or, while nobody works, that of the job since its start.
    """
    if job.has_ended:
        return _final_progress(job)
    claims = tuple(claims)
    tally = tally_claims(job, claims)
    done_ratio = min(tally.done_ratio, ALMOST_ALL)
    speed = _living_speed(job, claims, now) or _mean_speed(job, done_ratio, now)
    return Progress(
        percent=100 * done_ratio,
        speed_ratio=speed,
        eta_s=(1 - done_ratio) * job.duration_s / speed if speed else None,
        tally=tally,
    )


def _final_progress(job: Job) -> Progress:
    tally = job.tally or Tally()
    done_ratio = 1.0 if job.state is JobState.SUCCEEDED else tally.done_ratio
    return Progress(
        percent=100 * done_ratio,
        speed_ratio=_mean_speed(job, done_ratio, job.end_time),
        eta_s=0.0 if job.state is JobState.SUCCEEDED else None,
        tally=tally,
    )


def _living_speed(job: Job, claims: Iterable[Claim], now: datetime) -> float:
    return sum(
        claim.speed_ratio for claim in claims if is_at_work(claim, now) and claim.is_audio == (not job.ladder)
    )


def _mean_speed(job: Job, done_ratio: float, now: datetime | None) -> float:
    if job.start_time is None or now is None or now <= job.start_time:
        return 0.0
    return done_ratio * job.duration_s / (now - job.start_time).total_seconds()


def _work(job: Job, claim: Claim) -> float:
    if claim.is_audio:
        return job.frame_count * (AUDIO_SHARE if job.ladder else 1.0)
    return float(claim.frame_count)


def _total_work(job: Job) -> float:
    video = float(job.frame_count) if job.ladder else 0.0
    audio = job.frame_count * (AUDIO_SHARE if job.ladder else 1.0) if job.has_audio else 0.0
    return video + audio
