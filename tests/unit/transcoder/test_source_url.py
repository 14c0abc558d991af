"""Which URLs and addresses sources are fetched from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from chassis.errors import InvalidArgument
from transcoder.domain.source_url import follow_redirect, is_public, literal_address, parse_source_url

FILM = "http://media.example:8080/a/film.mp4"


@pytest.mark.parametrize("url", [FILM, "https://media.example/film.mp4?x=1#y", "http://[2606:4700::1]/f"])
def test_http_urls_of_hosts_are_taken(url: str) -> None:
    assert parse_source_url(url).hostname


@pytest.mark.parametrize(
    "url",
    [
        "",
        "film.mp4",
        "file:///etc/passwd",
        "ftp://media.example/film.mp4",
        "concat:http://media.example/a",
        "http://",
        "http:///film.mp4",
        "http://user:secret@media.example/f",
        "http://@media.example/f",
        "http://media.example:99999/f",
        "http://media.example:0/f",
        "http://media.example/a b",
        "http://media.example/\r\nx: y",
        "http://media.example/\u00e4",
        "http://[::1/f",
        "http://[fe80::1%25eth0]/f",
        "http://a..b/f",
        "http://.media.example/f",
        "http://media.example../f",
        "http://-media.example/f",
        "http://" + "a" * 64 + ".example/f",
        "http://" + "a." * 130 + "example/f",
        "http://xn--/f",
        "http://media%2eexample/f",
        "http://%31%32%37.0.0.1/f",
        "http://127.0.0.1./f",
        "http://127.1/f",
        "http://0x7f.1/f",
        "http://0177.0.0.1/f",
        "http://media.example/" + "x" * 2048,
    ],
)
def test_other_urls_are_refused_by_name(url: str) -> None:
    with pytest.raises(InvalidArgument, match="source_url is"):
        parse_source_url(url)


@given(st.text(max_size=80))
def test_whatever_the_text_the_answer_is_a_url_or_a_refusal(text: str) -> None:
    try:
        parts = parse_source_url(text)
    except InvalidArgument:
        return
    assert parts.scheme in {"http", "https"}


@given(st.text(alphabet="axn-_.%01f:[]\u00df", min_size=1, max_size=70))
def test_any_host_that_is_taken_can_be_looked_up(host: str) -> None:
    try:
        name = parse_source_url(f"http://{host}/film").hostname or ""
    except InvalidArgument:
        return
    assert literal_address(name) or name.encode("idna")
    assert URL(f"http://{host}/film").host


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700:4700::1111"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - refused
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::ffff:93.184.216.34",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "2001:0:4136:e378::1",
    ],
)
def test_all_others_are_not(address: str) -> None:
    assert not is_public(address)


def test_a_name_is_not_a_literal_address() -> None:
    assert literal_address("media.example") is None
    assert literal_address("::1") == "::1"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/b.mp4", "http://media.example:8080/b.mp4"),
        ("b.mp4?x", "http://media.example:8080/a/b.mp4?x"),
        ("http://media.example:8080/c", "http://media.example:8080/c"),
    ],
)
def test_redirects_within_the_host_are_followed(location: str, target: str) -> None:
    assert follow_redirect(FILM, location) == target


def test_a_redirect_to_tls_is_followed() -> None:
    assert follow_redirect("http://media.example/f", "https://media.example/f")


@pytest.mark.parametrize(
    ("url", "location"),
    [
        (FILM, "http://other.example:8080/f"),
        (FILM, "//other.example/f"),
        (FILM, "http://media.example/f"),
        (FILM, "http://127.0.0.1/f"),
        (FILM, "http://[x"),
        (FILM, "//["),
        (FILM, "file:///etc/passwd"),
        ("https://media.example/f", "http://media.example/f"),
    ],
)
def test_redirects_elsewhere_are_refused(url: str, location: str) -> None:
    with pytest.raises(InvalidArgument):
        follow_redirect(url, location)
