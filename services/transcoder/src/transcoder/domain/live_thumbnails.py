"""Cut the thumbnails of a live run: pictures in, a sprite for each segment out, once that one is whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from transcoder.domain.jpeg import JpegReader, stack_pictures
from transcoder.domain.live_cutter import LiveMedia, LiveSegment
from transcoder.domain.live_plan import LivePlan
from transcoder.domain.thumbnails import ThumbnailPlan, describe_thumbnails, thumbnail_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beside:
    """What a sprite takes over from the segment that it stands beside; that one's bytes are not kept."""

    segment: int
    start_s: float
    duration_s: float


class LiveThumbnails:
    """Makes sprites beside the segments of the smallest rung, which they neither precede nor hold up.

    Args:
        plan: The run's, with video.
        thumbnails: Its thumbnails.
    """

    def __init__(self, plan: LivePlan, thumbnails: ThumbnailPlan) -> None:
        self._grid = plan.video_grid
        self._thumbnails = thumbnails
        self._rendition = describe_thumbnails(thumbnails, 1 / self._grid.frame_s)
        self._beside = plan.ladder[0].name
        self._reader = JpegReader()
        self._pictures: deque[bytes] = deque()
        self._segments: deque[_Beside] = deque()
        """Those whose sprites are to come."""

    def feed(self, data: bytes) -> Iterator[LiveSegment]:
        """Take the next piece of the pictures, of any size; yield the sprites that it completes.

        Raises:
            PackagingError: The encoder made something else.
        """
        with thumbnail_errors():
            self._pictures += self._reader.feed(data)
        return self._stack_whole()

    def follow(self, media: Iterable[LiveMedia]) -> Iterator[LiveSegment]:
        """Take what other renditions have made; yield the sprites that stand beside it.

        A segment whose pictures do not come has none: it becomes a gap at the end of the run.
        """
        for item in media:
            if isinstance(item, LiveSegment) and item.rendition.rendition_id == self._beside:
                beside = _Beside(segment=item.segment, start_s=item.start_s, duration_s=item.duration_s)
                self._segments.append(beside)
        return self._stack_whole()

    def _stack_whole(self) -> Iterator[LiveSegment]:
        while self._segments and len(self._pictures) >= (count := self._count(self._segments[0])):
            segment = self._segments.popleft()
            with thumbnail_errors():
                data = stack_pictures([self._pictures.popleft() for _ in range(count)])
            yield LiveSegment(
                rendition=self._rendition,
                segment=segment.segment,
                start_s=segment.start_s,
                duration_s=segment.duration_s,
                data=data,
            )

    def _count(self, segment: _Beside) -> int:
        return self._thumbnails.count(round(segment.duration_s / self._grid.frame_s))
