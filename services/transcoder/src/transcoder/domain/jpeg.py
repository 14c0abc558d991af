"""Baseline JPEG as far as storyboards need it: find pictures in a stream of bytes, and stack them into one.

The entropy-coded data of a picture starts anew behind a restart marker (ITU-T T.81, E.2.4). So pictures of
one encoder become one picture, one below the other, by writing their data behind each other as restart
intervals: nothing is decoded, nothing lost, and a sprite has as many rows as there are pictures for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_MARKER = 0xFF
_SOF0, _SOS, _DRI = 0xC0, 0xDA, 0xDD
_RST0 = 0xD0
_RST_COUNT = 8
_BLOCK_PIXELS = 8
_MAX_HEIGHT_PIXELS = _MAX_INTERVAL = 0xFFFF


class JpegError(ValueError):
    """Bytes that are no baseline JPEG, or pictures that do not belong together."""


class JpegReader:
    """Finds the pictures in a stream of them, whatever pieces it comes in."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next piece, of any size; return the pictures that it completes.

        Raises:
            JpegError: What came is no JPEG.
        """
        self._data += data
        pictures: list[bytes] = []
        while end := _find_end(self._data):
            pictures.append(self._data[:end])
            self._data = self._data[end:]
        return pictures

    def finish(self) -> None:
        """Take the stream's end.

        Raises:
            JpegError: It is within a picture.
        """
        if self._data:
            raise JpegError(f"the last {len(self._data)} bytes are no whole picture")


def stack_pictures(pictures: Sequence[bytes]) -> bytes:
    """Make one picture of several, which stand in it one below the other.

    Args:
        pictures: At least one; of one size and by one encoder with fixed tables. Their height is a whole
            number of their blocks, so that none ends within one.

    Raises:
        JpegError: They differ in more than in what they show, or cannot be stacked.
    """
    first, *others = (_take_apart(picture) for picture in pictures)
    if any(other.head != first.head for other in others):
        raise JpegError("the pictures differ in size or tables")
    if not others:
        return pictures[0]
    head = _stacked_head(first.head, len(pictures))
    restarts = (bytes((_MARKER, _RST0 + index % _RST_COUNT)) for index in range(len(others)))
    rows = b"".join(restart + other.scan for restart, other in zip(restarts, others, strict=True))
    return head + first.scan + rows + _EOI


@dataclass(frozen=True, slots=True)
class _Picture:
    head: bytes
    """All up to the entropy-coded data."""
    scan: bytes
    """The entropy-coded data."""


def _find_end(data: bytes) -> int:
    """Find where the first picture ends; 0 if not all of it is there."""
    scan = _find_scan(data)
    end = data.find(_EOI, scan) if scan else -1
    return end + len(_EOI) if end >= 0 else 0


def _find_scan(data: bytes) -> int:
    """Find where the entropy-coded data begins, in which 0xFF is never followed by a marker's code; or 0."""
    if not _SOI.startswith(data[:2]):
        raise JpegError(f"a picture begins with {data[:2].hex()}, must be {_SOI.hex()}")
    place = len(_SOI)
    while len(data) >= place + 4:
        if data[place] != _MARKER:
            raise JpegError(f"byte {place} of a picture is {data[place]:#x}, must be a marker")
        marker, place = data[place + 1], place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == _SOS:
            return place if len(data) >= place else 0
    return 0


def _take_apart(picture: bytes) -> _Picture:
    scan = _find_scan(picture)
    if not scan or not picture.endswith(_EOI):
        raise JpegError("a picture is cut off")
    return _Picture(picture[:scan], picture[scan : -len(_EOI)])


def _stacked_head(head: bytes, count: int) -> bytes:
    """Say of a head that so many pictures follow, each as a restart interval."""
    markers = dict(_markers(head))
    if _SOF0 not in markers or _DRI in markers:
        raise JpegError(f"a picture has the markers {[hex(marker) for marker in markers]}, must be baseline")
    frame, scan = markers[_SOF0], markers[_SOS]
    height, width = (int.from_bytes(head[frame + at : frame + at + 2], "big") for at in (5, 7))
    sampling = head[frame + 11]  # of the luma, which has the most samples
    block_width, block_height = _BLOCK_PIXELS * (sampling >> 4), _BLOCK_PIXELS * (sampling & 0xF)
    interval = -(-width // block_width) * (height // block_height)
    if height % block_height or height * count > _MAX_HEIGHT_PIXELS or interval > _MAX_INTERVAL:
        raise JpegError(f"{count} pictures of {width}x{height} cannot be stacked")
    restart = bytes((_MARKER, _DRI, 0, 4)) + interval.to_bytes(2, "big")
    taller = (height * count).to_bytes(2, "big")
    return head[: frame + 5] + taller + head[frame + 7 : scan] + restart + head[scan:]


def _markers(head: bytes) -> Iterator[tuple[int, int]]:
    """Walk over the markers of a head, each with its place."""
    place = len(_SOI)
    while place < len(head):
        yield head[place + 1], place
        place += 2 + int.from_bytes(head[place + 2 : place + 4], "big")
