"""Turn the outputs of a live run's encoder into parts and segments of all its renditions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

from transcoder.domain.fragments import Sample
from transcoder.domain.live_cutter import (
    CmafCutter,
    LiveCutter,
    LiveMedia,
    LiveOutput,
    LiveRenditionEnd,
    LiveSegment,
    LiveTrack,
)
from transcoder.domain.live_pictures import LivePictures
from transcoder.domain.live_plan import LivePlan
from transcoder.domain.live_sound import LiveSound
from transcoder.domain.live_thumbnails import LiveThumbnails
from transcoder.domain.live_ts import TsCutter
from transcoder.domain.plan import Container


class LiveRun:
    """Cuts what one encoder writes.

    Its outputs are an fMP4 stream per rung, ascending, then one of audio and one of JPEGs, if there are any.

    Args:
        plan: The run's.
    """

    def __init__(self, plan: LivePlan) -> None:
        self._pictures = [LivePictures(plan, rung) for rung in plan.ladder]
        self._sound = LiveSound(plan) if plan.audio else None
        self._thumbnails = LiveThumbnails(plan, plan.thumbnails) if plan.thumbnails else None
        self._end_s = Fraction(0)
        self._numbers = {rung.name: number for number, rung in enumerate(plan.ladder)}
        self._leaving: int | None = None
        self._left_out: set[int] = set()
        muxed = self._sound if plan.audio_is_muxed else None
        is_ts = plan.container is Container.TS

        def cutter_of(track: LiveTrack) -> LiveCutter:
            return TsCutter(track, muxed) if is_ts else CmafCutter(track)

        self._cutters = [cutter_of(pictures) for pictures in self._pictures]
        self._sound_cutters = self._cutters if muxed else []
        if self._sound and not muxed:
            self._sound_cutters = [cutter_of(self._sound)]

    @property
    def end_s(self) -> float:
        """How far what came reaches, in the rendition that is farthest."""
        return float(self._end_s)

    def feed(self, number: int, data: bytes, now: float) -> list[LiveOutput]:
        """Take the next piece, of any size, of one output; return what it completes.

        Args:
            number: Of the output.
            data: The piece.
            now: Seconds of any clock that never goes back.

        Raises:
            PackagingError: The encoder made something else than was planned.
        """
        return [] if number in self._left_out else list(self._until_left_out(self._cut(number, data, now)))

    def _cut(self, number: int, data: bytes, now: float) -> list[LiveMedia]:
        if number < len(self._pictures):
            return self._with_thumbnails(self._feed_pictures(number, data, now))
        if self._sound and number == len(self._pictures):
            return self._with_thumbnails(self._feed_sound(data, now))
        return list(self._thumbnails.feed(data)) if self._thumbnails else []

    def finish(self) -> list[LiveOutput]:
        """Take the end of all outputs; return the last segments, which are shorter than usual.

        Raises:
            PackagingError: An output ended within a frame.
        """
        return list(self._until_left_out(self._cut_rest()))

    def drop_top_rung(self) -> None:
        """Leave the highest rung out from its next segment on."""
        self._leaving = len(self._pictures) - 1 - len(self._left_out)

    @property
    def is_dropping(self) -> bool:
        """Whether a rung that is to be left out is under way to the end of its segment."""
        return self._leaving is not None

    def _until_left_out(self, media: Iterable[LiveMedia]) -> Iterator[LiveOutput]:
        """Pass on what is made, and of the rung that is to be left out no more than its present segment."""
        for item in media:
            number = self._numbers.get(item.rendition.rendition_id)
            if number is None or number not in self._left_out:
                yield item
            if number is not None and number == self._leaving and isinstance(item, LiveSegment):
                self._leave_out(number)
                yield LiveRenditionEnd(rendition=item.rendition)

    def _leave_out(self, number: int) -> None:
        self._left_out.add(number)
        self._leaving = None
        self._sound_cutters = [one for one in self._sound_cutters if one is not self._cutters[number]]

    def _cut_rest(self) -> list[LiveMedia]:
        for number, pictures in enumerate(self._pictures):
            if number not in self._left_out:
                pictures.finish()
        media = list(self._spread(self._sound.finish(self._end_s))) if self._sound else []
        cutters = dict.fromkeys([*self._cutters, *self._sound_cutters])
        return self._with_thumbnails([*media, *(item for cutter in cutters for item in cutter.finish())])

    def _with_thumbnails(self, media: Iterable[LiveMedia]) -> list[LiveMedia]:
        """Add the sprites that stand beside what was made."""
        made = list(media)
        return [*made, *self._thumbnails.follow(made)] if self._thumbnails else made

    def _feed_pictures(self, number: int, data: bytes, now: float) -> Iterator[LiveMedia]:
        pictures, cutter = self._pictures[number], self._cutters[number]
        for sample in pictures.feed(data):
            yield from cutter.take(sample)
        self._end_s = max(self._end_s, pictures.end_s)
        if self._sound:
            yield from self._spread(self._sound.follow(self._end_s, now))

    def _feed_sound(self, data: bytes, now: float) -> Iterator[LiveMedia]:
        if self._sound:
            yield from self._spread(self._sound.feed(data, now))
            self._end_s = max(self._end_s, self._sound.end_s)

    def _spread(self, samples: Iterable[Sample]) -> Iterator[LiveMedia]:
        """Give sound to the rendition of its own, or to each rung that it is muxed into."""
        for sample in samples:
            for cutter in self._sound_cutters:
                yield from cutter.take_sound(sample)
