"""Pack thumbnails: the pictures of one chunk, stacked into a sprite per segment."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from transcoder.domain.chunks import Chunk
from transcoder.domain.jpeg import JpegReader, stack_pictures
from transcoder.domain.packager import PackagingError, PackedSegment
from transcoder.domain.plan import EncodePlan
from transcoder.domain.thumbnails import ThumbnailPlan, describe_thumbnails, thumbnail_errors


class ThumbnailPackager:
    """Packs the pictures of one chunk.

    Args:
        plan: The job's.
        thumbnails: Its thumbnails.
        chunk: One of its chunks.
    """

    def __init__(self, plan: EncodePlan, thumbnails: ThumbnailPlan, chunk: Chunk) -> None:
        self._grid = plan.grid
        self._thumbnails = thumbnails
        self._rendition = describe_thumbnails(thumbnails, plan.grid.frame_rate)
        self._reader = JpegReader()
        self._pictures: deque[bytes] = deque()
        self._msn = chunk.first_segment
        self._end_msn = chunk.first_segment + chunk.segment_count

    def feed(self, data: bytes) -> list[PackedSegment]:
        with thumbnail_errors():
            self._pictures += self._reader.feed(data)
            return list(self._pack_whole())

    def finish(self) -> None:
        with thumbnail_errors():
            self._reader.finish()
        if self._msn < self._end_msn or self._pictures:
            raise PackagingError(
                f"{self._rendition.rendition_id}: {len(self._pictures)} pictures are there for the segments "
                f"from {self._msn} to {self._end_msn - 1}"
            )

    def _pack_whole(self) -> Iterator[PackedSegment]:
        while self._msn < self._end_msn and len(self._pictures) >= self._count(self._msn):
            pictures = [self._pictures.popleft() for _ in range(self._count(self._msn))]
            yield PackedSegment(
                rendition=self._rendition,
                msn=self._msn,
                start_s=float(self._grid.segment_start_s(self._msn)),
                duration_s=float(self._grid.segment_duration_s(self._msn)),
                data=stack_pictures(pictures),
            )
            self._msn += 1

    def _count(self, msn: int) -> int:
        return self._thumbnails.count(self._grid.first_frame(msn + 1) - self._grid.first_frame(msn))
