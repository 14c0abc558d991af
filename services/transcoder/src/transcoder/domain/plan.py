"""The plan of one VOD job: all that is decided before its first frame is encoded, as one storable value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from transcoder.domain.chunks import Chunk, Run, plan_chunks, plan_runs
from transcoder.domain.ladder import NAMED_RUNGS, Rung, plan_ladder
from transcoder.domain.source import AudioTrack, Source
from transcoder.domain.thumbnails import (
    THUMBNAILS_RENDITION_ID,
    ThumbnailPlan,
    choose_step,
    plan_thumbnails,
)
from transcoder.domain.timing import Grid, plan_grid

AUDIO_RENDITION_ID = "audio"
RESERVED_RENDITION_IDS = frozenset({AUDIO_RENDITION_ID, THUMBNAILS_RENDITION_ID})
"""No rung is called so."""


class Container(StrEnum):
    """How segments are packaged."""

    CMAF = "cmaf"
    """Fragmented MP4 with an init segment; audio is a rendition of its own."""
    TS = "ts"
    """MPEG-2 transport stream; audio is muxed with each video rendition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioPlan:
    """The one encoding of the source's sound: AAC-LC."""

    sample_rate_hz: int
    channel_count: int
    """1 or 2: more channels are mixed down to stereo."""
    audio_bps: int


@dataclass(frozen=True, kw_only=True)
class EncodePlan:
    """What to make of a source. Serialise it with pydantic's TypeAdapter(EncodePlan)."""

    source: Source
    grid: Grid
    ladder: tuple[Rung, ...]
    """Ascending; empty for a source without video."""
    audio: AudioPlan | None
    container: Container
    thumbnails: ThumbnailPlan | None = None
    """None for a source without video."""
    tapers: bool = False
    """Whether runs become shorter towards the end; those of a plan that was stored without this do not."""

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """Computed, not stored: a day-long recording has thousands."""
        return plan_runs(self.grid.segment_count, tapers=self.tapers)

    @cached_property
    def chunks(self) -> tuple[Chunk, ...]:
        """Computed as well."""
        return plan_chunks(self.grid, self.source, self.runs)

    @property
    def audio_is_muxed(self) -> bool:
        """Whether audio travels within the video renditions, so that each chunk needs its audio runs."""
        return self.container is Container.TS and self.audio is not None and self.source.video is not None


def plan_encode(
    source: Source,
    *,
    rungs: tuple[Rung, ...] = NAMED_RUNGS,
    container: Container = Container.CMAF,
    segment_s: float = 4.0,
    gop_s: float = 2.0,
) -> EncodePlan:
    """Decide ladder, grid and audio for a source.

    Args:
        source: What the probe found.
        rungs: Named rungs, from `choose_rungs`.
        container: How to package.
        segment_s: Wished segment duration, seconds; segments become whole GOPs near it, the first ones single
            GOPs.
        gop_s: Wished distance of I-frames, seconds.

    Raises:
        InvalidArgument: `rungs` is empty.
    """
    grid = plan_grid(source, segment_s, gop_s)
    ladder = plan_ladder(source.video, rungs) if source.video else ()
    return EncodePlan(
        source=source,
        grid=grid,
        ladder=ladder,
        audio=plan_audio(source.audio) if source.audio else None,
        container=container,
        thumbnails=plan_thumbnails(ladder[0], choose_step(grid.gop_frames, grid.frame_rate))
        if ladder
        else None,
        tapers=True,
    )


def plan_audio(audio: AudioTrack) -> AudioPlan:
    """Keep mono, mix everything else down to stereo; keep the two usual sample rates, else take 48 kHz."""
    channels = 1 if audio.channel_count == 1 else 2
    return AudioPlan(
        sample_rate_hz=audio.sample_rate_hz if audio.sample_rate_hz in (44_100, 48_000) else 48_000,
        channel_count=channels,
        audio_bps=64_000 * channels,
    )
