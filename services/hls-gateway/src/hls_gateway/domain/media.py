"""Find the bytes that a media name stands for."""

from __future__ import annotations

from typing import NamedTuple

from chassis.errors import NotFound
from hls_gateway.domain.names import InitName, MediaName, SegmentName, init_file_name
from hls_gateway.domain.stream import Container, MediaKind
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
    return _find_segment(timeline, known, name)


def _find_init(known: RenditionTimeline, name: InitName) -> MediaObject:
    for key, size_bytes in reversed(known.inits):
        if name.is_newest or init_file_name(key) == name.file_name:
            sort = _sort(known)
            return MediaObject(object_key=key, size_bytes=size_bytes, content_type=f"{sort}/mp4")
    raise NotFound(f"there is no init segment {name.file_name!r}", reason="NO_INIT_SEGMENT")


def _find_segment(timeline: Timeline, known: RenditionTimeline, name: SegmentName) -> MediaObject:
    segment = known.segment(name.msn) if name.container is timeline.stream.container else None
    if segment is None or segment.gap:
        raise NotFound(
            f"segment {name.msn} of {known.rendition.rendition_id!r} is not announced as "
            f".{name.container.value}",
            reason="NO_SEGMENT",
        )
    is_ts = name.container is Container.TS
    return MediaObject(
        object_key=segment.object_key,
        size_bytes=segment.size_bytes,
        content_type="video/mp2t" if is_ts else f"{_sort(known)}/mp4",
    )


def _sort(known: RenditionTimeline) -> str:
    return "audio" if known.rendition.media_kind is MediaKind.AUDIO else "video"
