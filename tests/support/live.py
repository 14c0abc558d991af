"""Live runs for tests: sources, real runs of the encoder, and a look at what comes out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from transcoder.adapters.encoder import EncoderSettings
from transcoder.adapters.live_encoder import LiveEncode, LiveEncoder
from transcoder.adapters.live_probe import probe_head
from transcoder.domain.ladder import Rung
from transcoder.domain.live_cutter import LiveMedia, LiveOutput, LivePart, LiveRenditionEnd, LiveSegment
from transcoder.domain.live_plan import HEAD_BYTES, LivePlan, plan_live
from transcoder.domain.packager import RenditionInfo

RUNGS = (
    Rung(name="Small", width_pixels=160, height_pixels=90, video_bps=100_000),
    Rung(name="Large", width_pixels=320, height_pixels=180, video_bps=200_000),
)
ENCODER = LiveEncoder(EncoderSettings(preset="ultrafast"))


async def plan_head(data: bytes, demuxer: str, **wishes: Any) -> LivePlan:
    """Plan two small rungs, segments of 2 s, and parts of a third of a second, unless wished otherwise."""
    source = await probe_head(data[:HEAD_BYTES], demuxer)
    usual: dict[str, Any] = {"rungs": RUNGS, "target_duration_s": 2, "part_target_s": 0.334}
    return plan_live(source, **(usual | wishes))


async def run_live(
    plan: LivePlan, data: bytes, *, encoder: LiveEncoder = ENCODER, piece_bytes: int = 10_000
) -> Cut:
    """Encode a source whose bytes arrive in pieces."""
    async with asyncio.timeout(60), encoder.encode(plan) as encode:
        writing = asyncio.create_task(write_all(encode, data, piece_bytes))
        media = [item async for item in encode.outputs()]
        await writing
    return Cut(media)


async def write_all(encode: LiveEncode, data: bytes, piece_bytes: int = 10_000) -> None:
    for place in range(0, len(data), piece_bytes):
        await encode.write(data[place : place + piece_bytes])
    await encode.finish()


class Cut:
    """All that came out of a run."""

    def __init__(self, media: Sequence[LiveOutput]) -> None:
        self.media = [item for item in media if not isinstance(item, LiveRenditionEnd)]

    @property
    def renditions(self) -> dict[str, RenditionInfo]:
        found = {item.rendition for item in self.media}
        assert len({rendition.rendition_id for rendition in found}) == len(found)
        return {rendition.rendition_id: rendition for rendition in found}

    def segments(self, rendition_id: str) -> list[LiveSegment]:
        """A rendition's segments; fails if one is missing or does not begin where the last one ended."""
        found = [item for item in self._of(rendition_id) if isinstance(item, LiveSegment)]
        assert [item.segment for item in found] == list(range(len(found)))
        ends = [0.0] + [item.start_s + item.duration_s for item in found]
        assert all(abs(item.start_s - end) < 1e-6 for item, end in zip(found, ends, strict=False))
        return found

    def parts(self, rendition_id: str, segment: int) -> list[LivePart]:
        found = [item for item in self._of(rendition_id) if isinstance(item, LivePart)]
        return [item for item in found if item.segment == segment]

    def track(self, rendition_id: str) -> bytes:
        """All of a rendition, to be decoded."""
        init = self.renditions[rendition_id].init or b""
        return init + b"".join(item.data for item in self.segments(rendition_id))

    def _of(self, rendition_id: str) -> list[LiveMedia]:
        return [item for item in self.media if item.rendition.rendition_id == rendition_id]
