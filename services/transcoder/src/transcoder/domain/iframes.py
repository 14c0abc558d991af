"""Find the I-frames of a segment that was put together from its parts, for which nobody took them down."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from transcoder.domain.boxes import BoxError, ByteRange, iter_boxes
from transcoder.domain.fragments import FragmentReader
from transcoder.domain.packager import IFrameRange

# The sample entry of pictures; sound has no I-frames.
_PICTURES = "avc1"


class _Mark(NamedTuple):
    """Where an I-frame is in its segment, and when it is shown, counted from the segment's start."""

    place: ByteRange
    ticks: int


def find_iframes(init: bytes, data: bytes, duration_s: float) -> tuple[IFrameRange, ...]:
    """Name the I-frames of a CMAF segment: each begins a fragment, as the cutter makes them.

    Args:
        init: The init segment.
        data: The segment.
        duration_s: How long the segment lasts; its last I-frame stands until then.

    Raises:
        BoxError: The bytes are no fragments of one track.
    """
    reader = FragmentReader()
    reader.feed(init)
    if reader.track is None:
        raise BoxError("the init segment has no track")
    if reader.track.sample_entry.kind != _PICTURES:
        return ()
    marks = list(_marks(reader, data))
    times_s = (*(mark.ticks / reader.track.timescale for mark in marks), duration_s)
    return tuple(
        IFrameRange(**mark.place._asdict(), duration_s=end_s - start_s)
        for mark, (start_s, end_s) in zip(marks, pairwise(times_s), strict=True)
    )


def _marks(reader: FragmentReader, data: bytes) -> Iterator[_Mark]:
    offset = end = ticks = 0
    for box in iter_boxes(memoryview(data)):
        end += len(box.whole)
        samples = reader.feed(bytes(box.whole))
        if not samples:  # a moof: its mdat follows
            continue
        if samples[0].is_sync:
            others = sum(len(sample.data) for sample in samples[1:])
            yield _Mark(ByteRange(offset, end - offset - others), ticks)
        ticks += sum(sample.duration for sample in samples)
        offset = end
