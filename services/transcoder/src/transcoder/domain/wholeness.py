"""Tell a whole upload from one that broke off."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.errors import InvalidArgument


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What the sender said beforehand about the bytes."""

    size_bytes: int | None = None
    sha256: str = ""

    @property
    def is_empty(self) -> bool:
        return self.size_bytes is None and not self.sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """What came."""

    size_bytes: int
    sha256: str
    has_last: bool
    """The sender marked its final message."""


def join_promises(header_size_bytes: int | None, declared_size_bytes: int | None, sha256: str) -> Promise:
    """Take the length from the request's header or its fields; InvalidArgument if the two differ."""
    sizes = {size for size in (header_size_bytes, declared_size_bytes) if size is not None}
    if len(sizes) > 1:
        raise InvalidArgument(
            f"declared_size_bytes is {declared_size_bytes}, but the request's content-length "
            f"{header_size_bytes}: give one, or the same twice",
            field="declared_size_bytes",
        )
    return Promise(size_bytes=sizes.pop() if sizes else None, sha256=sha256)


def require_size(size_bytes: int, limit_bytes: int) -> None:
    """Raise InvalidArgument if a source is larger than the limit."""
    if size_bytes > limit_bytes:
        raise InvalidArgument(
            f"the source has {size_bytes} bytes or more: at most {limit_bytes} are taken",
            reason="SOURCE_TOO_LARGE",
            limit_bytes=str(limit_bytes),
        )


def require_whole(promise: Promise, arrived: Arrived) -> None:
    """Raise InvalidArgument unless what came is what was promised, and is anything at all."""
    if promise.size_bytes not in {None, arrived.size_bytes}:
        raise InvalidArgument(
            f"{arrived.size_bytes} bytes came, but {promise.size_bytes} were declared: the upload broke off; "
            "send it again",
            reason="UPLOAD_INCOMPLETE",
        )
    if promise.sha256 and promise.sha256 != arrived.sha256:
        raise InvalidArgument(
            f"sha256 is {promise.sha256}, but that of the {arrived.size_bytes} bytes that came is "
            f"{arrived.sha256}: send them again",
            reason="SHA256_DIFFERS",
            field="sha256",
        )
    if promise.is_empty and not arrived.has_last:
        raise undeclared()
    if arrived.size_bytes == 0:
        raise InvalidArgument("the source is empty: send its bytes", reason="EMPTY_SOURCE")


def undeclared() -> InvalidArgument:
    """Refuse an upload of which nobody could tell whether it is whole."""
    return InvalidArgument(
        "the upload does not tell its length, so a broken one would look whole: send content-length (not "
        "chunked), declared_size_bytes or sha256; or, over gRPC, last in the final message",
        reason="LENGTH_REQUIRED",
    )
