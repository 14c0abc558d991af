"""Pack audio: the whole recording's, encoded once, so that there is no gap or click where segments meet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from transcoder.domain.codecs import AacConfig, read_aac_config, split_adts
from transcoder.domain.fragment_writer import pack_fragment
from transcoder.domain.fragments import FragmentReader, Sample
from transcoder.domain.packager import (
    PackagingError,
    PackedSegment,
    RenditionInfo,
    as_packaging_errors,
    require_track,
)
from transcoder.domain.plan import AUDIO_RENDITION_ID, Container, EncodePlan
from transcoder.domain.renditions import describe_audio, require_audio
from transcoder.domain.timing import AAC_FRAME_SAMPLES
from transcoder.domain.ts import pack_ts_segment, to_ticks
from transcoder.domain.ts_packets import AccessUnit

PRIMING_FRAMES = 1
"""Frames of silence with which ffmpeg's AAC encoder starts, before the first real sample."""


class AudioPackager:
    """Packs into CMAF; into TS if there is no video; or into bare ADTS runs that chunks mux with their video.

    Args:
        plan: The job's, with audio.
    """

    def __init__(self, plan: EncodePlan) -> None:
        self._plan = plan
        self._audio = require_audio(plan)
        self._reader = FragmentReader()
        self._samples: list[Sample] = []
        self._msn = 0
        self._frame = -PRIMING_FRAMES
        self._border = self._first_frame(1)
        self._end = self._first_frame(plan.grid.segment_count)

    def feed(self, data: bytes) -> list[PackedSegment]:
        with as_packaging_errors(AUDIO_RENDITION_ID):
            samples = self._reader.feed(data)
        return [segment for sample in samples for segment in self._take(sample)]

    def finish(self) -> None:
        if self._frame < self._end:
            raise PackagingError(f"audio has {self._frame} AAC frames: must be {self._end}")

    def _first_frame(self, msn: int) -> int:
        return self._plan.grid.first_audio_frame(msn, self._audio.sample_rate_hz)

    def _take(self, sample: Sample) -> Iterator[PackedSegment]:
        """Take the next frame; the priming, and what comes behind the end, are left out."""
        if 0 <= self._frame < self._end:
            time = self._frame * AAC_FRAME_SAMPLES
            self._samples.append(replace(sample, decode_time=time, duration=AAC_FRAME_SAMPLES))
        self._frame += 1
        if self._samples and self._frame == self._border:
            yield self._pack()
            self._samples.clear()
            self._msn += 1
            self._border = self._first_frame(self._msn + 1)

    def _pack(self) -> PackedSegment:
        rate = self._audio.sample_rate_hz
        return PackedSegment(
            rendition=self._rendition,
            msn=self._msn,
            start_s=self._samples[0].decode_time / rate,
            duration_s=len(self._samples) * AAC_FRAME_SAMPLES / rate,
            data=self._pack_data(),
        )

    def _pack_data(self) -> bytes:
        track = require_track(self._reader, AUDIO_RENDITION_ID, self._audio.sample_rate_hz)
        if self._plan.container is Container.CMAF:
            return pack_fragment(self._samples, track_id=track.track_id, sequence_number=self._msn + 1)
        run = b"".join(self._config.adts_header(len(sample.data)) + sample.data for sample in self._samples)
        if self._plan.audio_is_muxed:
            return run
        units = time_adts_run(run, self._plan, self._msn)
        return pack_ts_segment((), units, has_audio=True, first_gop=self._msn)[0]

    @cached_property
    def _config(self) -> AacConfig:
        track = require_track(self._reader, AUDIO_RENDITION_ID, self._audio.sample_rate_hz)
        with as_packaging_errors(AUDIO_RENDITION_ID):
            return read_aac_config(track.sample_entry)

    @cached_property
    def _rendition(self) -> RenditionInfo:
        init = self._reader.init if self._plan.container is Container.CMAF else None
        return describe_audio(self._plan, self._config, init=init)


def time_adts_run(run: bytes, plan: EncodePlan, msn: int) -> list[AccessUnit]:
    """Cut the ADTS run of segment `msn` into frames with their times; nothing of an empty run."""
    if not run:
        return []
    rate = require_audio(plan).sample_rate_hz
    first = plan.grid.first_audio_frame(msn, rate)
    with as_packaging_errors(AUDIO_RENDITION_ID):
        frames = split_adts(run)
    ticks = [to_ticks((first + index) * AAC_FRAME_SAMPLES, rate) for index in range(len(frames))]
    return [
        AccessUnit(presentation_ticks=time, decode_ticks=time, is_sync=True, data=frame)
        for time, frame in zip(ticks, frames, strict=True)
    ]
