"""Cut a live rendition: frames in, parts and segments out, each as soon as its last frame is there.

Parts have a fixed number of frames, counted from the start of their segment. A segment is its parts, one
behind the other, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Protocol

from transcoder.domain.boxes import ByteRange
from transcoder.domain.fragment_writer import pack_fragment
from transcoder.domain.fragments import Sample
from transcoder.domain.live_grid import LiveGrid
from transcoder.domain.packager import IFrameRange, MediaKind, RenditionInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePart:
    """One finished part of one rendition. Numbers and times count from the start of the run."""

    rendition: RenditionInfo
    segment: int
    part: int
    """Within its segment, from 0."""
    start_s: float
    duration_s: float
    independent: bool
    """It begins with an I-frame, or is audio: decoding can start with it."""
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSegment:
    """One finished segment of one rendition. Numbers and times count from the start of the run."""

    rendition: RenditionInfo
    segment: int
    start_s: float
    duration_s: float
    data: bytes
    """If there are parts: theirs, one behind the other."""
    iframes: tuple[IFrameRange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRenditionEnd:
    """A rendition is left out from here on, behind a whole segment; the others go on."""

    rendition: RenditionInfo


LiveMedia = LivePart | LiveSegment
LiveOutput = LiveMedia | LiveRenditionEnd


class LiveTrack(Protocol):
    """What a rendition is made of."""

    @property
    def grid(self) -> LiveGrid: ...
    @property
    def rendition(self) -> RenditionInfo:
        """Known once the first frame has come; so is the next one."""

    @property
    def track_id(self) -> int: ...


class LiveCutter(Protocol):
    """Turns the frames of a rendition into its parts and segments."""

    def take(self, sample: Sample) -> Iterator[LiveMedia]:
        """Take the next frame, with its time on the grid; yield what it completes."""

    def take_sound(self, sample: Sample) -> Iterator[LiveMedia]:
        """Take the next frame of sound: the rendition's own, or what is muxed into it."""

    def finish(self) -> Iterator[LiveMedia]:
        """End the segments under way where they are."""


class IFrameMark(NamedTuple):
    """Where an I-frame is in a segment: its bytes, and its frame counted from the segment's start."""

    place: ByteRange
    frame: int


class CmafCutter:
    """Cuts one rendition into CMAF, with parts if its grid has any.

    Args:
        track: What it is made of.
    """

    def __init__(self, track: LiveTrack) -> None:
        self._track = track
        self._grid = track.grid
        self._segment = 0
        self._segment_frames = self._grid.first_frame(1)
        self._part = 0
        self._samples: list[Sample] = []
        """Of the part under way."""
        self._packed_frames = 0
        """Frames of the segment in the parts before it."""
        self._data = bytearray()
        self._marks: list[IFrameMark] = []
        self._fragment_count = 0

    def take(self, sample: Sample) -> Iterator[LiveMedia]:
        """Take the next frame, with its time on the grid; yield what it completes."""
        self._samples.append(sample)
        if self._packed_frames + len(self._samples) == self._segment_frames:
            yield from self.finish()
        elif len(self._samples) == self._grid.part_frames:
            yield from self._end_part()

    def take_sound(self, sample: Sample) -> Iterator[LiveMedia]:
        """Take the next frame of sound: in CMAF, sound is a rendition of its own."""
        return self.take(sample)

    def finish(self) -> Iterator[LiveMedia]:
        """End the segment under way, if there is one, where it is."""
        if self._samples:
            yield from self._end_part()
        if not self._packed_frames:
            return
        yield LiveSegment(
            rendition=self._track.rendition,
            segment=self._segment,
            start_s=self._start_s(0),
            duration_s=self._grid.duration_s(self._packed_frames),
            data=bytes(self._data),
            iframes=time_iframes(self._grid, self._marks, self._packed_frames),
        )
        self._segment, self._part, self._packed_frames = self._segment + 1, 0, 0
        first, end = (self._grid.first_frame(segment) for segment in (self._segment, self._segment + 1))
        self._segment_frames = end - first
        self._data.clear()
        self._marks.clear()

    def _end_part(self) -> Iterator[LivePart]:
        samples, self._samples = self._samples, []
        data = b"".join(self._pack(fragment) for fragment in self._split(samples))
        if self._grid.part_frames:
            yield LivePart(
                rendition=self._track.rendition,
                segment=self._segment,
                part=self._part,
                start_s=self._start_s(self._packed_frames - len(samples)),
                duration_s=self._grid.duration_s(len(samples)),
                independent=samples[0].is_sync,
                data=data,
            )
        self._part += 1

    def _split(self, samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
        """Give each GOP of the picture a fragment of its own, so that its I-frame can be fetched alone."""
        inner = range(1, len(samples)) if self._track.rendition.media_kind is MediaKind.VIDEO else ()
        starts = [0, *(place for place in inner if samples[place].is_sync), len(samples)]
        return (samples[start:end] for start, end in pairwise(starts))

    def _pack(self, samples: Sequence[Sample]) -> bytes:
        self._fragment_count += 1
        data = pack_fragment(samples, track_id=self._track.track_id, sequence_number=self._fragment_count)
        if samples[0].is_sync and self._track.rendition.media_kind is MediaKind.VIDEO:
            size = len(data) - sum(len(sample.data) for sample in samples[1:])
            self._marks.append(IFrameMark(ByteRange(len(self._data), size), self._packed_frames))
        self._data += data
        self._packed_frames += len(samples)
        return data

    def _start_s(self, frame: int) -> float:
        """Time of a frame, counted from the segment's first."""
        return float(self._grid.time_s(self._grid.first_frame(self._segment) + frame))


def time_iframes(grid: LiveGrid, marks: Sequence[IFrameMark], frame_count: int) -> tuple[IFrameRange, ...]:
    """Say how long each I-frame stands: until the next one, or the end of its segment of so many frames."""
    ends = [*(mark.frame for mark in marks[1:]), frame_count]
    return tuple(
        IFrameRange(
            offset_bytes=mark.place.offset_bytes,
            size_bytes=mark.place.size_bytes,
            duration_s=grid.duration_s(end - mark.frame),
        )
        for mark, end in zip(marks, ends, strict=False)  # sound has no I-frames, yet an end
    )
