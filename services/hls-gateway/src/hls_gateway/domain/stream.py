"""What the ledger tells about a stream, as far as playing it goes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction


class StreamKind(StrEnum):
    """Whether and how a stream grows."""

    VOD = "vod"
    LIVE = "live"
    EVENT = "event"


class Container(StrEnum):
    """How segments are packaged; the value is the suffix of their names."""

    CMAF = "m4s"
    TS = "ts"


class MediaKind(StrEnum):
    """What a rendition carries."""

    VIDEO = "video"
    AUDIO = "audio"
    MUXED = "muxed"
    SUBTITLES = "subtitles"
    IMAGES = "images"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """The description of one incarnation of a stream.

    Args:
        target_duration_s: EXT-X-TARGETDURATION; never changes within an incarnation.
        part_target_s: PART-TARGET; 0 if the stream has no parts.
        dvr_window_s: How far back a live playlist reaches; 0 if nothing ever leaves it.
        record: Once a live stream has ended, everything that it showed can be played.
    """

    stream_id: str
    incarnation: str
    kind: StreamKind
    container: Container
    target_duration_s: int
    part_target_s: float = 0.0
    dvr_window_s: float = 0.0
    record: bool = False

    @property
    def slides(self) -> bool:
        """Tell whether segments leave its playlists."""
        return self.kind is StreamKind.LIVE and self.dvr_window_s > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """One encoding of the ladder.

    Args:
        codecs: RFC 6381, in the order of the tracks.
        width_pixels: Displayed width; 0 for audio, like the height. Of images, that of each of the pictures
            that stand in a segment one below the other.
        frame_rate: Frames per second; None for audio and images.
        target_bps: What the encoder was told to keep to in the mean.
        peak_bps: What it was told never to exceed: the bound for what is still to come.
        channel_count: 0 where there is no sound.
        language: BCP 47, or empty.
        name: For people; may be empty.
        tile_s: From one picture of a segment of images to the next.
    """

    rendition_id: str
    media_kind: MediaKind
    codecs: tuple[str, ...]
    width_pixels: int = 0
    height_pixels: int = 0
    frame_rate: Fraction | None = None
    target_bps: int
    peak_bps: int
    channel_count: int = 0
    language: str = ""
    name: str = ""
    tile_s: float = 0.0

    @property
    def has_picture(self) -> bool:
        return self.media_kind in {MediaKind.VIDEO, MediaKind.MUXED}

    @property
    def is_played(self) -> bool:
        """Tell whether players are to know of it; images are shown beside what is played."""
        return self.media_kind is not MediaKind.IMAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class IFrame:
    """Where one I-frame lies in its segment, with what is needed to show it alone."""

    offset_bytes: int
    size_bytes: int
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A Media Segment that can be read, or a gap, for which there is nothing to read.

    Args:
        start_s: On the stream's own clock; it may jump forward at a discontinuity.
        announced_s: When the ledger took it, by its clock, seconds since 1970; 0 where that is not known.
    """

    rendition_id: str
    msn: int
    start_s: float = 0.0
    duration_s: float
    object_key: str
    size_bytes: int
    init_key: str = ""
    init_size_bytes: int = 0
    program_date_time: datetime | None = None
    discontinuity_sequence: int = 0
    gap: bool = False
    iframes: tuple[IFrame, ...] = ()
    announced_s: float = 0.0

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A Partial Segment that can be read, or a gap; `announced_s` as of a segment."""

    rendition_id: str
    msn: int
    part: int
    duration_s: float
    object_key: str
    size_bytes: int
    init_key: str = ""
    init_size_bytes: int = 0
    program_date_time: datetime | None = None
    discontinuity_sequence: int = 0
    independent: bool = False
    gap: bool = False
    announced_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trimmed:
    """What a rendition had before `first_msn` is gone from the ledger; this is what was measured of it."""

    rendition_id: str
    first_msn: int
    size_bytes: int = 0
    media_s: float = 0.0
    peak_bps: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A rendition, or with an empty id the whole stream, will not grow any more."""

    rendition_id: str = ""


Entry = Rendition | Segment | Part | Trimmed | Ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one message of the ledger tells, with its place there."""

    sequence: int
    entries: tuple[Entry, ...]
