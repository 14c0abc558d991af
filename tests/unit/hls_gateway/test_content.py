"""Content: rendered once, answered in whatever way it is asked for."""

from __future__ import annotations

import gzip

from hls_gateway.webserver.content import Content
from hls_gateway.webserver.messages import Request, Response

TEXT = b"#EXTM3U\n" + b"#EXTINF:4.0,\nsegment.m4s\n" * 100
HEADERS = (("content-type", "text/x"), ("cache-control", "max-age=2"), ("access-control-allow-origin", "*"))


def get(content: Content, method: bytes = b"GET", **headers: str) -> Response:
    named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return content.answer(Request(method, b"/", named, keep_alive=True))


def fields(response: Response) -> dict[str, str]:
    lines = response.head.decode().rstrip().split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in lines)


def test_plain_and_gzip_are_two_representations_of_one_text() -> None:
    content = Content(TEXT, headers=HEADERS, compress=True)
    plain, packed = get(content), get(content, accept_encoding="gzip")
    assert bytes(plain.body) == gzip.decompress(packed.body) == TEXT
    assert fields(packed)["content-encoding"] == "gzip"
    assert "content-encoding" not in fields(plain)
    assert fields(plain)["vary"] == fields(packed)["vary"] == "accept-encoding"
    assert fields(plain)["etag"] != fields(packed)["etag"]
    for response in (plain, packed):
        assert int(fields(response)["content-length"]) == len(response.body)


def test_each_representation_is_unchanged_by_its_own_tag() -> None:
    content = Content(TEXT, headers=HEADERS, compress=True)
    for encoding in ("identity", "gzip"):
        etag = fields(get(content, accept_encoding=encoding))["etag"]
        again = get(content, accept_encoding=encoding, if_none_match=etag)
        assert (again.status, bytes(again.body)) == (304, b"")
        assert fields(again)["etag"] == etag
        assert fields(again).keys() >= {"cache-control", "vary", "access-control-allow-origin"}
        assert "content-length" not in fields(again)


def test_a_range_is_one_of_the_plain_bytes() -> None:
    content = Content(TEXT, headers=HEADERS, compress=True)
    part = get(content, accept_encoding="gzip", range="bytes=8-19")
    assert (part.status, bytes(part.body)) == (206, TEXT[8:20])
    assert fields(part)["content-range"] == f"bytes 8-19/{len(TEXT)}"
    beyond = get(content, range="bytes=99999-")
    assert (beyond.status, bytes(beyond.body)) == (416, b"")
    assert fields(beyond)["content-range"] == f"bytes */{len(TEXT)}"


def test_what_gzip_does_not_shrink_stays_plain() -> None:
    for body in (b"short", bytes(range(256)) * 2):
        content = Content(body, headers=HEADERS, compress=len(body) < 10)
        assert "content-encoding" not in fields(get(content, accept_encoding="gzip"))


def test_equal_bytes_have_equal_tags_and_others_do_not() -> None:
    tags = [fields(get(Content(body, headers=HEADERS, compress=True)))["etag"] for body in (b"a", b"a", b"b")]
    assert tags[0] == tags[1] != tags[2]


def test_empty_content_is_answered() -> None:
    content = Content(b"", headers=HEADERS, compress=True)
    assert get(content).status == 200
    assert get(content, range="bytes=0-").status == 416
