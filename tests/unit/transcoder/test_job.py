"""The life of a job: what may follow what, and who decides how it ends."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chassis.errors import AlreadyExists, FailedPrecondition
from support.jobs import BIRTH, a_job, a_plan
from transcoder.domain.job import (
    JobState,
    Tally,
    begin_job,
    close_job,
    conclude_job,
    plan_job,
    require_cancellable,
    require_replaceable,
)
from transcoder.domain.plan import Container

LATER = BIRTH + timedelta(seconds=9)


def test_of_two_decisions_the_first_stands() -> None:
    failed = conclude_job(a_job(), JobState.FAILED, "chunk 3 failed")
    assert conclude_job(failed, JobState.CANCELLED) == failed
    assert not failed.is_working
    assert not failed.has_ended


def test_a_decided_job_is_closed_as_decided() -> None:
    tally = Tally(done_ratio=0.5, chunks_done_count=1)
    closed = close_job(conclude_job(a_job(replaces=("0ld",)), JobState.FAILED, "words"), tally, LATER)
    assert (closed.state, closed.error, closed.outcome) == (JobState.FAILED, "words", None)
    assert (closed.tally, closed.end_time, closed.replaces) == (tally, LATER, ())


def test_a_job_that_never_began_leaves_what_it_would_have_replaced_to_the_next() -> None:
    waiting = a_job(running=False, replaces=("0ld",))
    closed = close_job(conclude_job(waiting, JobState.CANCELLED), Tally(), LATER)
    assert (closed.state, closed.replaces) == (JobState.CANCELLED, ("0ld",))


def test_a_job_whose_end_is_decided_begins_no_more() -> None:
    decided = conclude_job(a_job(running=False), JobState.CANCELLED)
    assert begin_job(decided, incarnation="cafe0002", epoch=1, now=LATER) == decided


def test_an_undecided_job_cannot_be_closed() -> None:
    assert close_job(a_job(), Tally(), LATER) == a_job()


def test_a_closed_job_changes_no_more() -> None:
    closed = close_job(conclude_job(a_job(), JobState.SUCCEEDED), Tally(), LATER)
    assert conclude_job(closed, JobState.FAILED) == closed
    assert close_job(closed, Tally(done_ratio=1.0), LATER + timedelta(1)) == closed


@pytest.mark.parametrize("outcome", [JobState.SUCCEEDED, JobState.FAILED])
def test_what_has_been_decided_otherwise_cannot_be_cancelled(outcome: JobState) -> None:
    decided = conclude_job(a_job(), outcome)
    with pytest.raises(FailedPrecondition, match=f"job1 has ended as {outcome}"):
        require_cancellable(decided)
    with pytest.raises(FailedPrecondition, match=f"job1 has ended as {outcome}"):
        require_cancellable(close_job(decided, Tally(), LATER))


def test_a_cancel_that_is_under_way_may_be_repeated() -> None:
    require_cancellable(a_job())
    require_cancellable(conclude_job(a_job(), JobState.CANCELLED))


def test_only_a_closed_job_makes_room_for_another() -> None:
    decided = conclude_job(a_job(), JobState.FAILED)
    with pytest.raises(AlreadyExists, match="job1"):
        require_replaceable(decided)
    require_replaceable(close_job(decided, Tally(), LATER))


def test_the_next_job_inherits_what_the_earlier_left_behind() -> None:
    earlier = a_job(replaces=("older",))
    job = plan_job(
        a_plan(),
        job_id="job2",
        recording_id="film",
        request_id="",
        title="",
        source_key="k",
        replaced=earlier,
        now=LATER,
    )
    assert job.replaces == ("older", "job1")


@pytest.mark.parametrize(
    ("container", "video", "audio", "muxed", "names"),
    [
        (Container.CMAF, True, True, False, ("VeryLow",)),
        (Container.TS, True, True, True, ("VeryLow",)),
        (Container.TS, True, False, False, ("VeryLow",)),
        (Container.TS, False, True, False, ("audio",)),
    ],
)
def test_the_plan_decides_what_is_muxed(
    container: Container, video: bool, audio: bool, muxed: bool, names: tuple[str, ...]
) -> None:
    job = a_job(a_plan(container, video=video, audio=audio))
    assert (job.audio_is_muxed, job.rendition_names) == (muxed, names)
    assert job.chunk_count == (2 if video else 0)
