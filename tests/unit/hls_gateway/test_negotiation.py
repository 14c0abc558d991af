"""Conditions, ranges and encodings of RFC 9110."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls_gateway.webserver.negotiation import accepts_gzip, etag_matches, select

ETAG = b'"abc"'


@pytest.mark.parametrize(
    ("header", "status", "start", "length"),
    [
        ("bytes=0-99", 206, 0, 100),
        ("bytes=0-0", 206, 0, 1),
        ("bytes=900-", 206, 900, 100),
        ("bytes=900-5000", 206, 900, 100),
        ("bytes=999-999", 206, 999, 1),
        ("bytes=-100", 206, 900, 100),
        ("bytes=-5000", 206, 0, 1000),
        ("Bytes= 1-2 ", 206, 1, 2),
        ("bytes=1000-", 416, 0, 0),
        ("bytes=1000-2000", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=2-1", 200, 0, 1000),
        ("bytes=-", 200, 0, 1000),
        ("bytes=0-1,5-6", 200, 0, 1000),
        ("bytes=a-b", 200, 0, 1000),
        ("bytes=0-1234567890123456789", 200, 0, 1000),
        ("frames=0-1", 200, 0, 1000),
        ("", 200, 0, 1000),
    ],
)
def test_a_range_selects(header: str, status: int, start: int, length: int) -> None:
    found = select({b"range": header.encode()}, etag=ETAG, size_bytes=1000, is_get=True)
    assert (found.status, found.start, found.length) == (status, start, length)


@given(st.binary(max_size=40), st.integers(0, 5000))
def test_no_range_reaches_outside(header: bytes, size_bytes: int) -> None:
    for prefix in (b"", b"bytes="):
        found = select({b"range": prefix + header}, etag=ETAG, size_bytes=size_bytes, is_get=True)
        assert 0 <= found.start <= found.start + found.length <= size_bytes
        assert (found.status == 206) <= (found.length > 0)


def test_ranges_are_for_get() -> None:
    assert select({b"range": b"bytes=0-1"}, etag=ETAG, size_bytes=9, is_get=False).status == 200


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (b'"abc"', 206),
        (b'"other"', 200),
        (b'W/"abc"', 200),
        (b"Sun, 22 Nov 2026 12:00:00 GMT", 200),
    ],
)
def test_if_range_takes_the_strong_tag_alone(condition: bytes, status: int) -> None:
    headers = {b"range": b"bytes=0-1", b"if-range": condition}
    assert select(headers, etag=ETAG, size_bytes=9, is_get=True).status == status


@pytest.mark.parametrize("condition", [b'"abc"', b'W/"abc"', b'"x", "abc"', b"*", b' "abc" '])
def test_a_known_tag_is_not_modified(condition: bytes) -> None:
    assert etag_matches(condition, ETAG)
    found = select(
        {b"if-none-match": condition, b"range": b"bytes=0-1"}, etag=ETAG, size_bytes=9, is_get=True
    )
    assert found.status == 304


@pytest.mark.parametrize("condition", [b'"x"', b"abc", b"", b'"abc', b'"*"'])
def test_another_tag_is_modified(condition: bytes) -> None:
    assert not etag_matches(condition, ETAG)


@pytest.mark.parametrize(
    ("accepted", "verdict"),
    [
        (b"gzip", True),
        (b"GZIP", True),
        (b"gzip, deflate, br", True),
        (b"br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        (b"*", True),
        (b"gzip;q=0", False),
        (b"gzip;q=0.000, *", False),
        (b"*, gzip;q=0", False),
        (b"*;q=0", False),
        (b"gzip;q=1.2.3", False),
        (b"identity", False),
        (b"br", False),
        (b"gzipped", False),
        (b"", False),
    ],
)
def test_gzip_is_accepted_or_not(accepted: bytes, verdict: bool) -> None:
    assert accepts_gzip(accepted) is verdict
