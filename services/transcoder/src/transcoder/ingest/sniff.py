"""Tell containers apart by their first bytes: what publishers say of them is often wrong."""

from __future__ import annotations

from chassis.errors import InvalidArgument

SNIFF_BYTES = 1024
_TS_PACKET_BYTES = 188
_TS_SYNC = 0x47
_BOXES = frozenset({b"ftyp", b"styp", b"moov", b"moof", b"free", b"sidx", b"emsg", b"prft"})


def choose_demuxer(head: bytes) -> str:
    """Name the demuxer that reads a stream that begins so: "flv", "matroska", "mov" or "mpegts".

    Args:
        head: SNIFF_BYTES of it, or all that there is. A transport stream may be joined anywhere.

    Raises:
        InvalidArgument: It is none of these.
    """
    if head.startswith(b"FLV\x01"):
        return "flv"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "matroska"
    if head[4:8] in _BOXES:
        return "mov"
    if any(_has_packets(head, place) for place in range(_TS_PACKET_BYTES)):
        return "mpegts"
    raise InvalidArgument(
        "the body is no media that can be pushed: it must be MPEG-TS, fragmented MP4, FLV or Matroska",
        reason="NOT_MEDIA",
        field="body",
    )


def _has_packets(head: bytes, place: int) -> bool:
    """Whether packets of a transport stream begin at `place`: at least three."""
    syncs = head[place::_TS_PACKET_BYTES]
    return len(syncs) >= 3 and set(syncs) == {_TS_SYNC}  # noqa: PLR2004 - three are no accident
