"""A recording's life: created, filled by an upload or a fetch, probed, ready; all as pure steps.

Only one arrival of bytes can be under way at a time. It shows that it lives by a heartbeat; a silent one may
be taken over, and then cannot complete any more, because its token is no longer the recording's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from chassis.errors import Conflict, FailedPrecondition, NotFound
from transcoder.domain.source import Source

# An arrival that was not heard of for so long has died with its process.
ARRIVAL_SILENCE = timedelta(seconds=15)


class RecordingState(StrEnum):
    """How far a recording has come; the names are the API's."""

    CREATED = "CREATED"
    UPLOADING = "UPLOADING"
    FETCHING = "FETCHING"
    PROBING = "PROBING"
    READY = "READY"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSource:
    """The bytes of a recording, whole and probed."""

    key: str
    size_bytes: int
    sha256: str  # empty for an object that was in storage before and is only named
    owned: bool  # False: the object was there before the recording and outlives it
    media: Source  # without its keyframe times, which stand in the object `probe_key`
    probe_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Bytes on their way in."""

    token: str
    heartbeat_time: datetime
    is_fetch: bool = False  # a fetch waits in the queue for whoever does it; an upload dies with its process


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recording, as stored."""

    recording_id: str
    title: str
    source_url: str
    request_id: str
    state: RecordingState
    create_time: datetime
    update_time: datetime
    source: StoredSource | None = None
    arrival: Arrival | None = None
    error: str = ""
    transcoded: bool = False  # a job was started from the source, so a stream of it may be watched
    deleting: bool = False  # the recording is gone for its readers; what it left is being removed


class ArrivalStep(Protocol):
    """A step that keeps an arrival going."""

    def __call__(
        self, recording: Recording, *, token: str, state: RecordingState, now: datetime
    ) -> Recording: ...


def begin_arrival(recording: Recording, token: str, state: RecordingState, now: datetime) -> Recording:
    """Let bytes come in under `token`, as UPLOADING or FETCHING.

    Raises:
        Conflict: Another arrival is under way.
        FailedPrecondition: A stream was made of the source, so it can no longer be replaced.
        NotFound: The recording is being deleted.
    """
    if recording.deleting:
        raise NotFound(f"recording {recording.recording_id!r} is being deleted", reason="NO_RECORDING")
    if recording.transcoded:
        raise FailedPrecondition(
            f"the source of recording {recording.recording_id!r} is, or was, in use by a job, so it stays "
            "as it is: create another recording, or delete this one first",
            reason="SOURCE_IN_USE",
        )
    other = recording.arrival
    if other and other.token != token and is_alive(other, now):
        raise Conflict(
            f"the source of recording {recording.recording_id!r} is arriving already: wait for its end, "
            f"or for {ARRIVAL_SILENCE.seconds} s if its sender has died",
            reason="UPLOAD_UNDER_WAY",
            retry_delay_s=ARRIVAL_SILENCE.total_seconds(),
        )
    arrival = Arrival(token=token, heartbeat_time=now, is_fetch=state is RecordingState.FETCHING)
    return replace(recording, state=state, arrival=arrival, error="", update_time=now)


def advance_arrival(recording: Recording, token: str, state: RecordingState, now: datetime) -> Recording:
    """Note that the arrival lives, and how far it is: UPLOADING, FETCHING or PROBING.

    Raises:
        Conflict: The arrival was taken over, or the recording is being deleted.
    """
    arrival = replace(require_arrival(recording, token), heartbeat_time=now)
    return replace(recording, state=state, arrival=arrival, update_time=now)


def complete_arrival(recording: Recording, token: str, source: StoredSource, now: datetime) -> Recording:
    """Make what arrived the recording's source.

    Raises:
        Conflict: The arrival was taken over, or the recording is being deleted.
    """
    require_arrival(recording, token)
    return replace(
        recording, state=RecordingState.READY, source=source, arrival=None, error="", update_time=now
    )


def abandon_arrival(recording: Recording, token: str, error: str, now: datetime) -> Recording:
    """Go back to what was before the arrival; `error`, if any, tells what was wrong with the bytes.

    An earlier source stays in force.

    Raises:
        Conflict: The arrival was taken over, or the recording is being deleted.
    """
    require_arrival(recording, token)
    if recording.source:
        state, error = RecordingState.READY, ""
    else:
        state = RecordingState.FAILED if error else RecordingState.CREATED
    return replace(recording, state=state, arrival=None, error=error, update_time=now)


def is_alive(arrival: Arrival, now: datetime) -> bool:
    """Whether bytes may still come."""
    return now - arrival.heartbeat_time < ARRIVAL_SILENCE


def as_seen(recording: Recording, now: datetime) -> Recording:
    """Tell how a recording is to be shown: an upload that died with its process has left it as it was."""
    arrival = recording.arrival
    if arrival is None or arrival.is_fetch or recording.deleting or is_alive(arrival, now):
        return recording
    return abandon_arrival(recording, arrival.token, "", arrival.heartbeat_time)


def require_arrival(recording: Recording, token: str) -> Arrival:
    """Make certain that the arrival is still the recording's own.

    Raises:
        Conflict: It was taken over, or the recording is being deleted.
    """
    if recording.deleting or recording.arrival is None or recording.arrival.token != token:
        raise Conflict(
            f"recording {recording.recording_id!r} was deleted, or is being filled by somebody else",
            reason="UPLOAD_TAKEN_OVER",
        )
    return recording.arrival


def empty_recording(recording_id: str, now: datetime, *, title: str = "", request_id: str = "") -> Recording:
    """Make a recording that has no bytes yet."""
    return Recording(
        recording_id=recording_id,
        title=title,
        source_url="",
        request_id=request_id,
        state=RecordingState.CREATED,
        create_time=now,
        update_time=now,
    )


def give_source(recording: Recording, source: StoredSource, now: datetime) -> Recording:
    """Let a recording without source have this one; a recording that has one keeps it."""
    if recording.source or recording.arrival:
        return recording
    return replace(recording, state=RecordingState.READY, source=source, error="", update_time=now)


def use_source(recording: Recording, source: StoredSource, now: datetime) -> Recording:
    """Note that a stream is made of a source, so that the recording's own cannot be replaced any more.

    Raises:
        FailedPrecondition: There is none, or another one is just arriving.
        Conflict: Another one has come into its place since it was read.
    """
    recording = as_seen(recording, now)
    present = require_source(recording)
    if recording.arrival:
        raise _not_ready(recording)
    if source.owned and present != source:
        raise Conflict(
            f"the source of recording {recording.recording_id!r} was replaced at the same moment: try again",
            reason="SOURCE_REPLACED",
        )
    return replace(recording, transcoded=True)


def delete_recording(recording: Recording) -> Recording:
    """Hide the recording from readers, and stop what brings its bytes in."""
    return replace(recording, deleting=True)


def require_source(recording: Recording) -> StoredSource:
    """Give the source that a job can work from.

    Raises:
        FailedPrecondition: There is none yet.
    """
    if recording.source is None or recording.deleting:
        raise _not_ready(recording)
    return recording.source


def _not_ready(recording: Recording) -> FailedPrecondition:
    return FailedPrecondition(
        f"recording {recording.recording_id!r} is {recording.state}: it must be READY; upload its source",
        reason="RECORDING_NOT_READY",
    )
