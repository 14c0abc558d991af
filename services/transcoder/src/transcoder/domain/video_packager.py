"""Pack video: the frames of one rung of one chunk, for TS together with their sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise

from transcoder.domain.audio_packager import time_adts_run
from transcoder.domain.boxes import ByteRange
from transcoder.domain.chunks import Chunk
from transcoder.domain.codecs import AvcConfig, read_avc_config
from transcoder.domain.fragment_writer import pack_gops
from transcoder.domain.fragments import FragmentReader, Sample, Track
from transcoder.domain.ladder import Rung
from transcoder.domain.packager import (
    IFrameRange,
    PackagingError,
    PackedSegment,
    RenditionInfo,
    as_packaging_errors,
    require_track,
)
from transcoder.domain.plan import Container, EncodePlan
from transcoder.domain.renditions import add_audio, describe_video
from transcoder.domain.ts import pack_ts_segment, to_annex_b, to_ticks
from transcoder.domain.ts_packets import AccessUnit


class VideoPackager:
    """Packs one rung of one chunk; with its audio, if that is to be muxed.

    Args:
        plan: The job's.
        rung: One of its ladder.
        chunk: One of its chunks.
        audio_runs: ADTS frames of each of the chunk's segments, if plan.audio_is_muxed; else nothing.
    """

    def __init__(self, plan: EncodePlan, rung: Rung, chunk: Chunk, audio_runs: Sequence[bytes] = ()) -> None:
        self._plan = plan
        self._grid = plan.grid
        self._rung = rung
        self._chunk = chunk
        self._audio_runs = audio_runs
        self._reader = FragmentReader()
        self._msn = chunk.first_segment
        self._frame = chunk.first_frame
        self._samples: list[Sample] = []
        self._delay = 0  # by which B-frames put off display; the init segment's edit list takes it off again

    def feed(self, data: bytes) -> list[PackedSegment]:
        with as_packaging_errors(self._rung.name):
            samples = self._reader.feed(data)
        return [segment for sample in samples for segment in self._take(sample)]

    def finish(self) -> None:
        missing = self._chunk.first_frame + self._chunk.frame_count - self._frame
        if missing:
            raise PackagingError(
                f"{self._rung.name} has {self._chunk.frame_count - missing} frames: "
                f"must be {self._chunk.frame_count}"
            )

    def _take(self, sample: Sample) -> Iterator[PackedSegment]:
        self._samples.append(self._place(sample))
        self._frame += 1
        if self._frame == self._grid.first_frame(self._msn + 1):
            yield self._pack()
            self._samples.clear()
            self._msn += 1

    def _place(self, sample: Sample) -> Sample:
        """Give a sample its time in the recording, after checking that it is the one that belongs there."""
        ticks = self._grid.frame_ticks
        in_chunk = self._frame - self._chunk.first_frame
        starts_gop = len(self._samples) % self._grid.gop_frames == 0
        if in_chunk == 0:
            self._delay = sample.composition_offset
        if starts_gop and sample.composition_offset != self._delay:
            raise PackagingError(
                f"{self._rung.name}, frame {in_chunk} is not the first of its GOP to be shown"
            )
        expected = (in_chunk * ticks, ticks, starts_gop)
        if (sample.decode_time, sample.duration, sample.is_sync) != expected:
            raise PackagingError(
                f"{self._rung.name}, frame {in_chunk}: (decode time, duration, I-frame) is "
                f"{(sample.decode_time, sample.duration, sample.is_sync)}, must be {expected}"
            )
        if in_chunk >= self._chunk.frame_count:
            raise PackagingError(f"{self._rung.name} has more than {self._chunk.frame_count} frames")
        return replace(sample, decode_time=self._frame * ticks)

    def _pack(self) -> PackedSegment:
        first_gop = self._grid.first_frame(self._msn) // self._grid.gop_frames
        if self._plan.container is Container.TS:
            data, ranges = self._pack_ts(first_gop)
        else:
            data, ranges = pack_gops(
                self._samples, track_id=self._track.track_id, first_sequence_number=first_gop + 1
            )
        return PackedSegment(
            rendition=self._rendition,
            msn=self._msn,
            start_s=float(self._grid.segment_start_s(self._msn)),
            duration_s=float(self._grid.segment_duration_s(self._msn)),
            data=data,
            iframes=self._time_iframes(ranges),
        )

    def _pack_ts(self, first_gop: int) -> tuple[bytes, tuple[ByteRange, ...]]:
        run = self._audio_runs[self._msn - self._chunk.first_segment] if self._audio_runs else b""
        return pack_ts_segment(
            [self._to_access_unit(sample) for sample in self._samples],
            time_adts_run(run, self._plan, self._msn),
            has_audio=self._plan.audio_is_muxed,
            first_gop=first_gop,
        )

    def _to_access_unit(self, sample: Sample) -> AccessUnit:
        timescale = self._grid.timescale
        decode_time = sample.decode_time - self._delay
        sets = (*self._config.sps, *self._config.pps) if sample.is_sync else ()
        return AccessUnit(
            presentation_ticks=to_ticks(decode_time + sample.composition_offset, timescale),
            decode_ticks=to_ticks(decode_time, timescale),
            is_sync=sample.is_sync,
            data=to_annex_b(sample.data, self._config.nal_length_bytes, sets),
        )

    def _time_iframes(self, ranges: Sequence[ByteRange]) -> tuple[IFrameRange, ...]:
        """Say how long each I-frame stands: for its GOP, the last of which may be shorter or longer."""
        frames = [index * self._grid.gop_frames for index in range(len(ranges))] + [len(self._samples)]
        return tuple(
            IFrameRange(
                offset_bytes=part.offset_bytes,
                size_bytes=part.size_bytes,
                duration_s=float((end - start) / self._grid.frame_rate),
            )
            for part, (start, end) in zip(ranges, pairwise(frames), strict=True)
        )

    @cached_property
    def _track(self) -> Track:
        return require_track(self._reader, self._rung.name, self._grid.timescale)

    @cached_property
    def _config(self) -> AvcConfig:
        with as_packaging_errors(self._rung.name):
            return read_avc_config(self._track.sample_entry)

    @cached_property
    def _rendition(self) -> RenditionInfo:
        init = self._reader.init if self._plan.container is Container.CMAF else None
        rendition = describe_video(self._rung, self._config, frame_rate=self._grid.frame_rate, init=init)
        return add_audio(rendition, self._plan) if self._plan.audio_is_muxed else rendition
