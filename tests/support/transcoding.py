"""Run the media core as a job would, and gather what it makes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from transcoder.adapters.encoder import Encoder, EncoderSettings
from transcoder.adapters.probe import probe
from transcoder.domain.ladder import Rung
from transcoder.domain.packager import PackedSegment
from transcoder.domain.plan import Container, EncodePlan, plan_encode

SMALL_RUNGS = (
    Rung(name="VeryLow", width_pixels=160, height_pixels=90, video_bps=300_000),
    Rung(name="Low", width_pixels=320, height_pixels=180, video_bps=800_000),
)
"""A ladder for small test sources; rich in bits, so that bar codes stay readable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A finished transcode: the plan, and every rendition's segments in order."""

    plan: EncodePlan
    segments: dict[str, list[PackedSegment]]

    def media(self, rendition_id: str) -> bytes:
        """A rendition as a player gets it: the init segment, if any, then all segments."""
        segments = self.segments[rendition_id]
        return (segments[0].rendition.init or b"") + b"".join(segment.data for segment in segments)


async def transcode(
    path: Path,
    *,
    container: Container = Container.CMAF,
    rungs: tuple[Rung, ...] = SMALL_RUNGS,
    segment_s: float = 1.0,
    gop_s: float = 0.5,
) -> Job:
    """Probe, plan and encode a source, its chunks side by side; short segments make many borders."""
    source = await probe(path)
    plan = plan_encode(source, rungs=rungs, container=container, segment_s=segment_s, gop_s=gop_s)
    encoder = Encoder(EncoderSettings(thread_count=1))
    segments: defaultdict[str, list[PackedSegment]] = defaultdict(list)
    audio: list[PackedSegment] = []
    if plan.audio:
        async with encoder.encode_audio(path, plan) as made:
            audio = [segment async for segment in made]

    async def encode(index: int) -> list[PackedSegment]:
        chunk = plan.chunks[index]
        runs = audio[chunk.first_segment : chunk.first_segment + chunk.segment_count]
        async with encoder.encode_chunk(
            path, plan, chunk, audio_runs=[run.data for run in runs] if plan.audio_is_muxed else ()
        ) as made:
            return [segment async for segment in made]

    chunks = await asyncio.gather(*(encode(index) for index in range(len(plan.chunks))))
    for segment in [segment for chunk in chunks for segment in chunk]:
        segments[segment.rendition.rendition_id].append(segment)
    if audio and not plan.audio_is_muxed:
        segments["audio"] = audio
    return Job(plan=plan, segments=dict(segments))
