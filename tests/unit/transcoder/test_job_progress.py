"""Progress: measured, never going back, whatever happens to workers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.jobs import BIRTH, a_claim, a_job, a_plan
from transcoder.domain.job import Job, JobState, Tally, close_job, conclude_job
from transcoder.domain.plan import Container
from transcoder.domain.progress import (
    Claim,
    begin_attempt,
    complete_claim,
    fail_claim,
    hand_back,
    is_at_work,
    lost_tasks,
    measure_progress,
    renew_claim,
    tally_claims,
)

NOW = BIRTH + timedelta(seconds=10)
JOB = a_job()  # 240 frames of video in chunks of 60 and 180, and audio


def working(task: str, frames: int, ratio: float, speed: float) -> Claim:
    return a_claim(
        task, frame_count=frames, attempt="a", done_ratio=ratio, speed_ratio=speed, heartbeat_time=NOW
    )


def test_percent_weighs_frames_and_a_little_audio() -> None:
    claims = [working("0", 60, 1.0, 0), working("1", 180, 0.5, 0), working("audio", 240, 1.0, 0)]
    progress = measure_progress(JOB, claims, NOW)
    assert progress.percent == pytest.approx(100 * (60 + 90 + 4.8) / (240 + 4.8))
    assert progress.tally.chunks_done_count == 1
    assert progress.tally.frames_done_count == 150


def test_speed_is_that_of_all_living_workers_and_eta_follows_from_it() -> None:
    dead = a_claim("2", attempt="b", speed_ratio=50.0, heartbeat_time=NOW - timedelta(seconds=11))
    claims = [working("0", 60, 0.5, 1.5), working("1", 180, 0.5, 0.5), dead]
    progress = measure_progress(a_job(a_plan(audio=False)), claims, NOW)
    assert progress.speed_ratio == 2.0
    assert progress.eta_s == pytest.approx(0.5 * 8 / 2.0)


def test_while_nobody_works_the_speed_is_the_mean() -> None:
    progress = measure_progress(a_job(a_plan(audio=False)), [a_claim("0", done_ratio=1.0)], NOW)
    assert progress.speed_ratio == pytest.approx(2.0 / 10)
    assert progress.eta_s == pytest.approx(6.0 / 0.2)


def test_before_anything_is_measured_there_is_no_eta() -> None:
    progress = measure_progress(a_job(running=False), [], NOW)
    assert (progress.percent, progress.speed_ratio, progress.eta_s) == (0.0, 0.0, None)


def test_a_job_shows_all_only_when_it_has_succeeded() -> None:
    done = [working("0", 60, 1.0, 0), working("1", 180, 1.0, 0), working("audio", 240, 1.0, 0)]
    assert measure_progress(JOB, done, NOW).percent == pytest.approx(99.9)
    closed = close_job(conclude_job(JOB, JobState.SUCCEEDED), tally_claims(JOB, done), NOW)
    progress = measure_progress(closed, [], NOW + timedelta(hours=1))
    assert (progress.percent, progress.eta_s, progress.speed_ratio) == (100.0, 0.0, 0.8)


def test_a_failed_job_keeps_what_it_had_reached() -> None:
    tally = Tally(done_ratio=0.25, chunks_done_count=1, frames_done_count=90, retries_count=2)
    closed = close_job(conclude_job(JOB, JobState.FAILED, "words"), tally, NOW)
    progress = measure_progress(closed, [], NOW)
    assert (progress.percent, progress.eta_s, progress.tally) == (25.0, None, tally)


def test_audio_alone_is_all_the_work() -> None:
    job = a_job(a_plan(video=False))
    progress = measure_progress(job, [working("audio", 800, 0.5, 40.0)], NOW)
    assert (progress.percent, progress.speed_ratio, progress.tally.frames_done_count) == (50.0, 40.0, 0)


def test_retries_are_attempts_beyond_the_first() -> None:
    claims = [
        a_claim("0", attempts_count=1),
        a_claim("1", attempts_count=3),
        a_claim("audio", attempts_count=0),
    ]
    assert tally_claims(JOB, claims).retries_count == 2


def test_handing_back_does_not_count_but_failing_does() -> None:
    begun = begin_attempt(a_claim(), attempt="a", worker="w", lease_s=10.0, now=NOW)
    assert (begun.attempts_count, is_at_work(begun, NOW)) == (1, True)
    assert (hand_back(begun, NOW).attempts_count, is_at_work(hand_back(begun, NOW), NOW)) == (0, False)
    failed = fail_claim(begun, "words", NOW)
    assert (failed.attempts_count, failed.error, is_at_work(failed, NOW)) == (1, "words", False)


def test_a_silent_worker_is_not_at_work() -> None:
    begun = begin_attempt(a_claim(), attempt="a", worker="w", lease_s=10.0, now=NOW)
    assert not is_at_work(begun, NOW + timedelta(seconds=10))


STEPS = st.one_of(
    st.just("begin"), st.just("fail"), st.just("hand back"), st.floats(min_value=0, max_value=1.5)
)


@given(st.lists(STEPS, max_size=30))
def test_percent_never_goes_back(steps: list[str | float]) -> None:
    claim, last = a_claim("0"), 0.0
    for step in steps:
        match step:
            case "begin":
                claim = begin_attempt(claim, attempt="a", worker="w", lease_s=10.0, now=NOW)
            case "fail":
                claim = fail_claim(claim, "words", NOW)
            case "hand back":
                claim = hand_back(claim, NOW)
            case float():
                claim = renew_claim(claim, done_ratio=step, speed_ratio=1.0, now=NOW)
        percent = measure_progress(JOB, [claim], NOW).percent
        assert 0 <= last <= percent <= 100
        last = percent
    assert measure_progress(JOB, [complete_claim(claim, NOW)], NOW).percent >= last


def lost_from(job: Job, claims: list[Claim], *, silent_s: float = 60.0) -> tuple[str, ...]:
    return lost_tasks(job, claims, NOW, silent_s=silent_s)


def test_tasks_of_a_silent_job_are_lost_unless_they_are_done() -> None:
    job = replace(JOB, dispatched=True, start_time=NOW - timedelta(seconds=100))
    done = a_claim("0", done_ratio=1.0, heartbeat_time=NOW - timedelta(seconds=61))
    assert lost_from(job, [done]) == ("audio", "1")
    assert lost_from(job, []) == ("audio", "0", "1")
    assert lost_from(job, [done], silent_s=62) == ()


def test_chunks_that_wait_for_their_audio_are_not_lost() -> None:
    job = replace(a_job(), container=Container.TS, dispatched=True, start_time=NOW - timedelta(seconds=100))
    sung = a_claim("audio", done_ratio=1.0, heartbeat_time=NOW - timedelta(seconds=90))
    assert lost_from(job, []) == ("audio",)
    assert lost_from(job, [sung]) == ("0", "1")


def test_nothing_is_lost_of_a_job_that_was_not_queued_or_is_over() -> None:
    silent = replace(JOB, start_time=NOW - timedelta(seconds=100))
    assert lost_from(silent, []) == ()
    assert lost_from(conclude_job(replace(silent, dispatched=True), JobState.CANCELLED), []) == ()
