"""A broken upload is never taken for a whole one."""

from __future__ import annotations

import hashlib

import pytest

from chassis.errors import InvalidArgument
from transcoder.domain.wholeness import Arrived, Promise, join_promises, require_size, require_whole

HASH = hashlib.sha256(b"whole").hexdigest()


def arrived(size_bytes: int = 5, *, sha256: str = HASH, has_last: bool = False) -> Arrived:
    return Arrived(size_bytes=size_bytes, sha256=sha256, has_last=has_last)


@pytest.mark.parametrize(
    ("promise", "came"),
    [
        (Promise(size_bytes=5), arrived()),
        (Promise(sha256=HASH), arrived()),
        (Promise(size_bytes=5, sha256=HASH), arrived(has_last=True)),
        (Promise(), arrived(has_last=True)),
    ],
)
def test_what_was_promised_and_came_is_whole(promise: Promise, came: Arrived) -> None:
    require_whole(promise, came)


@pytest.mark.parametrize(
    ("promise", "came", "reason"),
    [
        (Promise(size_bytes=6), arrived(), "UPLOAD_INCOMPLETE"),
        (Promise(size_bytes=6), arrived(has_last=True), "UPLOAD_INCOMPLETE"),
        (Promise(size_bytes=4), arrived(), "UPLOAD_INCOMPLETE"),
        (Promise(sha256="0" * 64), arrived(has_last=True), "SHA256_DIFFERS"),
        (Promise(size_bytes=5, sha256="0" * 64), arrived(), "SHA256_DIFFERS"),
        (Promise(), arrived(), "LENGTH_REQUIRED"),
        (Promise(), arrived(0, has_last=True), "EMPTY_SOURCE"),
        (Promise(size_bytes=0), arrived(0), "EMPTY_SOURCE"),
    ],
)
def test_everything_else_is_refused_with_its_reason(promise: Promise, came: Arrived, reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        require_whole(promise, came)
    assert caught.value.reason == reason


def test_header_and_field_may_both_tell_the_length_if_they_agree() -> None:
    assert join_promises(5, 5, "").size_bytes == 5
    assert join_promises(5, None, "").size_bytes == 5
    assert join_promises(None, 5, "").size_bytes == 5
    assert join_promises(None, None, "").is_empty
    with pytest.raises(InvalidArgument, match="declared_size_bytes is 6"):
        join_promises(5, 6, "")


def test_the_limit_is_inclusive() -> None:
    require_size(10, 10)
    with pytest.raises(InvalidArgument, match="at most 10"):
        require_size(11, 10)
