"""Cut a live rendition into MPEG-TS: whole segments only, pictures together with their sound."""

from __future__ import annotations

from collections.abc import Iterator

from transcoder.domain.fragments import Sample
from transcoder.domain.live_cutter import IFrameMark, LiveSegment, LiveTrack, time_iframes
from transcoder.domain.live_grid import LiveGrid
from transcoder.domain.packager import MediaKind
from transcoder.domain.ts import pack_ts_segment, to_ticks
from transcoder.domain.ts_packets import AccessUnit


class TsCutter:
    """Cuts one rendition, of pictures, of sound, or of both.

    Args:
        track: What it is made of.
        muxed: The sound that joins its pictures, if any.
    """

    def __init__(self, track: LiveTrack, muxed: LiveTrack | None = None) -> None:
        self._track = track
        self._own = _Lane(track.grid)
        self._muxed = _Lane(muxed.grid) if muxed else None
        self._segment = 0
        self._gop_count = 0

    def take(self, sample: Sample) -> Iterator[LiveSegment]:
        """Take the track's next frame; yield what it completes."""
        self._own.take(sample)
        return self._cut_whole()

    def take_sound(self, sample: Sample) -> Iterator[LiveSegment]:
        """Take the next frame of sound; yield what it completes."""
        (self._muxed or self._own).take(sample)
        return self._cut_whole()

    def finish(self) -> Iterator[LiveSegment]:
        """End the segments under way where they are."""
        while self._own.units:
            yield self._cut()

    def _cut_whole(self) -> Iterator[LiveSegment]:
        while all(lane.has_whole(self._segment) for lane in (self._own, self._muxed) if lane):
            yield self._cut()

    def _cut(self) -> LiveSegment:
        grid, number = self._track.grid, self._segment
        units = self._own.cut(number)
        sound = self._muxed.cut(number) if self._muxed else []
        if self._track.rendition.media_kind is MediaKind.AUDIO:
            data, places = pack_ts_segment((), units, has_audio=True, first_gop=self._gop_count)
        else:
            has_audio = self._muxed is not None
            data, places = pack_ts_segment(units, sound, has_audio=has_audio, first_gop=self._gop_count)
        frames = [frame for frame, unit in enumerate(units) if unit.is_sync]
        marks = [IFrameMark(place, frame) for place, frame in zip(places, frames, strict=False)]
        self._gop_count += len(marks) or 1
        self._segment += 1
        return LiveSegment(
            rendition=self._track.rendition,
            segment=number,
            start_s=float(grid.time_s(grid.first_frame(number))),
            duration_s=grid.duration_s(len(units)),
            data=data,
            iframes=time_iframes(grid, marks, len(units)),
        )


class _Lane:
    """The frames of one kind that are not in a segment yet."""

    def __init__(self, grid: LiveGrid) -> None:
        self.units: list[AccessUnit] = []
        self._grid = grid
        self._first = 0

    def take(self, sample: Sample) -> None:
        ticks = to_ticks(sample.decode_time, self._grid.timescale)
        unit = AccessUnit(
            presentation_ticks=ticks, decode_ticks=ticks, is_sync=sample.is_sync, data=sample.data
        )
        self.units.append(unit)

    def has_whole(self, segment: int) -> bool:
        return self._first + len(self.units) >= self._grid.first_frame(segment + 1)

    def cut(self, segment: int) -> list[AccessUnit]:
        """Take out the frames of a segment, as far as they are there."""
        count = self._grid.first_frame(segment + 1) - self._first
        cut, self.units = self.units[:count], self.units[count:]
        self._first += len(cut)
        return cut
