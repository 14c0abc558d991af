"""What the distributor does for live streams: create, start, let publishers in, tell what went wrong.

A stream's life: created, active while media comes, stopped by request or ended with its source. An ended
timeline never grows, so that what starts after a stop is a new incarnation of the stream.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from chassis.errors import (
    AlreadyExists,
    Conflict,
    FailedPrecondition,
    NotFound,
    PermissionDenied,
    WeirError,
)
from chassis.layout import new_attempt, new_id, new_incarnation
from chassis.telemetry import STREAM, log
from distributor.domain.live import LiveWish, join_key, stream_of_key
from distributor.domain.stream import Description, Stream, StreamKind, StreamState, move, new_stream
from distributor.folds import Folds
from distributor.ports import Puller, Registry
from distributor.service_streams import Streams

_KEY_BYTES = 24


class LiveStreams:
    """The use-cases of LiveService, and those of StreamService that only live streams have."""

    def __init__(
        self,
        *,
        registry: Registry,
        streams: Streams,
        folds: Folds,
        puller: Puller,
        now: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._streams = streams
        self._folds = folds
        self._puller = puller
        self._now = now

    async def create(self, description: Description, wish: LiveWish) -> Stream:
        """Create a stream; an empty id is replaced, by one that a repeated request makes again.

        Raises:
            AlreadyExists: The id is taken, and not by an earlier call with this request id.
        """
        stream_id = description.stream_id or _make_id(wish.request_id)
        key = "" if wish.source.is_pulled else join_key(stream_id, secrets.token_urlsafe(_KEY_BYTES))
        stream = new_stream(
            replace(description, stream_id=stream_id),
            incarnation=new_incarnation(),
            now=self._now(),
            live=replace(wish, stream_key=key),
        )
        try:
            await self._registry.create(stream)
        except AlreadyExists as error:
            return await self._created_before(stream_id, wish.request_id, error)
        log.info("stream created", **{STREAM: stream_id}, kind=description.kind)
        return stream

    async def start(self, stream_id: str) -> Stream:
        """Let a stream take media; a pulled one is pulled from now on.

        Raises:
            NotFound: NO_STREAM.
            FailedPrecondition: NOT_LIVE, STREAM_ENDED or STREAM_RECORDED.
            ResourceExhausted: No transcoder is free; starting again asks again.
        """
        stream = await self._streams.change(stream_id, self._started)
        if stream.live and stream.live.source.is_pulled:
            await self._puller.pull(stream)
        return stream

    async def sweep(self) -> None:
        """Ask again for what nobody has begun to pull: who started it may have died before it asked."""
        for stream in await self._registry.list():
            if not _is_to_be_pulled(stream):
                continue
            try:
                if not (await self._folds.refresh(stream)).ledger.epoch:
                    await self._puller.pull(stream)
            except WeirError as error:
                log.warning("pull could not be asked for", error=error.message, **{STREAM: stream.stream_id})

    async def admit(self, stream_key: str, stream_id: str) -> Stream:
        """Let a publisher in.

        Raises:
            PermissionDenied: WRONG_KEY.
            FailedPrecondition: NOT_PUSHED, STREAM_STOPPED or STREAM_ENDED.
        """
        claimed = stream_of_key(stream_key)
        if not claimed or stream_id not in {"", claimed}:
            raise _wrong_key()
        try:
            stream = (await self._registry.get(claimed)).stream
        except NotFound as error:
            raise _wrong_key() from error
        if stream.live is None:
            raise _wrong_key()
        if stream.live.source.is_pulled:
            raise FailedPrecondition(f"stream {claimed!r} is pulled: nobody pushes it", reason="NOT_PUSHED")
        if stream.description.kind is StreamKind.VOD:
            raise FailedPrecondition(
                f"stream {claimed!r} is of type 'vod', which nobody pushes: create a 'live' or 'event' one",
                reason="NOT_PUSHED",
            )
        # Equally long for every wrong key, so that none can be felt for character by character.
        if not secrets.compare_digest(stream_key.encode(), stream.live.stream_key.encode()):
            raise _wrong_key()
        _require_taking(stream)
        return stream

    async def settings(self, stream_id: str) -> Stream:
        """Get a stream to whoever owns it without a publisher.

        Raises:
            NotFound: NO_STREAM.
            FailedPrecondition: NOT_LIVE, STREAM_STOPPED or STREAM_ENDED.
        """
        stream = (await self._registry.get(stream_id)).stream
        _require_taking(stream)
        return stream

    async def report_failure(self, stream_id: str, *, incarnation: str, epoch: int, error: str) -> None:
        """Show that a stream's media cannot be had, or with an empty `error` that it can again.

        Raises:
            NotFound: NO_STREAM or NO_INCARNATION.
            FailedPrecondition: STALE_EPOCH.
        """
        stream = await self._streams.current(stream_id, incarnation=incarnation)
        newest = (await self._folds.refresh(stream)).ledger.epoch
        if epoch != newest:
            raise FailedPrecondition(
                f"epoch is {epoch}, but the stream is owned under epoch {newest}: stop",
                reason="STALE_EPOCH",
                epoch=str(newest),
            )
        state = StreamState.ERROR if error else StreamState.ACTIVE
        await self._streams.change(stream_id, lambda present: self._told(present, incarnation, state, error))

    async def _created_before(self, stream_id: str, request_id: str, taken: AlreadyExists) -> Stream:
        if request_id:
            found = (await self._registry.get(stream_id)).stream
            if found.live and found.live.request_id == request_id:
                return found
        raise AlreadyExists(
            f"stream_id is {stream_id!r}, which is taken: choose another, or delete that stream",
            reason="STREAM_EXISTS",
            field="stream_id",
        ) from taken

    def _started(self, stream: Stream) -> Stream:
        wish = _require_live(stream)
        if stream.state is StreamState.ENDED:
            raise _ended(stream.stream_id)
        if stream.stop_asked and not stream.is_over:
            raise Conflict(
                f"stream {stream.stream_id!r} is being stopped: try again", reason="STREAM_STOPPING"
            )
        if stream.state is StreamState.STOPPED:
            stream = self._begun_again(stream, wish)
        if not wish.source.is_pulled or stream.state is StreamState.ACTIVE:
            return stream
        return replace(move(stream, StreamState.ACTIVE, now=self._now()), start_mark=new_attempt())

    def _begun_again(self, stream: Stream, wish: LiveWish) -> Stream:
        if stream.description.record and stream.duration_s > 0:
            raise FailedPrecondition(
                f"stream {stream.stream_id!r} is recorded, and starting it again would lose the recording: "
                "create another stream, or delete this one",
                reason="STREAM_RECORDED",
            )
        again = new_stream(stream.description, incarnation=new_incarnation(), now=self._now(), live=wish)
        return replace(again, create_time=stream.create_time)

    def _told(self, stream: Stream, incarnation: str, state: StreamState, error: str) -> Stream:
        if stream.incarnation != incarnation or stream.is_over:
            return stream
        return replace(move(stream, state, now=self._now(), error=error), error=error)


def _make_id(request_id: str) -> str:
    """An id of which only its own request knows the way to it."""
    return hashlib.sha256(request_id.encode()).hexdigest()[:12] if request_id else new_id()


def _is_to_be_pulled(stream: Stream) -> bool:
    is_wanted = bool(stream.start_mark) and not stream.stop_asked and stream.state is StreamState.ACTIVE
    return is_wanted and stream.live is not None and stream.live.source.is_pulled


def _require_live(stream: Stream) -> LiveWish:
    if stream.live is None:
        raise FailedPrecondition(
            f"stream {stream.stream_id!r} takes no media: it was made of a recording or another stream",
            reason="NOT_LIVE",
        )
    return stream.live


def _require_taking(stream: Stream) -> None:
    """Require that a stream takes media; a pulled one does so once it was started."""
    wish = _require_live(stream)
    if stream.stop_asked or (wish.source.is_pulled and not stream.start_mark):
        raise _stopped(stream.stream_id)
    if stream.state is StreamState.ENDED:
        raise _ended(stream.stream_id)


def _wrong_key() -> PermissionDenied:
    return PermissionDenied("the stream key opens no stream: look it up again", reason="WRONG_KEY")


def _stopped(stream_id: str) -> FailedPrecondition:
    return FailedPrecondition(f"stream {stream_id!r} is stopped: start it first", reason="STREAM_STOPPED")


def _ended(stream_id: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"stream {stream_id!r} has ended with its source: create another", reason="STREAM_ENDED"
    )
