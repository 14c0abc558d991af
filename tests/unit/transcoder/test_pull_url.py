from __future__ import annotations

import pytest

from chassis.errors import InvalidArgument
from transcoder.domain.pull_url import parse_pull_url


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "concat:a|b",
        "http:///x",
        "http://h:99999/",
        "srt://h:1?mode=listener",
        "srt://h:1?mode=caller&mode=listener",
        "x",
        "rtsp://h/a\noption protocol_whitelist file",
        "rtsp://h/a b",
        f"rtsp://h/{'a' * 2048}",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidArgument, match="pull_url must"):
        parse_pull_url(url)


@pytest.mark.parametrize(
    ("url", "moved"),
    [
        ("srt://camera:9?streamid=a%2Fb&passphrase=p", "srt://192.0.2.1:9?streamid=a%2Fb&passphrase=p"),
        ("rtsp://me:p%40ss@camera/a?b=c", "rtsp://me:p%40ss@192.0.2.1:554/a?b=c"),
        ("rtmp://camera/live/key", "rtmp://192.0.2.1:1935/live/key"),
    ],
)
def test_only_the_host_gives_way_to_an_address(url: str, moved: str) -> None:
    parsed = parse_pull_url(url)
    assert parsed.at("192.0.2.1", parsed.port) == moved


def test_an_address_of_the_sixth_version_stands_in_brackets() -> None:
    assert parse_pull_url("srt://camera").at("2001:db8::1", 7) == "srt://[2001:db8::1]:7"


@pytest.mark.parametrize(
    ("path", "application"),
    [("/live/key", "live"), ("/live/me/key?a=b", "live/me"), ("/live/me/key/more", "live/me"), ("/key", "")],
)
def test_an_rtmp_server_hears_the_name_of_its_host(path: str, application: str) -> None:
    parsed = parse_pull_url(f"rtmps://me:pass@camera:444{path}")
    assert parsed.rtmp_application() == f"rtmps://camera:444/{application}"
