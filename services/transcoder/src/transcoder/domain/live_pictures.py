"""Read one rung's frames of a live run, each checked to be where the grid has it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cached_property

from transcoder.domain.codecs import AvcConfig, read_avc_config
from transcoder.domain.fragments import FragmentReader, Sample
from transcoder.domain.ladder import Rung
from transcoder.domain.live_plan import LivePlan
from transcoder.domain.packager import PackagingError, RenditionInfo, as_packaging_errors, require_track
from transcoder.domain.plan import Container
from transcoder.domain.renditions import add_audio, describe_video
from transcoder.domain.ts import to_annex_b


class LivePictures:
    """Turns what the encoder writes for one rung into frames.

    Args:
        plan: The run's.
        rung: One of its ladder.
    """

    def __init__(self, plan: LivePlan, rung: Rung) -> None:
        self._plan = plan
        self._rung = rung
        self.grid = plan.video_grid
        self._reader = FragmentReader()
        self._frame = 0

    @property
    def end_s(self) -> Fraction:
        """How far the frames reach that have come."""
        return self.grid.time_s(self._frame)

    def feed(self, data: bytes) -> Iterator[Sample]:
        """Take the next piece of the stream, of any size; yield the frames that it completes, in order.

        Their data are as in the MP4; for MPEG-TS, byte streams with start codes.

        Raises:
            PackagingError: A frame is not where the grid has it.
        """
        with as_packaging_errors(self._rung.name):
            samples = self._reader.feed(data)
        for sample in samples:
            yield self._check(sample)
            self._frame += 1

    def finish(self) -> None:
        """Take the stream's end.

        Raises:
            PackagingError: It is within a frame.
        """
        with as_packaging_errors(self._rung.name):
            self._reader.finish()

    def _check(self, sample: Sample) -> Sample:
        """Without B-frames, frames are shown in the order, and at the time, in which they are decoded."""
        ticks = self.grid.frame_ticks
        expected = (self._frame * ticks, 0, self._frame % self._plan.gop_frames == 0)
        found = (sample.decode_time, sample.composition_offset, sample.is_sync)
        if found != expected:
            raise PackagingError(
                f"{self._rung.name}, frame {self._frame}: (decode time, delay, I-frame) is {found}, "
                f"must be {expected}"
            )
        return replace(sample, duration=ticks, data=self._pack(sample))

    def _pack(self, sample: Sample) -> bytes:
        """Keep a frame as it is for CMAF; make it a byte stream for MPEG-TS."""
        if self._plan.container is Container.CMAF:
            return sample.data
        sets = (*self._config.sps, *self._config.pps) if sample.is_sync else ()
        return to_annex_b(sample.data, self._config.nal_length_bytes, sets)

    @property
    def track_id(self) -> int:
        return require_track(self._reader, self._rung.name, self.grid.timescale).track_id

    @cached_property
    def rendition(self) -> RenditionInfo:
        init = self._reader.init if self._plan.container is Container.CMAF else None
        rendition = describe_video(self._rung, self._config, frame_rate=self._plan.frame_rate, init=init)
        return add_audio(rendition, self._plan) if self._plan.audio_is_muxed else rendition

    @cached_property
    def _config(self) -> AvcConfig:
        track = require_track(self._reader, self._rung.name, self.grid.timescale)
        with as_packaging_errors(self._rung.name):
            return read_avc_config(track.sample_entry)
