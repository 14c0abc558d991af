"""Describe renditions: what the ledger tells of each, as measured from its init segment."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Protocol

from transcoder.domain.codecs import AacConfig, AvcConfig
from transcoder.domain.ladder import Rung
from transcoder.domain.packager import MediaKind, PackagingError, RenditionInfo
from transcoder.domain.plan import AUDIO_RENDITION_ID, AudioPlan
from transcoder.domain.source import Source

AAC_LC_CODECS = "mp4a.40.2"
"""What every audio encoding of ours is."""

AUDIO_PEAK_RATIO = 1.25
"""Peak over mean bitrate: AAC-LC moves bits between neighbouring frames."""


class Planned(Protocol):
    """A plan, of a job or of a live run, as far as its audio goes."""

    @property
    def source(self) -> Source: ...
    @property
    def audio(self) -> AudioPlan | None: ...


def describe_video(
    rung: Rung, config: AvcConfig, *, frame_rate: Fraction | None, init: bytes | None
) -> RenditionInfo:
    """Describe a rung's video; `init` is None for MPEG-TS."""
    return RenditionInfo(
        rendition_id=rung.name,
        name=rung.name,
        media_kind=MediaKind.VIDEO,
        codecs=config.codecs,
        width_pixels=config.width_pixels,
        height_pixels=config.height_pixels,
        frame_rate=frame_rate,
        target_bps=rung.video_bps,
        peak_bps=rung.peak_bps,
        init=init,
    )


def describe_audio(plan: Planned, config: AacConfig, *, init: bytes | None) -> RenditionInfo:
    """Describe a plan's audio as a rendition of its own; `init` is None for MPEG-TS."""
    nothing = RenditionInfo(
        rendition_id=AUDIO_RENDITION_ID, name="Audio", media_kind=MediaKind.AUDIO, codecs="", init=init
    )
    return replace(add_audio(nothing, plan), media_kind=MediaKind.AUDIO, codecs=config.codecs)


def add_audio(rendition: RenditionInfo, plan: Planned) -> RenditionInfo:
    """Say of a rendition that it carries the plan's audio too."""
    audio = require_audio(plan)
    return replace(
        rendition,
        media_kind=MediaKind.MUXED,
        codecs=f"{rendition.codecs},{AAC_LC_CODECS}",
        target_bps=rendition.target_bps + audio.audio_bps,
        peak_bps=rendition.peak_bps + round(AUDIO_PEAK_RATIO * audio.audio_bps),
        sample_rate_hz=audio.sample_rate_hz,
        channel_count=audio.channel_count,
        language=plan.source.audio.language if plan.source.audio else "",
    )


def require_audio(plan: Planned) -> AudioPlan:
    if plan.audio is None:
        raise PackagingError("the plan has no audio")
    return plan.audio
