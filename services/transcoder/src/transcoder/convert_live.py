"""Contracts of live ingest to values of ours and back, and the validation of its requests."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from datetime import datetime

from weir.timeline.v1 import timeline_pb2
from weir.transcoder.v1 import transcoder_pb2 as pb

from chassis.errors import InvalidArgument, PermissionDenied
from chassis.layout import require_id
from transcoder.convert import MAX_PIECE_BYTES, MAX_REQUEST_ID_CHARACTERS, write_time
from transcoder.domain.live_settings import LiveSettings
from transcoder.domain.plan import Container
from transcoder.ingest.http_push import PROTOCOL, Pushed
from transcoder.ingest.publication import PublishClaim
from transcoder.ports import Lane, Task

MAX_KEY_CHARACTERS = 256
AUTHORIZATION = "authorization"

_BEARER = "bearer "
_INCARNATION = re.compile(r"[0-9a-f]{1,64}")


def read_claim(request: pb.IngestRequest, headers: Mapping[str, str | bytes], peer: str) -> PublishClaim:
    """Validate the first message of a push.

    Args:
        request: The message.
        headers: The call's; the stream key may come as a bearer token.
        peer: Where the call comes from, for logs.
    """
    return PublishClaim(
        protocol=PROTOCOL,
        peer=peer,
        stream_key=read_key(request, headers),
        stream_id=require_id(request.stream_id, field="stream_id"),
        take_over=request.take_over,
    )


async def read_push(first: pb.IngestRequest, rest: AsyncIterator[pb.IngestRequest]) -> AsyncIterator[bytes]:
    """Read a push's bytes."""
    yield read_piece(first)
    if first.last:
        return
    async for request in rest:
        yield read_piece(request)
        if request.last:
            return


def read_pull(request: pb.PullRequest) -> Task:
    """Validate a PullRequest; the same start of the same stream is the same task."""
    stream_id = require_id(request.stream_id, field="stream_id")
    if not _INCARNATION.fullmatch(request.incarnation):
        raise _no_incarnation("incarnation", request.incarnation)
    if not 0 < len(request.request_id) <= MAX_REQUEST_ID_CHARACTERS:
        raise InvalidArgument(
            f"request_id is {request.request_id[:80]!r}: it must hold 1 to {MAX_REQUEST_ID_CHARACTERS} "
            "characters",
            field="request_id",
        )
    start = hashlib.sha256(f"{request.incarnation}/{request.request_id}".encode()).hexdigest()[:12]
    return Task(lane=Lane.LIVE, recording_id=stream_id, job_id=start, name=request.incarnation)


def read_close(request: pb.CloseRequest) -> LiveSettings:
    """Validate a CloseRequest; answers the stream, whose epoch and sequence are in the request."""
    require_id(request.stream.stream_id, field="stream.stream_id")
    if not _INCARNATION.fullmatch(request.stream.incarnation):
        raise _no_incarnation("stream.incarnation", request.stream.incarnation)
    for field, number in (("epoch", request.epoch), ("sequence", request.sequence)):
        if number < 1:
            raise InvalidArgument(f"{field} is {number}: it must be at least 1", field=field)
    stream = request.stream
    return LiveSettings(
        stream_id=stream.stream_id,
        incarnation=stream.incarnation,
        container=Container.TS if stream.container == timeline_pb2.CONTAINER_TS else Container.CMAF,
        target_duration_s=stream.target_duration_s,
        part_target_s=stream.part_target_s,
    )


def write_pushed(pushed: Pushed, now: datetime) -> pb.IngestResponse:
    """Write what became of a push."""
    return pb.IngestResponse(
        status="ended",
        stream_id=pushed.stream_id,
        duration=pushed.duration_s,
        size_bytes=pushed.size_bytes,
        message="the push has ended; the stream waits for its next publisher",
        timestamp=write_time(now),
    )


def read_key(request: pb.IngestRequest, headers: Mapping[str, str | bytes]) -> str:
    """Read the stream key, which may come as a bearer token; PermissionDenied if there is none."""
    authorization = str(headers.get(AUTHORIZATION, ""))
    is_bearer = authorization.lower().startswith(_BEARER)
    key = request.stream_key or (authorization[len(_BEARER) :].strip() if is_bearer else "")
    if not 0 < len(key) <= MAX_KEY_CHARACTERS:
        raise PermissionDenied(
            "stream_key is missing or too long: the stream's description names it", reason="WRONG_KEY"
        )
    return key


def _no_incarnation(field: str, value: str) -> InvalidArgument:
    return InvalidArgument(f"{field} is {value[:80]!r}: it must be lower-case hex", field=field)


def read_piece(request: pb.IngestRequest) -> bytes:
    """Read the bytes of one message."""
    data: bytes = request.body.data
    if len(data) > MAX_PIECE_BYTES:
        raise InvalidArgument(
            f"body.data has {len(data)} bytes: a message may hold at most {MAX_PIECE_BYTES}", field="body"
        )
    return data
