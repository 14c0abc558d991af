"""Targets of requests: what is served, and what is refused before anything is looked up."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import InvalidArgument, NotFound
from hls_gateway.domain.names import InitName, PlaylistName, SegmentName, SpriteName
from hls_gateway.domain.stream import Container
from hls_gateway.routes import (
    MediaRoute,
    PageRoute,
    PlaylistRoute,
    ProbeRoute,
    Query,
    Route,
    find_query,
    find_route,
)

SEGMENT = SegmentName(msn=7, container=Container.CMAF)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/hls/talk/master.m3u8", PlaylistRoute("talk", PlaylistName("master.m3u8"))),
        ("/hls/talk/thumbnails.vtt", PlaylistRoute("talk", PlaylistName("thumbnails.vtt"))),
        ("/hls/talk/variants/thumbnails/segment_7.jpg", MediaRoute("talk", "thumbnails", SpriteName(msn=7))),
        ("/hls/a.b-C_9/master.m3u8", PlaylistRoute("a.b-C_9", PlaylistName("master.m3u8"))),
        ("http://host:1/hls/talk/master.m3u8", PlaylistRoute("talk", PlaylistName("master.m3u8"))),
        ("/hls/t%61lk/master.m3u8", PlaylistRoute("talk", PlaylistName("master.m3u8"))),
        (
            "/api/v1/recordings/talk/stream/master.m3u8",
            PlaylistRoute("talk", PlaylistName("master.m3u8", is_absolute=True)),
        ),
        (
            "/hls/talk/variants/High/playlist.m3u8",
            PlaylistRoute("talk", PlaylistName("playlist.m3u8", "High")),
        ),
        (
            "/hls/talk/variants/High/iframes.m3u8",
            PlaylistRoute("talk", PlaylistName("iframes.m3u8", "High")),
        ),
        ("/hls/talk/variants/High/segment_7.m4s", MediaRoute("talk", "High", SEGMENT)),
        ("/hls/talk/variants/a/init.mp4", MediaRoute("talk", "a", InitName(file_name="init.mp4"))),
        ("/", PageRoute("/")),
        ("/watch/talk", PageRoute("/watch/")),
        ("/assets/js/api/client.js", PageRoute("/assets/js/api/client.js")),
        ("/healthz", ProbeRoute("healthz")),
        ("/readyz", ProbeRoute("readyz")),
    ],
)
def test_a_path_has_its_route(path: str, route: Route) -> None:
    assert find_route(path.encode()) == route
    assert find_route(path.encode()) == route


@pytest.mark.parametrize(
    ("query", "incarnation"),
    [
        ("", ""),
        ("i=3f2a9c01", "3f2a9c01"),
        ("i=3f2a&_HLS_msn=4", "3f2a"),
        ("CMCD=bl%3D1200%2Cbr%3D4000&i=3f2a", "3f2a"),
        ("x=i&ii=3f2a&%69=3f2a", ""),
        ("CMCD=" + "a" * 300 + "&i=3f2a", "3f2a"),
        ("i=3f2a&CMCD=bl%3D1200", "3f2a"),
        ("x=1&CMCD=bl%3D1200&i=3f2a", "3f2a"),
        ("XCMCD=1&i=3f2a", "3f2a"),
        ("CMCD=i=4b", ""),
    ],
)
def test_a_query_names_an_incarnation_or_none(query: str, incarnation: str) -> None:
    assert find_query(query.encode()).incarnation == incarnation


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", Query()),
        ("_HLS_msn=12", Query(msn=12)),
        ("i=3f2a&_HLS_msn=0&_HLS_part=3", Query(incarnation="3f2a", msn=0, part=3)),
        ("_HLS_part=3&_HLS_msn=7&_HLS_skip=YES", Query(msn=7, part=3, skip=True)),
        ("_HLS_skip=v2", Query(skip=True)),
        ("_HLS_skip=NO&_HLS_push=1", Query()),
        ("_HLS_msn=7&_HLS_msn=x", Query(msn=7)),
    ],
)
def test_a_query_gives_directives(query: str, asked: Query) -> None:
    assert find_query(query.encode()) == asked


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("_HLS_part=0", "_HLS_part needs _HLS_msn"),
        ("_HLS_msn=", "_HLS_msn is '': it must be a whole number"),
        ("_HLS_msn=-1", "_HLS_msn is '-1'"),
        ("_HLS_msn=1.5", "_HLS_msn is '1.5'"),
        ("_HLS_msn=" + "9" * 16, "at most 15 digits"),
        ("_HLS_msn=\u0661", "_HLS_msn is"),
        ("_HLS_msn=1&_HLS_part=x", "_HLS_part is 'x'"),
    ],
)
def test_a_malformed_directive_is_refused(query: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        find_query(query.encode())


@pytest.mark.parametrize("value", ["", "../x", "XYZ", "3F2A", "a" * 33, "\u00e4", "3f%32a"])
def test_a_malformed_incarnation_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgument, match="incarnation"):
        find_query(f"i={value}".encode())


@pytest.mark.parametrize(
    "target",
    [
        "/hls/.hidden/master.m3u8",
        "/hls//master.m3u8",
        "/hls/" + "a" * 64 + "/master.m3u8",
        "/hls/a%20b/master.m3u8",
        "/hls/a%0Ab/master.m3u8",
        "/hls/a%00b/master.m3u8",
        "/hls/%C3%A4/master.m3u8",
        "/hls/a%2Fb/master.m3u8",
        "/hls/a%5Cb/master.m3u8",
        "/hls/../master.m3u8",
        "/hls/%2e%2e/master.m3u8",
        "/hls/%zz/master.m3u8",
        "/hls/a%/master.m3u8",
        "/hls/streams/master.m3u8",
        "/hls/talk/variants/../playlist.m3u8",
        "/hls/talk/variants/%FF/playlist.m3u8",
        "/watch/%2e%2e",
        "/assets/../config.py",
        "/assets/%2e%2e/config.py",
        "/assets/..%2fconfig.py",
        "/assets/a\\..\\b",
        "/assets/a%01",
        "/hls/\u00e4/master.m3u8",
    ],
)
def test_a_malformed_target_is_refused(target: str) -> None:
    with pytest.raises(InvalidArgument):
        find_route(target.encode("latin-1"))


@pytest.mark.parametrize(
    "target",
    [
        "/hls", "/hls/talk", "/hls/talk/", "/hls/talk/playlist.m3u8", "/hls/talk/variants/High/",
        "/hls/talk/variants/High/secret.txt", "/hls/talk/variants/High/segment_1.ts/x", "/watch",
        "/favicon.ico", "/api/v1/recordings/talk", "//", "*", "healthz/x", "/HEALTHZ",
    ],
)  # fmt: skip
def test_what_is_not_served_is_not_found(target: str) -> None:
    with pytest.raises(NotFound):
        find_route(target.encode())


@given(st.binary(max_size=300))
def test_no_bytes_break_the_parser(target: bytes) -> None:
    with suppress(InvalidArgument, NotFound):
        find_route(target)
    with suppress(InvalidArgument):
        find_query(target)


@given(
    st.lists(st.sampled_from(["hls", "talk", "variants", "..", "%2e", "%2f", "a", "assets", "i=", "?", "%"]))
)
def test_no_route_leads_out_of_its_folder(parts: list[str]) -> None:
    try:
        route = find_route(("/" + "/".join(parts)).encode())
    except (InvalidArgument, NotFound):
        return
    assert not isinstance(route, PageRoute) or ".." not in route.path.split("/")
