"""The life of a recording: one arrival of bytes at a time, and no way back once a stream was made of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from chassis.errors import Conflict, FailedPrecondition, NotFound
from support.jobs import BIRTH, a_recording, a_stored_source
from transcoder.domain.recording import (
    ARRIVAL_SILENCE,
    Recording,
    RecordingState,
    abandon_arrival,
    advance_arrival,
    as_seen,
    begin_arrival,
    complete_arrival,
    delete_recording,
    give_source,
    require_source,
    use_source,
)

SOON = BIRTH + timedelta(seconds=1)
READY = a_recording(state=RecordingState.READY, source=a_stored_source())


def begin(recording: Recording, token: str = "one") -> Recording:  # noqa: S107 - no password
    return begin_arrival(recording, token=token, state=RecordingState.UPLOADING, now=BIRTH)


def test_an_arrival_ends_as_a_ready_recording() -> None:
    probing = advance_arrival(begin(a_recording()), token="one", state=RecordingState.PROBING, now=SOON)
    assert probing.state is RecordingState.PROBING
    ready = complete_arrival(probing, token="one", source=a_stored_source(), now=SOON)
    assert (ready.state, ready.arrival, ready.source) == (RecordingState.READY, None, a_stored_source())


def test_a_second_arrival_must_wait_while_the_first_lives() -> None:
    uploading = begin(a_recording())
    with pytest.raises(Conflict, match="arriving already"):
        begin_arrival(uploading, token="two", state=RecordingState.UPLOADING, now=SOON)


def test_a_silent_arrival_is_taken_over_and_cannot_complete() -> None:
    later = BIRTH + ARRIVAL_SILENCE
    taken = begin_arrival(begin(a_recording()), token="two", state=RecordingState.UPLOADING, now=later)
    with pytest.raises(Conflict):
        complete_arrival(taken, token="one", source=a_stored_source(), now=later)
    with pytest.raises(Conflict):
        advance_arrival(taken, token="one", state=RecordingState.PROBING, now=later)
    with pytest.raises(Conflict):
        abandon_arrival(taken, token="one", error="", now=later)


def test_a_heartbeat_keeps_an_arrival() -> None:
    alive = advance_arrival(begin(a_recording()), token="one", state=RecordingState.UPLOADING, now=SOON)
    with pytest.raises(Conflict):
        begin_arrival(
            alive,
            token="two",
            state=RecordingState.UPLOADING,
            now=SOON + ARRIVAL_SILENCE - timedelta(seconds=0.1),
        )


@pytest.mark.parametrize(
    ("before", "error", "state", "shown"),
    [
        (a_recording(), "", RecordingState.CREATED, ""),
        (a_recording(), "no media", RecordingState.FAILED, "no media"),
        (READY, "", RecordingState.READY, ""),
        (READY, "no media", RecordingState.READY, ""),
    ],
)
def test_a_broken_arrival_leaves_what_was_before(
    before: Recording, error: str, state: RecordingState, shown: str
) -> None:
    after = abandon_arrival(begin(before), token="one", error=error, now=SOON)
    assert (after.state, after.error, after.source, after.arrival) == (state, shown, before.source, None)


def test_a_source_can_be_replaced_until_it_is_used() -> None:
    assert begin(READY).source == READY.source
    with pytest.raises(FailedPrecondition, match="in use by a job"):
        begin(use_source(READY, a_stored_source(), SOON))


def test_a_failed_recording_may_be_filled_again() -> None:
    failed = abandon_arrival(begin(a_recording()), token="one", error="no media", now=SOON)
    assert begin(failed, "two").error == ""


@pytest.mark.parametrize("recording", [a_recording(), begin(a_recording()), delete_recording(READY)])
def test_without_a_source_there_is_nothing_to_transcode(recording: Recording) -> None:
    with pytest.raises(FailedPrecondition, match="must be READY"):
        require_source(recording)


def test_a_source_that_is_being_replaced_cannot_be_used() -> None:
    with pytest.raises(FailedPrecondition, match="UPLOADING"):
        use_source(begin(READY), a_stored_source(), SOON)


def test_a_source_that_was_replaced_since_it_was_read_cannot_be_used() -> None:
    earlier = replace(a_stored_source(), key="recordings/film/earlier/source")
    with pytest.raises(Conflict, match="replaced"):
        use_source(READY, earlier, SOON)
    given = replace(earlier, owned=False)  # an object of the caller's, beside the recording's own
    assert use_source(READY, given, SOON).transcoded


def test_a_deleted_recording_takes_no_more_bytes() -> None:
    deleting = delete_recording(begin(a_recording()))
    with pytest.raises(Conflict):
        complete_arrival(deleting, token="one", source=a_stored_source(), now=SOON)


def test_a_recording_that_is_being_deleted_is_not_filled() -> None:
    with pytest.raises(NotFound):
        begin(delete_recording(a_recording()))


def test_an_upload_that_died_is_not_shown_for_ever() -> None:
    later = BIRTH + ARRIVAL_SILENCE
    assert as_seen(begin(a_recording()), SOON).state is RecordingState.UPLOADING
    assert as_seen(begin(a_recording()), later).state is RecordingState.CREATED
    assert as_seen(begin(READY), later) == replace(READY, update_time=BIRTH)
    assert use_source(begin(READY), a_stored_source(), later).transcoded


def test_a_fetch_waits_for_whoever_does_it() -> None:
    fetching = begin_arrival(a_recording(), token="one", state=RecordingState.FETCHING, now=BIRTH)
    probing = advance_arrival(fetching, token="one", state=RecordingState.PROBING, now=SOON)
    assert as_seen(probing, BIRTH + timedelta(hours=1)) == probing


def test_a_named_object_fills_only_an_empty_recording() -> None:
    assert give_source(a_recording(), source=a_stored_source(), now=SOON).state is RecordingState.READY
    assert give_source(READY, source=a_stored_source(), now=SOON) == READY
