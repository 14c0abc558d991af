"""Names of media, and the objects that they stand for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import NotFound
from hls_gateway.domain.media import find_media
from hls_gateway.domain.names import (
    InitName,
    MediaName,
    PartName,
    SegmentName,
    init_uri,
    is_incarnation,
    parse_media_name,
    part_uri,
    segment_uri,
)
from hls_gateway.domain.stream import Container
from support.playlists import (
    a_gap,
    a_live_stream,
    a_part,
    a_segment,
    a_stream,
    a_ts_segment,
    a_video,
    a_whole,
    an_audio,
    timeline_of,
)

TIMELINE = timeline_of(
    a_video(),
    an_audio(),
    a_segment(0),
    a_gap(1),
    a_segment(2, init_key="streams/talk/3f2a9c01/High/init-99.mp4", init_size_bytes=800),
    a_segment(0, "audio"),
)


@given(st.integers(0, 10**15 - 1), st.sampled_from(Container))
def test_a_segments_name_is_read_back(msn: int, container: Container) -> None:
    uri = segment_uri(a_stream(container=container), a_segment(msn))
    assert parse_media_name(uri.partition("?")[0]) == SegmentName(msn=msn, container=container)


@given(st.integers(0, 10**15 - 1), st.integers(0, 10**9 - 1), st.sampled_from(Container))
def test_a_parts_name_is_read_back(msn: int, part: int, container: Container) -> None:
    uri = part_uri(a_stream(container=container), msn, part)
    assert parse_media_name(uri.partition("?")[0]) == PartName(msn=msn, part=part, container=container)


def test_an_inits_name_is_read_back() -> None:
    uri = init_uri(a_stream(), "streams/talk/3f2a9c01/High/init-11223344.mp4")
    assert uri == "init-11223344.mp4?i=3f2a9c01"
    assert parse_media_name("init-11223344.mp4") == InitName(file_name="init-11223344.mp4")


@pytest.mark.parametrize(
    "text",
    [
        "", "segment_.ts", "segment_-1.ts", "segment_01.ts", "segment_1.mp4", "segment_1.ts\n",
        "segment_1.tsx", "xsegment_1.ts", "segment_1234567890123456.ts", "segment_\u0661.ts",
        "part_1.m4s", "part_01_0.m4s", "part_1_00.m4s", "part_1_-1.m4s", "part_1_1234567890.m4s",
        "part_1_2.mp4", "part_.m4s",
        "init.mp4.mp4", "initmp4", "init/../x.mp4", "init-" + "a" * 90 + ".mp4", "playlist.m3u8",
    ],
)  # fmt: skip
def test_other_names_are_none(text: str) -> None:
    assert parse_media_name(text) is None


@given(st.text(max_size=40))
def test_no_text_breaks_the_parser(text: str) -> None:
    parse_media_name(text)
    is_incarnation(text)


def segment(msn: int, container: Container = Container.CMAF) -> SegmentName:
    return SegmentName(msn=msn, container=container)


@pytest.mark.parametrize(
    ("rendition_id", "name", "object_name", "content_type"),
    [
        ("High", segment(0), "00000000-0a1b2c3d.m4s", "video/mp4"),
        ("audio", segment(0), "00000000-0a1b2c3d.m4s", "audio/mp4"),
        ("High", InitName(file_name="init-11223344.mp4"), "init-11223344.mp4", "video/mp4"),
        ("High", InitName(file_name="init.mp4"), "init-99.mp4", "video/mp4"),
        ("audio", InitName(file_name="init.mp4"), "init-11223344.mp4", "audio/mp4"),
    ],
)  # fmt: skip
def test_a_name_stands_for_its_object(
    rendition_id: str, name: MediaName, object_name: str, content_type: str
) -> None:
    found = find_media(TIMELINE, rendition_id, name)
    assert found.object_key == f"streams/talk/3f2a9c01/{rendition_id}/{object_name}"
    assert found.content_type == content_type
    assert found.size_bytes in {2_000_000, 700, 800}


@pytest.mark.parametrize(
    ("rendition_id", "name"),
    [
        ("Medium", segment(0)),
        ("High", segment(3)),
        ("High", segment(1)),
        ("High", segment(0, Container.TS)),
        ("High", InitName(file_name="init-00.mp4")),
        ("audio", InitName(file_name="init-99.mp4")),
    ],
    ids=[
        "no such variant",
        "not announced",
        "a gap",
        "the other container",
        "no such init",
        "another's init",
    ],
)
def test_what_is_not_announced_is_not_found(rendition_id: str, name: MediaName) -> None:
    with pytest.raises(NotFound):
        find_media(TIMELINE, rendition_id, name)


def test_a_transport_stream_is_one() -> None:
    timeline = timeline_of(a_video(), a_ts_segment(0), stream=a_stream(container=Container.TS))
    assert find_media(timeline, "High", segment(0, Container.TS)).content_type == "video/mp2t"


def test_parts_are_found_also_of_whole_segments() -> None:
    timeline = timeline_of(
        a_video(), *a_whole(0), a_part(1, 0), a_part(1, 1, gap=True), stream=a_live_stream()
    )
    found = [
        find_media(timeline, "High", PartName(msn=msn, part=part, container=Container.CMAF)).object_key[-22:]
        for msn, part in ((0, 3), (1, 0))
    ]
    assert found == ["00000.003-0a1b2c3d.m4s", "00001.000-0a1b2c3d.m4s"]
    for msn, part, container in ((0, 4, "m4s"), (1, 1, "m4s"), (1, 2, "m4s"), (0, 0, "ts"), (9, 0, "m4s")):
        with pytest.raises(NotFound, match=f"part {part} of segment {msn} of 'High' is not announced"):
            find_media(timeline, "High", PartName(msn=msn, part=part, container=Container(container)))
