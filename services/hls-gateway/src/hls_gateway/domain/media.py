"""Find the bytes that a media name stands for."""

from __future__ import annotations

from typing import NamedTuple

from chassis.errors import NotFound
from hls_gateway.domain.names import (
    InitName,
    MediaName,
    PartName,
    SegmentName,
    SpriteName,
    init_file_name,
)
from hls_gateway.domain.stream import Container, MediaKind, Part
from hls_gateway.domain.timeline import RenditionTimeline, Timeline


class MediaObject(NamedTuple):
    """An announced object in storage; its bytes never change.

    A tuple, because one is made and looked up for every request of a segment.
    """

    object_key: str
    size_bytes: int
    content_type: str


def find_media(timeline: Timeline, rendition_id: str, name: MediaName) -> MediaObject:
    """Find what a name under `variants/{rendition_id}/` stands for.

    Raises:
        NotFound: Nothing of that name is announced, or it is a gap.
    """
    known = timeline.renditions.get(rendition_id)
    if known is None:
        raise NotFound(
            f"stream {timeline.stream.stream_id!r} has no variant {rendition_id!r}", reason="NO_VARIANT"
        )
    if isinstance(name, InitName):
        return _find_init(known, name)
    found = _find_part(known, name) if isinstance(name, PartName) else known.segment(name.msn)
    if found is None or found.gap or not _is_of_its_kind(timeline, known, name):
        raise NotFound(_not_announced(known, name), reason="NO_SEGMENT")
    content_type = _content_type(known, name)
    return MediaObject(object_key=found.object_key, size_bytes=found.size_bytes, content_type=content_type)


def _is_of_its_kind(
    timeline: Timeline, known: RenditionTimeline, name: SegmentName | SpriteName | PartName
) -> bool:
    if isinstance(name, SpriteName):
        return not known.rendition.is_played
    return known.rendition.is_played and name.container is timeline.stream.container


def _content_type(known: RenditionTimeline, name: SegmentName | SpriteName | PartName) -> str:
    if isinstance(name, SpriteName):
        return "image/jpeg"
    return "video/mp2t" if name.container is Container.TS else f"{_sort(known)}/mp4"


def _find_init(known: RenditionTimeline, name: InitName) -> MediaObject:
    for key, size_bytes in reversed(known.inits):
        if name.is_newest or init_file_name(key) == name.file_name:
            sort = _sort(known)
            return MediaObject(object_key=key, size_bytes=size_bytes, content_type=f"{sort}/mp4")
    raise NotFound(f"there is no init segment {name.file_name!r}", reason="NO_INIT_SEGMENT")


def _find_part(known: RenditionTimeline, name: PartName) -> Part | None:
    return next((part for part in known.parts_of(name.msn) if part.part == name.part), None)


def _not_announced(known: RenditionTimeline, name: SegmentName | SpriteName | PartName) -> str:
    number = (
        f"part {name.part} of segment {name.msn}" if isinstance(name, PartName) else f"segment {name.msn}"
    )
    return f"{number} of {known.rendition.rendition_id!r} is not announced as .{name.suffix}"


def _sort(known: RenditionTimeline) -> str:
    return "audio" if known.rendition.media_kind is MediaKind.AUDIO else "video"
