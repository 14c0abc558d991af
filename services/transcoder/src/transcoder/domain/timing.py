"""Lay the grid: the one timetable of frames, GOPs and segments that every rendition of a recording keeps.

The grid counts frames at a constant rate, so that all its times are exact fractions: segment n starts at the
same instant in every rung, whatever the source's own frame times are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from transcoder.domain.cadence import STANDARD_RATES
from transcoder.domain.source import Source, VideoTrack

MAX_FRAME_RATE = Fraction(60)
RATE_TOLERANCE = Fraction(101, 100)
"""A measured rate this little above a limit counts as the limit: clocks of cameras are not exact."""

CLOCK_HZ = 90_000
AAC_FRAME_SAMPLES = 1024
LONGEST_AUDIO_FRAME_S = Fraction(AAC_FRAME_SAMPLES, 44_100)

AUDIO_GRID_RATE = Fraction(100)
"""Grid of a source without video: ticks of 10 ms take the place of frames."""

SHORT_REMAINDER_S = Fraction(1, 2)
"""A last segment shorter than this joins the one before it, whose EXTINF still rounds to the same then."""

CODEC_PADDING_S = 0.1
"""Sound that outlasts the picture by no more is padding of its codec: worth a frame, but not several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The timetable. Frame 0 of the grid is second 0 of the stream and `origin_s` of the source's clock."""

    frame_rate: Fraction
    gop_frames: int
    segment_frames: int
    """A whole number of GOPs. The segments of the lead are shorter, and the last one is what remains."""
    frame_count: int
    """Frames of every rung over the whole recording, at least 1."""
    video_frame_count: int
    """How many of them the source's pictures cover; the rest hold the last one while sound goes on."""
    origin_s: float

    @property
    def lead_count(self) -> int:
        """Segments of one GOP each in the place of the first whole one, so that play starts early."""
        return self.segment_frames // self.gop_frames

    @property
    def segment_count(self) -> int:
        """At least 1; behind the first, a segment begins only where SHORT_REMAINDER_S or more is left."""
        last_begin = math.floor(self.frame_count - SHORT_REMAINDER_S * self.frame_rate)
        return self._segment_at(max(0, last_begin)) + 1

    @property
    def duration_s(self) -> Fraction:
        return self.frame_count / self.frame_rate

    @property
    def target_duration_s(self) -> int:
        """EXT-X-TARGETDURATION: no EXTINF, rounded to a whole number, exceeds it (rfc8216bis 4.4.3.1).

        The longest is one of the last two, since none but the last is shorter than the one before it. One of
        audio may be longer than one of video by up to a frame of its own.
        """
        last = self.segment_count - 1
        longest_s = max(self.segment_duration_s(max(0, last - 1)), self.segment_duration_s(last))
        return max(1, math.floor(longest_s + LONGEST_AUDIO_FRAME_S + Fraction(1, 2)))

    @property
    def timescale(self) -> int:
        """Ticks per second of video tracks: the 90 kHz of MPEG where a frame is a whole number of them."""
        whole = (CLOCK_HZ / self.frame_rate).denominator == 1
        return CLOCK_HZ if whole else self.frame_rate.numerator

    @property
    def frame_ticks(self) -> int:
        return int(self.timescale / self.frame_rate)

    def first_frame(self, msn: int) -> int:
        """Frame at which segment `msn` starts; the end of the recording for the segment after the last."""
        return self.frame_count if msn >= self.segment_count else self._border(msn)

    def first_audio_frame(self, msn: int, sample_rate_hz: int) -> int:
        """AAC frame at which segment `msn` starts: the first at or after its border.

        Counted from the recording's start, so that nothing drifts. All audio ends at the frame border that is
        nearest to the recording's end.
        """
        frames = self.segment_start_s(msn) * sample_rate_hz / AAC_FRAME_SAMPLES
        return max(1, round(frames)) if msn >= self.segment_count else math.ceil(frames)

    def segment_start_s(self, msn: int) -> Fraction:
        return self.first_frame(msn) / self.frame_rate

    def segment_duration_s(self, msn: int) -> Fraction:
        return self.segment_start_s(msn + 1) - self.segment_start_s(msn)

    def _border(self, msn: int) -> int:
        """Frame at which segment `msn` would start, were there no end."""
        in_lead = min(msn, self.lead_count)
        return in_lead * self.gop_frames + (msn - in_lead) * self.segment_frames

    def _segment_at(self, frame: int) -> int:
        """Segment that holds `frame`, were there no end."""
        return min(frame // self.gop_frames, self.lead_count) + max(0, frame // self.segment_frames - 1)


def choose_frame_rate(video: VideoTrack) -> Fraction:
    """Choose the constant rate of the output, at most 60 frames per second.

    A constant rate is kept, or divided by the smallest whole number that brings it to 60 or less, so that
    frames are dropped evenly. A variable rate becomes the smallest standard one that keeps its busy frames.
    """
    if video.constant_frame_rate:
        return video.frame_rate / math.ceil(video.frame_rate / (MAX_FRAME_RATE * RATE_TOLERANCE))
    wanted = min(max(video.frame_rate, video.busy_frame_rate), MAX_FRAME_RATE)
    nearest = min(STANDARD_RATES, key=lambda rate: abs(rate - wanted))
    if max(nearest, wanted) <= min(nearest, wanted) * RATE_TOLERANCE:
        return nearest
    return next(rate for rate in STANDARD_RATES if rate >= wanted)


def plan_grid(source: Source, segment_s: float = 4.0, gop_s: float = 2.0) -> Grid:
    """Plan the grid of a source for segments and GOPs of about the given lengths (seconds).

    Sound alone has no GOPs: all its segments but the last are as long as one another.
    """
    if source.video is None:
        return _plan_audio_grid(source, segment_s)
    rate = choose_frame_rate(source.video)
    gop_frames = max(1, round(gop_s * rate))
    origin_s = _choose_origin_s(source, source.video, rate)
    video_frames = _count_frames(source.video.end_s - origin_s, rate)
    return Grid(
        frame_rate=rate,
        gop_frames=gop_frames,
        segment_frames=gop_frames * max(1, round(segment_s * rate / gop_frames)),
        frame_count=video_frames + _count_held_frames(source.end_s - source.video.end_s, rate),
        video_frame_count=video_frames,
        origin_s=origin_s,
    )


def _plan_audio_grid(source: Source, segment_s: float) -> Grid:
    segment_frames = max(1, round(segment_s * AUDIO_GRID_RATE))
    return Grid(
        frame_rate=AUDIO_GRID_RATE,
        gop_frames=segment_frames,
        segment_frames=segment_frames,
        frame_count=_count_frames(source.duration_s, AUDIO_GRID_RATE),
        video_frame_count=0,
        origin_s=source.start_s,
    )


def _choose_origin_s(source: Source, video: VideoTrack, rate: Fraction) -> float:
    """Put second 0 a whole number of frames before the first picture, near to the source's start.

    Were it at the source's start itself, pictures could fall half-way between two frames of the grid, where
    the jitter of millisecond timestamps doubles some and drops others. Where every second picture is dropped,
    half of them would lie there: these are put off by half a picture.
    """
    frames_before = round((video.start_s - source.start_s) * rate)
    drops_half = video.constant_frame_rate and (video.frame_rate / rate) % 2 == 0
    put_off = 1 / (2 * video.frame_rate) if drops_half else 0
    return video.start_s - float(frames_before / rate + put_off)


def _count_held_frames(tail_s: float, rate: Fraction) -> int:
    """Tell for how many frames to hold the last picture, when sound outlasts it by `tail_s`."""
    return round(tail_s * rate) if tail_s > CODEC_PADDING_S else int(tail_s * rate >= 1)


def _count_frames(duration_s: float, rate: Fraction) -> int:
    return max(1, round(duration_s * rate))
