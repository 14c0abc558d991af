"""What a ledger is made of: the facts that writers announce, as far as its laws read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Container(StrEnum):
    """How segments are packaged."""

    CMAF = "cmaf"
    TS = "ts"


class MediaKind(StrEnum):
    """What a rendition carries."""

    VIDEO = "video"
    AUDIO = "audio"
    MUXED = "muxed"
    SUBTITLES = "subtitles"
    IMAGES = "images"

    @property
    def has_picture(self) -> bool:
        return self in {MediaKind.VIDEO, MediaKind.MUXED}


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerId:
    """Names one ledger: one life of one stream id."""

    stream_id: str
    incarnation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A new owner begins, under the epoch of the record that says so."""

    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """A rendition begins; `frame_rate` is a fraction, (0, 0) without a picture that moves.

    `tile_s`, from one picture of a sprite to the next, is 0 but for images.
    """

    rendition_id: str
    media_kind: MediaKind | None
    codecs: str = ""
    name: str = ""
    language: str = ""
    width_pixels: int = 0
    height_pixels: int = 0
    frame_rate: tuple[int, int] = (0, 0)
    target_bps: int = 0
    peak_bps: int = 0
    sample_rate_hz: int = 0
    channel_count: int = 0
    tile_s: float = 0.0

    @property
    def is_played(self) -> bool:
        """Whether it is something to play, and not what is shown beside it."""
        return self.media_kind is not MediaKind.IMAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class IFrame:
    """Where one I-frame lies within its segment."""

    offset_bytes: int
    size_bytes: int
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionKey:
    """How bytes are encrypted; `iv` is hex."""

    method: str
    key_id: str
    iv: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """What segments and parts share: a stretch of the stream's clock, and the object that holds it."""

    rendition_id: str
    msn: int
    start_s: float
    duration_s: float
    program_date_time: datetime | None = None
    """UTC time of its first frame."""
    discontinuity_sequence: int = 0
    object_key: str = ""
    size_bytes: int = 0
    init_key: str = ""
    init_size_bytes: int = 0
    gap: bool = False
    encryption_key: EncryptionKey | None = None

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s

    @property
    def end_time(self) -> datetime | None:
        """UTC time behind its last frame."""
        start = self.program_date_time
        return start + timedelta(seconds=self.duration_s) if start else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment(Media):
    """A whole segment can be read."""

    iframes: Sequence[IFrame] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(Media):
    """A part of segment `msn` can be read; `part` counts within it from 0."""

    part: int
    independent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trimmed:
    """What a rendition had before `first_msn` has left the ledger, and what was measured of it."""

    rendition_id: str
    first_msn: int
    start_s: float
    discontinuity_sequence: int
    size_bytes: int = 0
    media_s: float = 0.0
    peak_bps: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A rendition will not grow any more; with an empty id, none will."""

    rendition_id: str = ""


Entry = Opened | Rendition | Trimmed | Segment | Part | Ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What was appended in one piece."""

    sequence: int
    epoch: int
    entries: Sequence[Entry]
    append_time: datetime | None = None
    """When the ledger took it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """A record as it lies in the ledger; `wire` is opaque, and the concatenation of two is their merger."""

    sequence: int
    wire: bytes
