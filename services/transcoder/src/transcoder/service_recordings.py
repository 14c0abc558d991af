"""Use-cases of recordings: create, read, list, delete."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chassis import layout
from chassis.errors import AlreadyExists, Conflict, InvalidArgument, NotFound
from transcoder.domain.recording import (
    Recording,
    RecordingState,
    as_seen,
    begin_arrival,
    empty_recording,
)
from transcoder.ports import Clock, Fetcher, JobQueue, Lane, RecordingStore, Task

_TRIES = 20  # of a change that loses to other writers; each of them makes progress, so this is never reached


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingWish:
    """What a caller asks for."""

    recording_id: str
    title: str
    source_url: str
    request_id: str


async def read_recording(store: RecordingStore, recording_id: str) -> Recording:
    """Read a recording that is there for its readers; NotFound otherwise."""
    kept = await store.get(recording_id)
    if kept is None or kept.value.deleting:
        raise _no_recording(recording_id)
    return kept.value


async def change_recording(
    store: RecordingStore, recording_id: str, step: Callable[[Recording], Recording]
) -> Recording:
    """Apply a pure step to a stored recording, again if somebody else wrote meanwhile.

    Raises:
        NotFound: There is no such recording.
        WeirError: What the step raises.
    """
    for _ in range(_TRIES):
        kept = await store.get(recording_id)
        if kept is None:
            raise _no_recording(recording_id)
        changed = step(kept.value)
        try:
            await store.update(changed, kept.revision)
        except Conflict:
            continue
        return changed
    raise Conflict(f"recording {recording_id!r} is being changed by many at once: try again", reason="BUSY")


class Recordings:
    """The recordings and their records."""

    def __init__(self, *, store: RecordingStore, queue: JobQueue, fetcher: Fetcher, clock: Clock) -> None:
        self._store = store
        self._queue = queue
        self._fetcher = fetcher
        self._clock = clock

    async def create(self, wish: RecordingWish) -> Recording:
        """Create a recording; with a source_url, its fetch is queued.

        Raises:
            AlreadyExists: The id is taken, and not by this same request.
            InvalidArgument: The URL is refused.
        """
        recording = _new_recording(wish, self._clock())
        if earlier := await self._made_before(recording):
            return earlier
        if recording.arrival:
            await self._fetcher.require_allowed(wish.source_url)
            # Queued first: a fetch without its recording is dropped, a recording without its fetch would wait
            # for ever.
            await self._queue.publish(fetch_task(recording.recording_id, recording.arrival.token))
        try:
            await self._store.create(recording)
        except AlreadyExists as error:
            raise _taken(recording.recording_id) from error
        return recording

    async def get(self, recording_id: str) -> Recording:
        """Read one recording; NotFound if there is none."""
        return as_seen(await read_recording(self._store, recording_id), self._clock())

    async def list(self, page_size: int, page_token: str) -> tuple[Sequence[Recording], str]:
        """Read one page, newest first, and the token of the next one (empty: this was the last).

        Raises:
            InvalidArgument: The token is none of ours.
        """
        place = _parse_page_token(page_token) if page_token else None
        now = self._clock()
        recordings = [as_seen(item, now) for item in await self._store.list() if not item.deleting]
        recordings.sort(key=_place, reverse=True)
        rest = [item for item in recordings if place is None or _place(item) < place]
        page = rest[:page_size]
        return page, _render_page_token(page[-1]) if len(rest) > page_size else ""

    async def _made_before(self, recording: Recording) -> Recording | None:
        kept = await self._store.get(recording.recording_id)
        if kept is None:
            return None
        if recording.request_id and kept.value.request_id == recording.request_id:
            return kept.value
        raise _taken(recording.recording_id)


def fetch_task(recording_id: str, token: str) -> Task:
    """Name the task that fetches a recording's source_url."""
    return Task(lane=Lane.FETCH, recording_id=recording_id, job_id=token, name="fetch")


def _new_recording(wish: RecordingWish, now: datetime) -> Recording:
    recording = empty_recording(
        wish.recording_id or _choose_id(wish.request_id), now, title=wish.title, request_id=wish.request_id
    )
    if not wish.source_url:
        return recording
    return begin_arrival(
        replace(recording, source_url=wish.source_url),
        token=layout.new_id(),
        state=RecordingState.FETCHING,
        now=now,
    )


def _choose_id(request_id: str) -> str:
    """A retry of a request must find the recording that the first try made."""
    return hashlib.sha256(request_id.encode()).hexdigest()[:12] if request_id else layout.new_id()


def _place(recording: Recording) -> tuple[str, str]:
    return recording.create_time.isoformat(timespec="microseconds"), recording.recording_id


def _render_page_token(last: Recording) -> str:
    return base64.urlsafe_b64encode("\n".join(_place(last)).encode()).decode().rstrip("=")


def _parse_page_token(token: str) -> tuple[str, str]:
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
        time, recording_id = text.split("\n")
        datetime.fromisoformat(time)
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise InvalidArgument(
            f"page_token is {token[:80]!r}: it must be the next_page_token of an earlier answer",
            reason="INVALID_PAGE_TOKEN",
            field="page_token",
        ) from error
    return time, recording_id


def _no_recording(recording_id: str) -> NotFound:
    return NotFound(f"there is no recording {recording_id!r}", reason="NO_RECORDING")


def _taken(recording_id: str) -> AlreadyExists:
    return AlreadyExists(
        f"recording_id {recording_id!r} is taken: choose another, or delete that recording",
        reason="RECORDING_EXISTS",
    )
