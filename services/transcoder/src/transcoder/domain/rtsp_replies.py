"""Read along with an RTSP server, to refuse what it must not do: send its client to another server.

Pure. It takes messages apart as ffmpeg does (RFC 2326, sections 6 to 10.12), and refuses what ffmpeg might
take apart in another way, so that no redirect can hide in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from chassis.errors import InvalidArgument

HEAD_BYTES = 64 * 1024
BODY_BYTES = 1 << 20
_PACKET = ord("$")
_PACKET_HEAD_BYTES = 4
_END = b"\r\n\r\n"
_STATUS = re.compile(rb"RTSP/1\.0 ([1-5])\d\d( .*)?")
_REQUEST = re.compile(rb"[A-Z_]+ \S+ RTSP/1\.0")
_FIELD = re.compile(rb"[A-Za-z0-9-]+:.*")
_LENGTH = re.compile(rb"(?i)content-length: *(\d{1,7}) *")


class RtspReplies:
    """What a server sends on one connection, in pieces of any size."""

    def __init__(self) -> None:
        self._begun = b""
        self._left_bytes = 0

    def feed(self, data: bytes) -> None:
        """Read on.

        Raises:
            InvalidArgument: RTSP_REDIRECT, a reply leads elsewhere; NOT_RTSP, this is something else.
        """
        data = self._begun + data
        place = self._left_bytes
        while place < len(data) and (size := _message_bytes(data, place)):
            place += size
        self._left_bytes = max(0, place - len(data))
        self._begun = data[place:]


def _message_bytes(data: bytes, place: int) -> int:
    """The size of what begins at a place; 0 while it is not known."""
    if data[place] == _PACKET:
        head = data[place : place + _PACKET_HEAD_BYTES]
        return len(head) + int.from_bytes(head[2:]) if len(head) == _PACKET_HEAD_BYTES else 0
    end = data.find(_END, place, place + HEAD_BYTES)
    if end < 0:
        if len(data) - place >= HEAD_BYTES:
            raise _not_rtsp(f"the head of a message is longer than {HEAD_BYTES} bytes")
        return 0
    first, *fields = data[place:end].split(b"\r\n")
    _require_no_redirect(first)
    return end - place + len(_END) + _body_bytes(fields)


def _body_bytes(fields: Sequence[bytes]) -> int:
    if not all(map(_FIELD.fullmatch, fields)):
        raise _not_rtsp("a header is malformed")
    lengths = [field for field in fields if field.lower().startswith(b"content-length")]
    if not lengths:
        return 0
    length = _LENGTH.fullmatch(lengths[0])
    if len(lengths) > 1 or not length or int(length[1]) > BODY_BYTES:
        raise _not_rtsp(f"it does not say clearly how long a message is, at most {BODY_BYTES} bytes")
    return int(length[1])


def _require_no_redirect(first: bytes) -> None:
    status = _STATUS.fullmatch(first)
    if status and status[1] == b"3":
        raise InvalidArgument(
            "pull_url leads to a server that redirects to another place: give that URL itself",
            reason="RTSP_REDIRECT",
            field="source.pull_url",
        )
    if not status and not _REQUEST.fullmatch(first):
        raise _not_rtsp("a message begins with neither a status nor a method")


def _not_rtsp(why: str) -> InvalidArgument:
    return InvalidArgument(
        f"pull_url leads to a server that does not speak RTSP: {why}",
        reason="NOT_RTSP",
        field="source.pull_url",
    )
