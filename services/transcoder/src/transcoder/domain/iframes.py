"""Tell which bytes of a segment show one I-frame: for EXT-X-I-FRAMES-ONLY (rfc8216bis 4.4.3.6).

For segments that others have made, and those that are put together from their parts; cutters take I-frames
down as they go. A range must bring what a decoder needs: in MPEG-TS the tables, in fMP4 the moof. An I-frame
that lies where no such range begins is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from transcoder.domain.boxes import BoxError, iter_boxes
from transcoder.domain.fragments import FragmentReader, Track
from transcoder.domain.packager import IFrameRange
from transcoder.domain.ts_packets import PACKET_BYTES, PAT_PID

# The sample entry of pictures; sound has no I-frames.
_PICTURES = "avc1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One coded picture, and where its bytes lie."""

    time_s: float
    offset_bytes: int
    size_bytes: int
    is_intra: bool


def ts_iframes(data: bytes, pictures: Sequence[Picture], end_s: float) -> tuple[IFrameRange, ...]:
    """Find the I-frames of an MPEG-TS segment: from the tables before each to where the next picture begins.

    Args:
        data: The segment.
        pictures: All of it, in the order of their bytes.
        end_s: When the last picture ends.
    """
    ends = [picture.offset_bytes for picture in pictures[1:]] + [len(data)]
    found = [
        (picture, start, end - start)
        for picture, end in zip(pictures, ends, strict=True)
        if picture.is_intra and (start := _tables_before(data, picture.offset_bytes)) is not None
    ]
    return _timed(found, end_s)


def fmp4_iframes(data: bytes, pictures: Sequence[Picture], end_s: float) -> tuple[IFrameRange, ...]:
    """Find the I-frames of an fMP4 segment: from a moof to the end of its first picture."""
    starts = [*_moof_offsets(data), len(data)]
    found = []
    for start, end in pairwise(starts):
        own = [picture for picture in pictures if start <= picture.offset_bytes < end]
        first = min(own, key=lambda picture: picture.offset_bytes, default=None)
        if first and first.is_intra:
            found.append((first, start, first.offset_bytes + first.size_bytes - start))
    return _timed(found, end_s)


def own_iframes(init: bytes, data: bytes, duration_s: float) -> tuple[IFrameRange, ...]:
    """Find the I-frames of a CMAF segment as the cutter makes them, of pictures or of sound.

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
    return fmp4_iframes(data, list(_first_pictures(reader, reader.track, data)), duration_s)


def _first_pictures(reader: FragmentReader, track: Track, data: bytes) -> Iterator[Picture]:
    """Find the first picture of each fragment; the cutter fills an mdat with pictures alone."""
    end = ticks = 0
    for box in iter_boxes(memoryview(data)):
        end += len(box.whole)
        samples = reader.feed(bytes(box.whole))
        if not samples:  # a moof: its mdat follows
            continue
        yield Picture(
            time_s=ticks / track.timescale,
            offset_bytes=end - sum(len(sample.data) for sample in samples),
            size_bytes=len(samples[0].data),
            is_intra=samples[0].is_sync,
        )
        ticks += sum(sample.duration for sample in samples)


def _timed(found: Sequence[tuple[Picture, int, int]], end_s: float) -> tuple[IFrameRange, ...]:
    times = [picture.time_s for picture, _, _ in found] + [end_s]
    return tuple(
        IFrameRange(offset_bytes=start, size_bytes=size, duration_s=round(later - now, 6))
        for (_, start, size), (now, later) in zip(found, pairwise(times), strict=True)
        if later > now
    )


def _moof_offsets(data: bytes) -> Iterator[int]:
    place = 0
    for box in iter_boxes(memoryview(data)):
        if box.kind == "moof":
            yield place
        place += len(box.whole)


def _tables_before(data: bytes, offset_bytes: int) -> int | None:
    """Find the PAT before a picture, with nothing but other tables between them."""
    place = offset_bytes - PACKET_BYTES
    while place >= 0 and _is_table(data, place):
        if _pid(data, place) == PAT_PID:
            return place
        place -= PACKET_BYTES
    return None


def _pid(data: bytes, place: int) -> int:
    return int.from_bytes(data[place + 1 : place + 3], "big") & 0x1FFF


def _is_table(data: bytes, place: int) -> bool:
    """Whether a packet begins a table: a pointer field, then a table id; a PES would begin with 00 00 01."""
    has_start, adapts = data[place + 1] & 0x40, data[place + 3] & 0x20
    return bool(has_start) and not adapts and data[place + 4 : place + 7] != b"\0\0\1"
