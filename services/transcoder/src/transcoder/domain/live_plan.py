"""The plan of one run of a live stream: what is decided once the head of its bytes is probed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from chassis.errors import InvalidArgument
from transcoder.domain.ladder import NAMED_RUNGS, Rung, plan_ladder
from transcoder.domain.live_grid import LiveGrid, count_part_frames
from transcoder.domain.plan import AUDIO_RENDITION_ID, AudioPlan, Container, plan_audio
from transcoder.domain.source import Source, VideoTrack
from transcoder.domain.thumbnails import (
    THUMBNAILS_RENDITION_ID,
    ThumbnailPlan,
    choose_step,
    plan_thumbnails,
)
from transcoder.domain.timing import (
    AAC_FRAME_SAMPLES,
    AUDIO_GRID_RATE,
    CLOCK_HZ,
    LONGEST_AUDIO_FRAME_S,
    MAX_FRAME_RATE,
    RATE_TOLERANCE,
    choose_frame_rate,
)

LIVE_DEMUXERS = {"flv": "live_flv", "mpegts": "mpegts", "mov": "mov", "matroska": "matroska"}
"""Containers that can be read while they are written, and libav's demuxers of them.

live_flv knows that times may jump, and is flv otherwise.
"""

HEAD_BYTES = 8 << 20
HEAD_S = 10
"""The head of a source: what its probe sees of it, and its encoder before it begins."""

GOP_S = 1
"""Wished distance of I-frames: players join, switch and seek at them, and each costs bits."""

PART_FILL_RATIO = Fraction(85, 100)
"""Parts, but for a segment's last, last at least so much of their target (rfc8216bis 4.4.4.9)."""


HANDOVER_S = Fraction(1, 6)
"""A rung's frames are handed over together, at most so much of them: to take a fragment costs as much as to
take a frame by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePlan:
    """What to make of a live source. All its renditions have their borders on the same grid."""

    source: Source
    """What the head contains; its durations and counts are those of the head."""
    ladder: tuple[Rung, ...]
    """Ascending; empty for a source without video."""
    audio: AudioPlan | None
    container: Container
    frame_rate: Fraction | None
    """Constant, whatever the source's frame times are; None without video."""
    gop_frames: int
    segment_frames: int
    """A whole number of GOPs; without video, ticks of AUDIO_GRID_RATE."""
    part_target_s: float
    """No part is longer; 0: segments only, as always in MPEG-TS."""
    thumbnails: ThumbnailPlan | None = None
    """None without video."""

    @property
    def segment_s(self) -> Fraction:
        return self.segment_frames / (self.frame_rate or AUDIO_GRID_RATE)

    @property
    def audio_is_muxed(self) -> bool:
        """Whether audio travels within the video renditions."""
        return self.container is Container.TS and self.audio is not None and bool(self.ladder)

    @property
    def rendition_ids(self) -> tuple[str, ...]:
        """Of all renditions that the run will have, the one that others are measured by first."""
        has_own_audio = self.audio is not None and not self.audio_is_muxed
        audio = (AUDIO_RENDITION_ID,) if has_own_audio else ()
        thumbnails = (THUMBNAILS_RENDITION_ID,) if self.thumbnails else ()
        return (*(rung.name for rung in self.ladder), *audio, *thumbnails)

    @property
    def video_grid(self) -> LiveGrid:
        if self.frame_rate is None:
            raise ValueError("the plan has no video")
        whole = (CLOCK_HZ / self.frame_rate).denominator == 1
        timescale = CLOCK_HZ if whole else self.frame_rate.numerator
        return self._grid(timescale, int(timescale / self.frame_rate))

    def handover_frames(self, rung: Rung) -> int:
        """Count the frames of a rung that the encoder hands over together.

        Each part and segment begins with a hand-over, so that none waits for frames behind its own. Of the
        smallest rung each frame comes by itself, for the sound goes as far as the picture has come.
        """
        if rung == self.ladder[0] or self.frame_rate is None:
            return 1
        together = math.gcd(self.video_grid.part_frames, self.segment_frames)
        most = math.floor(HANDOVER_S * self.frame_rate)
        return next((count for count in range(most, 1, -1) if together % count == 0), 1)

    @property
    def audio_grid(self) -> LiveGrid:
        if self.audio is None:
            raise ValueError("the plan has no audio")
        return self._grid(self.audio.sample_rate_hz, AAC_FRAME_SAMPLES)

    def _grid(self, timescale: int, frame_ticks: int) -> LiveGrid:
        return LiveGrid(
            timescale=timescale,
            frame_ticks=frame_ticks,
            segment_s=self.segment_s,
            part_frames=count_part_frames(self.part_target_s, Fraction(timescale, frame_ticks)),
        )


