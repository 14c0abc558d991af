"""What a recording's source contains, as measured by the probe: the input of every plan."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

KEYFRAME_LIMIT = 4096
"""Most keyframe times that a track keeps: a plan is stored as one small JSON document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoTrack:
    """The picture of a source. All times are on the source's own clock, which need not start at 0."""

    stream_index: int
    codec: str
    width_pixels: int
    """Displayed width: after rotation, with square pixels."""
    height_pixels: int
    """Displayed height: after rotation, with square pixels."""
    coded_width_pixels: int
    coded_height_pixels: int
    sample_aspect_ratio: Fraction
    rotation_degrees: int
    """Clockwise turn that a player applies: 0, 90, 180 or 270."""
    frame_rate: Fraction
    """Exact where the rate is constant; else the mean."""
    busy_frame_rate: Fraction
    """Rate of the livelier half of the frames; equal to `frame_rate` where the rate is constant."""
    constant_frame_rate: bool
    frame_count: int
    start_s: float
    duration_s: float
    """From the first frame's start to the last one's end."""
    keyframe_times_s: tuple[float, ...]
    """Where decoding can start: ascending, thinned to at most KEYFRAME_LIMIT."""
    has_presentation_times: bool = True
    """False for containers such as AVI that only number their frames: these cannot be sought exactly."""
    pixel_format: str = "yuv420p"
    bit_depth: int = 8
    interlaced: bool = False
    color_transfer: str = ""
    """libav's name of the transfer characteristic; "smpte2084" and "arib-std-b67" are HDR. May be empty."""

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioTrack:
    """The sound of a source, on the same clock as the picture."""

    stream_index: int
    codec: str
    sample_rate_hz: int
    channel_count: int
    start_s: float
    duration_s: float
    language: str = ""
    """BCP 47 or ISO 639-2, as the container says; empty if unknown."""

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A probed source: at least one of `video` and `audio` is there."""

    demuxer: str
    """libav's short name of the demuxer that must read it: what ffmpeg is told with -f."""
    container: str
    """The same for people: "QuickTime / MOV"."""
    size_bytes: int
    duration_s: float
    """From the earliest start to the latest end of its tracks, with the padding that its container counts."""
    video: VideoTrack | None
    audio: AudioTrack | None

    @property
    def start_s(self) -> float:
        return min(track.start_s for track in (self.video, self.audio) if track)

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s


def thin_keyframes(times_s: tuple[float, ...], limit: int = KEYFRAME_LIMIT) -> tuple[float, ...]:
    """Keep at most `limit` keyframe times, spread evenly in time, always the first of each span."""
    if len(times_s) <= limit:
        return times_s
    span_s = (times_s[-1] - times_s[0]) / (limit - 1)
    kept = [times_s[0]]
    for time_s in times_s:
        if time_s - kept[-1] >= span_s:
            kept.append(time_s)
    return tuple(kept)
