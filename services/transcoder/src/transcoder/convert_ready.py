"""Contracts of ready segments to values of ours and back, and the validation of their requests."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from google.protobuf import json_format
from weir.transcoder.v1 import transcoder_pb2 as pb

from chassis.errors import InvalidArgument
from chassis.layout import require_id
from transcoder.convert import read_length_header, write_time
from transcoder.convert_live import read_key, read_piece
from transcoder.domain.ready_segment import MAX_NUMBER
from transcoder.domain.wholeness import Promise, undeclared
from transcoder.ready.attempt import Offer, Status, Taken
from transcoder.ready.ingest import ReadyClaim
from transcoder.service_receive import Limits, Receiver, UploadPiece

_JSON = "application/json"
# Base64 takes four bytes for three; the other fields take less than this.
_JSON_ROOM_BYTES = 4096
# A document is flat, and base64 has none of these.
_NO_DOCUMENT = (ValueError, TypeError, OverflowError, RecursionError, AttributeError, json_format.ParseError)
_JSON_MARKS, _MOST_JSON_MARKS = (b"[", b"{", b","), 32


def is_ready_segment(request: pb.IngestRequest) -> bool:
    """Tell a ready segment from a push, by the first message."""
    return request.HasField("sequence_num") or bool(request.variant_id) or _is_json(request)


def read_ready_claim(request: pb.IngestRequest, headers: Mapping[str, str | bytes]) -> ReadyClaim:
    """Validate who sends a segment, and to which stream; and what stands in the query, if it does."""
    if not _is_json(request):
        _require_query(request)
    return ReadyClaim(
        stream_id=require_id(request.stream_id, field="stream_id"),
        stream_key=read_key(request, headers),
    )


def read_promise(length_header: str, *, is_rest: bool) -> Promise:
    """Read how long the body is to be; REST has no other way to tell that it is whole."""
    promise = Promise(size_bytes=read_length_header(length_header))
    if promise.is_empty and is_rest:
        raise undeclared()
    return promise


async def read_offer(
    first: pb.IngestRequest,
    rest: AsyncIterator[pb.IngestRequest],
    promise: Promise,
    limits: Limits,
) -> Offer:
    """Read a whole segment, in either form.

    Raises:
        InvalidArgument: It is too large, broke off, or a field is missing or outside its range.
        DeadlineExceeded: Nothing came for too long.
    """
    if not _is_json(first):
        data, sha256 = await _read_body(first, rest, promise, limits)
        return Offer(variant_id=first.variant_id, number=first.sequence_num, data=data, sha256=sha256)
    base64_bytes = limits.size_bytes * 4 // 3 + _JSON_ROOM_BYTES
    body, _ = await _read_body(first, rest, promise, replace(limits, size_bytes=base64_bytes))
    # In a thread: what takes long for megabytes must not hold everything else up.
    return await asyncio.to_thread(_read_document, body, limits.size_bytes)


def write_taken(taken: Taken, now: datetime) -> pb.IngestResponse:
    """Write what became of a segment."""
    segment = taken.segment
    state = "it is announced" if taken.is_announced else "it is stored, and will be announced in its turn"
    words = (
        "these bytes were there already" if taken.status is Status.DUPLICATE else "the segment was taken in"
    )
    return pb.IngestResponse(
        status=taken.status,
        stream_id=taken.stream_id,
        variant_id=segment.variant_id,
        sequence_num=segment.number,
        duration=segment.duration_s,
        size_bytes=taken.size_bytes,
        message=f"{words}; {state}",
        timestamp=write_time(now),
    )


def _is_json(request: pb.IngestRequest) -> bool:
    media_type: str = request.body.content_type
    return media_type.partition(";")[0].strip().lower() == _JSON


async def _read_body(
    first: pb.IngestRequest, rest: AsyncIterator[pb.IngestRequest], promise: Promise, limits: Limits
) -> tuple[bytes, str]:
    """Read a whole body, and its SHA-256."""
    receiver = Receiver(promise, limits)
    body = b"".join([block async for block in receiver.blocks(_pieces(first, rest))])
    return body, receiver.sha256


async def _pieces(
    first: pb.IngestRequest, rest: AsyncIterator[pb.IngestRequest]
) -> AsyncIterator[UploadPiece]:
    yield UploadPiece(data=read_piece(first), last=first.last)
    async for request in rest:
        yield UploadPiece(data=read_piece(request), last=request.last)


def _require_query(first: pb.IngestRequest) -> None:
    if not first.HasField("sequence_num"):
        raise _missing("sequence_num")
    if first.HasField("duration"):
        _require_duration(first.duration)
    _require_place(first.variant_id, first.sequence_num)


def _read_document(body: bytes, limit_bytes: int) -> Offer:
    document = pb.IngestDocument()
    if sum(map(body.count, _JSON_MARKS)) > _MOST_JSON_MARKS:  # else it would be built before it is refused
        raise _malformed("it holds lists, objects or fields that no such document has")
    try:
        fields: dict[str, Any] = json.loads(body)
        json_format.ParseDict(fields, document)
    except _NO_DOCUMENT as error:
        raise _malformed(str(error)[:200]) from error
    for name in ("sequence_num", "data"):
        if name not in fields:
            raise _missing(name)
    if document.HasField("duration"):
        _require_duration(document.duration)
    if len(document.data) > limit_bytes:
        raise InvalidArgument(
            f"data has {len(document.data)} bytes: at most {limit_bytes} are taken",
            reason="SOURCE_TOO_LARGE",
            field="data",
        )
    _require_place(document.variant_id, document.sequence_num)
    return Offer(
        variant_id=document.variant_id,
        number=document.sequence_num,
        data=document.data,
        sha256=hashlib.sha256(document.data).hexdigest(),
    )


def _require_place(variant_id: str, number: int) -> None:
    if not variant_id:
        raise _missing("variant_id")
    require_id(variant_id, field="variant_id")
    if not 0 <= number <= MAX_NUMBER:
        raise InvalidArgument(
            f"sequence_num is {number}: it must lie from 0 to {MAX_NUMBER}", field="sequence_num"
        )


def _require_duration(duration_s: float) -> None:
    """Hold what the sender says against reason; the probe knows better how long it is."""
    if not 0 < duration_s < float("inf"):
        raise InvalidArgument(f"duration is {duration_s}: it must be greater than 0", field="duration")


def _malformed(why: str) -> InvalidArgument:
    return InvalidArgument(
        f"the body is no document of variant_id, sequence_num, duration and data: {why}",
        reason="MALFORMED_DOCUMENT",
        field="body",
    )


def _missing(name: str) -> InvalidArgument:
    return InvalidArgument(f"{name} is missing: a ready segment must have it", field=name)
