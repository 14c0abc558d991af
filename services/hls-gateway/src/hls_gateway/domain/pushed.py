"""An object that somebody else brings: is it the announced one, and is it whole?"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from chassis.errors import InvalidArgument
from hls_gateway.domain.timeline import Timeline

MOST_BYTES = 67_108_864
_SHA256_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedObject:
    """A segment as whoever pushes it describes it.

    Raises:
        InvalidArgument: Size or hash cannot be those of any segment.
    """

    stream_id: str
    incarnation: str
    rendition_id: str
    msn: int
    object_key: str
    size_bytes: int
    sha256: bytes

    def __post_init__(self) -> None:
        if not 0 < self.size_bytes <= MOST_BYTES:
            raise InvalidArgument(
                f"object.size_bytes is {self.size_bytes}: it must be 1 to {MOST_BYTES}",
                reason="INVALID_SIZE",
                field="object.size_bytes",
            )
        if len(self.sha256) != _SHA256_BYTES:
            raise InvalidArgument(
                f"object.sha256 has {len(self.sha256)} bytes: it must have {_SHA256_BYTES}",
                reason="INVALID_HASH",
                field="object.sha256",
            )


def is_announced(timeline: Timeline, pushed: PushedObject) -> bool:
    """Tell whether the segment was announced as it is described; False if it was not announced yet.

    Raises:
        InvalidArgument: It was announced as another one.
    """
    known = timeline.renditions.get(pushed.rendition_id)
    segment = known.segment(pushed.msn) if known else None
    if segment is None:
        return False
    if (segment.object_key, segment.size_bytes) != (pushed.object_key, pushed.size_bytes):
        raise InvalidArgument(
            f"segment {pushed.msn} of {pushed.rendition_id!r} was announced as {segment.object_key!r} with "
            f"{segment.size_bytes} bytes, not as {pushed.object_key!r} with {pushed.size_bytes}",
            reason="NOT_ANNOUNCED_SO",
            field="object.object_key",
        )
    return True


def require_whole(pushed: PushedObject, data: bytes) -> None:
    """Hold what came against the description: the end of a stream proves nothing.

    Raises:
        InvalidArgument: Size or hash differ.
    """
    if len(data) != pushed.size_bytes:
        raise InvalidArgument(
            f"{len(data)} bytes came of the {pushed.size_bytes} that object.size_bytes tells",
            reason="WRONG_SIZE",
            field="data",
        )
    if hashlib.sha256(data).digest() != pushed.sha256:
        raise InvalidArgument("the bytes have another SHA-256 than told", reason="WRONG_HASH", field="data")
