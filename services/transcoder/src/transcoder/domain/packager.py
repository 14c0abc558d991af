"""Pack encoded samples into segments; see `boxes` for the byte layouts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction


class MediaKind(StrEnum):
    """What a rendition carries."""

    VIDEO = "video"
    AUDIO = "audio"
    MUXED = "muxed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RenditionInfo:
    """One rendition as measured from its first media: what the ledger's Rendition entry tells."""

    rendition_id: str
    name: str
    media_kind: MediaKind
    codecs: str
    """RFC 6381, comma-separated: "avc1.64001f", "mp4a.40.2"."""
    width_pixels: int = 0
    height_pixels: int = 0
    frame_rate: Fraction | None = None
    target_bps: int = 0
    peak_bps: int = 0
    sample_rate_hz: int = 0
    channel_count: int = 0
    language: str = ""
    init: bytes | None = None
    """The init segment, byte-identical over all chunks; None for MPEG-TS."""


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
