"""Segments, and what packs them: what an encoder writes becomes CMAF or MPEG-TS, cut at the grid's borders.

An encoder knows only its own chunk and starts at 0; the grid knows where that is in the recording. Every
sample is checked against the grid on its way: what leaves here is exactly what was planned, or nothing does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Protocol

from transcoder.domain.boxes import BoxError
from transcoder.domain.fragments import FragmentReader, Track


class PackagingError(Exception):
    """The encoder made something else than was planned."""


class MediaKind(StrEnum):
    """What a rendition carries."""

    VIDEO = "video"
    AUDIO = "audio"
    MUXED = "muxed"
    IMAGES = "images"


@dataclass(frozen=True, slots=True, kw_only=True)
class RenditionInfo:
    """One rendition as measured from its first media: what the ledger's Rendition entry tells."""

    rendition_id: str
    name: str
    media_kind: MediaKind
    codecs: str
    """RFC 6381, comma-separated: "avc1.64001f", "mp4a.40.2"."""
    width_pixels: int = 0
    """Of images: of one of the pictures that are stacked in a sprite."""
    height_pixels: int = 0
    frame_rate: Fraction | None = None
    target_bps: int = 0
    peak_bps: int = 0
    sample_rate_hz: int = 0
    channel_count: int = 0
    language: str = ""
    init: bytes | None = None
    """The init segment, byte-identical over all chunks; None for MPEG-TS and images."""
    tile_s: float = 0.0
    """Of images: from one picture to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IFrameRange:
    """Bytes of a segment that a player needs to show one I-frame (EXT-X-I-FRAMES-ONLY)."""

    offset_bytes: int
    size_bytes: int
    duration_s: float
    """To the next I-frame, or to the segment's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedSegment:
    """One finished segment of one rendition."""

    rendition: RenditionInfo
    msn: int
    start_s: float
    duration_s: float
    data: bytes
    iframes: tuple[IFrameRange, ...] = ()


class Packager(Protocol):
    """Turns an encoder's fMP4 stream into segments."""

    def feed(self, data: bytes) -> list[PackedSegment]:
        """Take the next piece, of any size; return the segments that it completes.

        Raises:
            PackagingError: The samples are not as the grid has them.
        """

    def finish(self) -> None:
        """Take the stream's end.

        Raises:
            PackagingError: The stream is shorter than planned.
        """


@contextmanager
def as_packaging_errors(rendition_id: str) -> Iterator[None]:
    """Tell of bytes that cannot be read as of something that the encoder made wrongly."""
    try:
        yield
    except BoxError as error:
        raise PackagingError(f"{rendition_id}: {error}") from error


def require_track(reader: FragmentReader, rendition_id: str, timescale: int) -> Track:
    """Get the track whose samples have come, with the timescale that the plan asked for."""
    if reader.track is None or reader.track.timescale != timescale:
        raise PackagingError(f"{rendition_id}: the moov does not have the timescale {timescale}")
    return reader.track
