"""Take the body of a ready segment apart: in fMP4 it may lead with its init segment."""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from chassis.errors import InvalidArgument
from transcoder.domain.boxes import BoxError, iter_boxes
from transcoder.domain.plan import Container
from transcoder.domain.ts_packets import PACKET_BYTES

TS_SYNC = 0x47
MOST_BOXES = 10_000
"""A fragment for each picture of a minute has 7,200."""
_INIT = frozenset({"ftyp", "moov"})


class Body(NamedTuple):
    """A segment and, if it was there, the init segment before it."""

    init: bytes
    media: bytes


def split_body(data: bytes, container: Container) -> Body:
    """Part a segment from its init segment.

    Raises:
        InvalidArgument: NOT_MEDIA; the bytes are no segment of this container.
    """
    return Body(b"", _require_packets(data)) if container is Container.TS else _split_boxes(data)


def _require_packets(data: bytes) -> bytes:
    if not data or len(data) % PACKET_BYTES or set(data[::PACKET_BYTES]) != {TS_SYNC}:
        raise _refuse("it must consist of whole packets of MPEG-TS, since the stream's container is 'ts'")
    return data


def _split_boxes(data: bytes) -> Body:
    try:
        boxes = list(islice(iter_boxes(memoryview(data)), MOST_BOXES + 1))
    except BoxError as error:
        raise _refuse(
            f"it must consist of whole boxes of fMP4, since the stream's container is 'cmaf': {error}"
        ) from error
    if len(boxes) > MOST_BOXES:
        raise _refuse(f"it has more than {MOST_BOXES} boxes")
    kinds = [box.kind for box in boxes]
    if not {"moof", "mdat"}.issubset(kinds):
        raise _refuse(f"its boxes are {', '.join(kinds[:20])}: there must be moof and mdat, a fragment")
    init = b"".join(bytes(box.whole) for box in boxes if box.kind in _INIT)
    if init and not _INIT.issubset(kinds):
        raise _refuse("it holds one of ftyp and moov: an init segment consists of both")
    return Body(init, b"".join(bytes(box.whole) for box in boxes if box.kind not in _INIT))


def _refuse(rule: str) -> InvalidArgument:
    return InvalidArgument(f"the body is no segment: {rule}", reason="NOT_MEDIA", field="data")
