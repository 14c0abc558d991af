"""Ready segments: what is measured of each, and what is kept of it until it stands on the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from chassis.errors import InvalidArgument
from transcoder.domain.live_timeline import StoredObject
from transcoder.domain.packager import IFrameRange, MediaKind, RenditionInfo

MAX_NUMBER = 10**12


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the probe found in one segment."""

    media_kind: MediaKind
    codecs: str
    """RFC 6381, comma-separated."""
    width_pixels: int = 0
    height_pixels: int = 0
    frame_rate: Fraction | None = None
    sample_rate_hz: int = 0
    channel_count: int = 0
    language: str = ""
    start_s: float
    """Of its first frame, on the clock of its timestamps."""
    duration_s: float
    iframes: tuple[IFrameRange, ...] = ()
    """Counted from the first byte that was probed."""

    def describe(self, variant_id: str) -> RenditionInfo:
        """Describe the variant that a segment like this belongs to; its rates are not known yet."""
        return RenditionInfo(
            rendition_id=variant_id,
            name=variant_id,
            media_kind=self.media_kind,
            codecs=self.codecs,
            width_pixels=self.width_pixels,
            height_pixels=self.height_pixels,
            frame_rate=self.frame_rate,
            sample_rate_hz=self.sample_rate_hz,
            channel_count=self.channel_count,
            language=self.language,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadySegment:
    """A segment that can be read from storage, and waits for its place or has it."""

    variant_id: str
    number: int
    """The `sequence_num` under which it came."""
    sha256: str
    """Of the body as it came."""
    media: StoredObject
    init: StoredObject | None = None
    """None: MPEG-TS."""
    start_s: float
    duration_s: float
    iframes: tuple[IFrameRange, ...] = ()
    arrival_time: datetime

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s

    @property
    def rate_bps(self) -> int:
        return max(1, round(8 * self.media.size_bytes / self.duration_s))


def require_fitting(found: RenditionInfo, variant: RenditionInfo) -> None:
    """Raise InvalidArgument unless a segment is encoded as all others of its variant are."""
    for words, of_segment, of_variant in (
        ("holds", found.media_kind, variant.media_kind),
        ("has pictures of", _size(found), _size(variant)),
        ("has the codecs", found.codecs, variant.codecs),
        ("has the sound", _sound(found), _sound(variant)),
    ):
        if of_segment != of_variant:
            raise InvalidArgument(
                f"the segment {words} {str(of_segment)!r}, but variant {variant.rendition_id!r} "
                f"{str(of_variant)!r}: a variant never changes, send it as a variant of its own",
                reason="VARIANT_DIFFERS",
                field="data",
            )


def require_duration(duration_s: float, target_duration_s: int) -> None:
    """Raise InvalidArgument if a segment is longer than the playlist says that any is."""
    # rfc8216bis 4.4.3.1: rounded to the nearest integer, no duration exceeds the target duration.
    if not 0 < duration_s < target_duration_s + 0.5:
        raise InvalidArgument(
            f"the segment lasts {duration_s:.3f} s: it must round to at most the stream's target_duration, "
            f"{target_duration_s} s",
            reason="SEGMENT_TOO_LONG",
            field="data",
        )


def _size(info: RenditionInfo) -> str:
    return f"{info.width_pixels}x{info.height_pixels}"


def _sound(info: RenditionInfo) -> str:
    return f"{info.sample_rate_hz} Hz, {info.channel_count} channels"
