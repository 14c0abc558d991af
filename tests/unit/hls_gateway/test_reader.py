"""Reading requests: any split of the bytes gives the same requests, and what is malformed is turned away."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hls_gateway.webserver.limits import Limits
from hls_gateway.webserver.messages import Request
from hls_gateway.webserver.reader import RequestReader

LIMITS = Limits(target_bytes=200, head_bytes=1000, body_bytes=500, pipelined_count=8)


def read(*pieces: bytes, limits: Limits = LIMITS) -> tuple[list[Request], RequestReader]:
    reader = RequestReader(limits)
    return [request for piece in pieces for request in reader.feed(piece)], reader


def refusal(*pieces: bytes) -> tuple[int, str] | None:
    found = read(*pieces)[1].refusal
    return (found.status.value, found.reason) if found else None


names = st.sampled_from(["accept", "range", "origin", "x-1", "if-none-match"])
values = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
targets = st.text(st.sampled_from("/abc.?=&%20"), max_size=40).map(lambda tail: "/" + tail)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    method = draw(st.sampled_from(["GET", "HEAD", "OPTIONS", "POST"]))
    body = draw(st.binary(max_size=60)) if method == "POST" else b""
    headers = {"host": "h"} | draw(st.dictionaries(names, values, max_size=4))
    if body and draw(st.booleans()):
        headers["transfer-encoding"] = "chunked"
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    elif body:
        headers["content-length"] = str(len(body))
    lines = [f"{method} {draw(targets)} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


@settings(max_examples=60)
@given(st.lists(messages(), min_size=1, max_size=5), st.data())
def test_any_split_gives_the_same_requests(sent: list[bytes], data: st.DataObject) -> None:
    wire = b"".join(sent)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(wire)), max_size=10)) | {0, len(wire)})
    pieces = [wire[start:end] for start, end in pairwise(cuts)]
    whole, reader = read(wire)
    split, split_reader = read(*pieces)
    assert split == whole
    assert len(whole) == len(sent)
    assert reader.refusal is split_reader.refusal is None
    assert not reader.in_request
    assert not split_reader.in_request


@given(st.lists(st.binary(max_size=80), max_size=6))
def test_no_bytes_break_the_reader(pieces: list[bytes]) -> None:
    requests, reader = read(*pieces)
    assert all(request.target for request in requests)
    assert reader.refusal is None or reader.finished


@given(messages(), st.integers(0, 300), st.binary(min_size=1, max_size=3))
def test_damage_is_refused_or_read_but_never_breaks(sent: bytes, at: int, damage: bytes) -> None:
    read(sent[:at] + damage + sent[at + len(damage) :])


A, B = (b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % name for name in (b"a", b"b"))


@given(st.lists(st.sampled_from([A, B, A + B, A[:9], A[9:], A[:2], A[2:], b"\r\n", b"", b"x"]), max_size=12))
def test_what_is_remembered_is_what_would_be_read(pieces: list[bytes]) -> None:
    """Byte by byte nothing is ever remembered."""
    remembering, reader = read(*pieces, limits=Limits())
    plain, plain_reader = read(*(bytes([byte]) for byte in b"".join(pieces)), limits=Limits())
    assert remembering == plain
    assert reader.finished == plain_reader.finished
    assert (reader.refusal is None) == (plain_reader.refusal is None)


USUAL = b'GET /hls/a.m3u8?CMCD=bl%3D1 HTTP/1.1\r\nHost: x\r\nUser-Agent: a b\r\nX-Id: 7,"8"\r\n\r\n'
MISCHIEF = st.one_of(
    st.binary(min_size=1, max_size=2),
    st.sampled_from(
        [b" ", b"\t", b":", b"#", b"\n", b"\r", b"\r\n", b"\r\n ", b"\x00", b"\x7f", b"\xff", b"\r\nX:"]
    ),
    st.sampled_from([b"\r\nHost: y", b"\r\nContent-Length: 4", b"\r\nConnection: close", b"\r\nExpect: 1"]),
    st.just(b"\r\nTransfer-Encoding: chunked"),
)


@settings(max_examples=500)
@given(st.integers(0, len(USUAL)), st.integers(0, 3), MISCHIEF)
def test_what_is_read_at_a_glance_is_what_the_parser_reads(at: int, lost: int, damage: bytes) -> None:
    """Byte by byte nothing is read at a glance; a reader that read this before remembers it."""
    damaged = USUAL[:at] + damage + USUAL[at + lost :]
    parsed, parser = read(*(bytes([byte]) for byte in damaged), limits=Limits())
    for before in ((), (USUAL,)):
        requests, reader = read(*before, damaged, limits=Limits())
        assert requests[len(before) :] == parsed
        assert (reader.finished, reader.in_request) == (parser.finished, parser.in_request)
        assert (reader.refusal is None) == (parser.refusal is None)


@pytest.mark.parametrize("cut", range(1, len(USUAL)))
def test_a_usual_head_may_come_in_two_pieces(cut: int) -> None:
    for before in ((), (USUAL,)):
        requests, _ = read(*before, USUAL[:cut], USUAL[cut:])
        assert requests == read(*before, USUAL)[0]


def test_a_usual_head_beyond_the_limits_is_refused() -> None:
    assert refusal(USUAL.replace(b"a.m3u8", b"a" * 200)) == (414, "TARGET_TOO_LONG")
    assert refusal(USUAL.replace(b"a b", b"a" * 1000)) == (431, "HEAD_TOO_LARGE")


def test_empty_lines_between_usual_requests_are_no_large_head() -> None:
    """RFC 9112 2.2: a server should ignore them."""
    asked = [piece for number in range(600) for piece in (USUAL.replace(b"a.m3u8", b"%d" % number), b"\r\n")]
    requests, reader = read(*asked)
    assert len(requests) == 600
    assert reader.refusal is None


def test_a_request_is_read_whole() -> None:
    (request,), reader = read(b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nRaNgE: bytes=0-1\r\nX: 1\r\nX: 2\r\n\r\n")
    assert request == Request(
        b"GET", b"/a?b=c", {b"host": b"x", b"range": b"bytes=0-1", b"x": b"1, 2"}, keep_alive=True
    )
    assert not reader.finished


@pytest.mark.parametrize(
    "wire",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: x, Close\r\n\r\n",
    ],
)
def test_the_last_request_of_a_connection_says_so(wire: bytes) -> None:
    (request,), reader = read(wire, b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
    assert not request.keep_alive
    assert reader.finished
    assert reader.refusal is None


def test_an_upgrade_is_not_taken() -> None:
    wire = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\n"
    (request,), reader = read(wire)
    assert request.target == b"/"
    assert reader.finished
    assert reader.refusal is None


@pytest.mark.parametrize(
    "wire",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"NOPE / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\x00y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\rX: y\r\n\r\n",
        b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_malformed_or_could_smuggle_is_400(wire: bytes) -> None:
    requests, reader = read(wire)
    assert requests == []
    assert reader.refusal
    assert reader.refusal.status == 400


@pytest.mark.parametrize("version", [b"0.9", b"2.0"])
def test_another_version_is_505(version: bytes) -> None:
    assert refusal(b"GET /\r\n\r\n") == (505, "HTTP_VERSION")
    assert refusal(b"GET / HTTP/" + version + b"\r\nHost: x\r\nConnection: keep-alive\r\n\r\n") == (
        505,
        "HTTP_VERSION",
    )


def test_a_long_target_is_414_as_soon_as_it_is_too_long() -> None:
    assert refusal(b"GET /" + b"a" * 200) == (414, "TARGET_TOO_LONG")
    assert refusal(b"GET /", *[b"a"] * 201) == (414, "TARGET_TOO_LONG")
    assert refusal(b"GET /" + b"a" * 199 + b" HTTP/1.1\r\nHost: x\r\n\r\n") is None


def test_a_large_head_is_431() -> None:
    many = b"".join(b"x-%03d: %s\r\n" % (number, b"v" * 20) for number in range(50))
    assert refusal(b"GET / HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n") == (431, "HEAD_TOO_LARGE")
    # One header that never ends comes out of the parser at no time, but is bounded too.
    assert refusal(b"GET / HTTP/1.1\r\nx: ", *[b"v" * 100] * 11) == (431, "HEAD_TOO_LARGE")


def test_a_large_body_is_413_as_soon_as_it_is_too_large() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
    assert refusal(head, b"b" * 501) == (413, "BODY_TOO_LARGE")
    assert refusal(head, b"b" * 500) is None
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert refusal(chunked, *[b"64\r\n" + b"b" * 100 + b"\r\n"] * 6) == (413, "BODY_TOO_LARGE")


def test_what_was_asked_before_a_malformed_request_is_read() -> None:
    requests, reader = read(
        b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n"
    )
    assert [request.target for request in requests] == [b"/a", b"/b"]
    assert reader.refusal
    assert reader.finished


def test_more_pipelined_requests_than_the_limit_end_the_connection() -> None:
    requests, reader = read(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
    assert len(requests) == 8
    assert reader.finished
    assert reader.refusal is None
