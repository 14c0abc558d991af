"""The names under which a stream's resources appear in URLs: made here, and read back here.

A media name together with the stream's incarnation (`?i=`) names the same bytes for ever. Playlists carry the
incarnation too, so that a viewer whose player changes its rendition stays within the stream it began with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from hls_gateway.domain.stream import Container, Segment, Stream

MULTIVARIANT = "master.m3u8"
MEDIA = "playlist.m3u8"
IFRAMES = "iframes.m3u8"
STORYBOARD = "thumbnails.vtt"

# Bounded, as int() of a client's digits is: 15 digits are more segments than any stream has.
_SEGMENT = re.compile(r"segment_(0|[1-9]\d{0,14})\.(m4s|ts)", re.ASCII)
_SPRITE = re.compile(r"segment_(0|[1-9]\d{0,14})\.jpg", re.ASCII)
_PART = re.compile(r"part_(0|[1-9]\d{0,14})_(0|[1-9]\d{0,8})\.(m4s|ts)", re.ASCII)
_INIT = re.compile(r"init[A-Za-z0-9_-]{0,80}\.mp4")
_INCARNATION = re.compile(r"[0-9a-f]{1,32}")


class PlaylistName(NamedTuple):
    """Which of a stream's playlists; a tuple, because one is looked up for every request.

    Args:
        file_name: The last part of its path.
        rendition_id: Empty for the multivariant playlist and the storyboard.
        is_absolute: Served elsewhere than beside its variants, so that its URIs are absolute paths.
    """

    file_name: str
    rendition_id: str = ""
    is_absolute: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentName:
    """The name of a Media Segment."""

    msn: int
    container: Container

    @property
    def suffix(self) -> str:
        return self.container.value


@dataclass(frozen=True, slots=True, kw_only=True)
class SpriteName:
    """The name of a segment of images."""

    msn: int
    suffix: ClassVar[str] = "jpg"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartName:
    """The name of a Partial Segment."""

    msn: int
    part: int
    container: Container

    @property
    def suffix(self) -> str:
        return self.container.value


@dataclass(frozen=True, slots=True, kw_only=True)
class InitName:
    """The name of an init segment; plain `init.mp4` stands for the newest."""

    file_name: str

    @property
    def is_newest(self) -> bool:
        return self.file_name == "init.mp4"


MediaName = SegmentName | SpriteName | PartName | InitName


def playlist_uri(stream: Stream, rendition_id: str, name: str) -> str:
    """Name a rendition's playlist as seen from the multivariant playlist."""
    return f"variants/{rendition_id}/{name}?i={stream.incarnation}"


def segment_uri(stream: Stream, segment: Segment) -> str:
    """Name a segment as seen from its playlist."""
    return f"segment_{segment.msn}.{stream.container.value}?i={stream.incarnation}"


def sprite_uri(stream: Stream, rendition_id: str, segment: Segment) -> str:
    """Name a segment of images as seen from the storyboard."""
    return f"variants/{rendition_id}/segment_{segment.msn}.{SpriteName.suffix}?i={stream.incarnation}"


def part_uri(stream: Stream, msn: int, part: int) -> str:
    """Name a part, announced or to come, as seen from its playlist."""
    return f"part_{msn}_{part}.{stream.container.value}?i={stream.incarnation}"


def sibling_uri(stream: Stream, rendition_id: str) -> str:
    """Name another rendition's media playlist as seen from a rendition's playlist."""
    return f"../{rendition_id}/{MEDIA}?i={stream.incarnation}"


def init_uri(stream: Stream, init_key: str) -> str:
    """Name an init segment as seen from its playlist."""
    return f"{init_file_name(init_key)}?i={stream.incarnation}"


def init_file_name(init_key: str) -> str:
    """Name an init segment by the last part of its storage key, which is unique in its rendition."""
    return init_key.rpartition("/")[2]


def parse_media_name(text: str) -> MediaName | None:
    """Read the name of a segment, a part or an init segment; None if it is neither."""
    if segment := _SEGMENT.fullmatch(text):
        return SegmentName(msn=int(segment[1]), container=Container(segment[2]))
    if sprite := _SPRITE.fullmatch(text):
        return SpriteName(msn=int(sprite[1]))
    if part := _PART.fullmatch(text):
        return PartName(msn=int(part[1]), part=int(part[2]), container=Container(part[3]))
    return InitName(file_name=text) if _INIT.fullmatch(text) else None


def is_incarnation(text: str) -> bool:
    """Tell whether a text can be the mark of an incarnation."""
    return _INCARNATION.fullmatch(text) is not None