def plan_live(
    source: Source,
    *,
    rungs: tuple[Rung, ...] = NAMED_RUNGS,
    container: Container = Container.CMAF,
    target_duration_s: int,
    part_target_s: float,
) -> LivePlan:
    """Decide ladder, grid and audio for a live source.

    Args:
        source: What the probe found in the head.
        rungs: Named rungs, from `choose_rungs`.
        container: How to package.
        target_duration_s: The stream's, 1 to 60: no segment's duration, rounded, exceeds it.
        part_target_s: Longest part, seconds; 0: no parts.

    Raises:
        InvalidArgument: `rungs` is empty, or no frame fits into a part.
    """
    part_target_s = part_target_s if container is Container.CMAF else 0.0
    rate = _choose_rate(source.video, part_target_s) if source.video else None
    gop_frames, segment_frames = _plan_segment(rate, target_duration_s)
    ladder = plan_ladder(source.video, rungs) if source.video else ()
    plan = LivePlan(
        source=source,
        ladder=ladder,
        audio=plan_audio(source.audio) if source.audio else None,
        container=container,
        frame_rate=rate,
        gop_frames=gop_frames,
        segment_frames=segment_frames,
        part_target_s=part_target_s,
        thumbnails=plan_thumbnails(ladder[0], choose_step(segment_frames, rate)) if rate else None,
    )
    if part_target_s and plan.audio and not plan.audio_grid.part_frames:
        raise _refuse_part(part_target_s, plan.audio_grid.frame_s)
    return plan


def _choose_rate(video: VideoTrack, part_target_s: float) -> Fraction:
    """Choose the constant rate; a multiple of the source's where its frames are too long for the parts."""
    rate = choose_frame_rate(video)
    most = max(1, math.floor(MAX_FRAME_RATE * RATE_TOLERANCE / rate))
    rates = [rate * factor for factor in range(1, most + 1)]
    fills = [count_part_frames(part_target_s, rate) / rate for rate in rates]
    if part_target_s and not any(fills):
        raise _refuse_part(part_target_s, 1 / rates[-1])
    enough = PART_FILL_RATIO * Fraction(part_target_s)
    return next((rate for rate, fill in zip(rates, fills, strict=True) if fill >= enough), rates[-1])


def _refuse_part(part_target_s: float, frame_s: Fraction) -> InvalidArgument:
    return InvalidArgument(
        f"part_target_s: {part_target_s:g} s holds no frame; it must be at least {float(frame_s):.4f}",
        reason="PART_TOO_SHORT",
        field="part_target_s",
    )


def _plan_segment(rate: Fraction | None, target_duration_s: int) -> tuple[int, int]:
    """Choose GOPs of about a second, and as many per segment as are nearest to the target duration.

    No EXTINF, rounded to a whole number, may exceed the target duration (rfc8216bis 4.4.3.1); audio may
    exceed its segment by up to a frame of its own.
    """
    if rate is None:
        frames = round(target_duration_s * AUDIO_GRID_RATE)
        return frames, frames
    gop_frames = max(1, round(GOP_S * rate))
    gop_s = gop_frames / rate
    most = math.ceil((target_duration_s + Fraction(1, 2) - LONGEST_AUDIO_FRAME_S) / gop_s) - 1
    return gop_frames, gop_frames * max(1, min(round(target_duration_s / gop_s), most))
