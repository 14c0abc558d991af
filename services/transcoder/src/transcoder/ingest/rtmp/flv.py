"""From media messages to an FLV that a decoder can begin to read at once (FLV E.2 to E.4).

It begins with the metadata and sequence headers that were sent so far, and each track with a keyframe; its
timestamps are those of `MediaClock`. Frames that nothing could decode are left out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from transcoder.ingest.rtmp.amf import AmfError, decode_amf
from transcoder.ingest.rtmp.media_clock import MediaClock
from transcoder.ingest.rtmp.media_tag import MediaTag, TagKind, read_media
from transcoder.ingest.rtmp.message import Message, MessageType

_HEAD_BYTES = 11
_FLAGS = {MessageType.AUDIO: 4, MessageType.VIDEO: 1}


class FlvWriter:
    """Writes the FLV of one publication."""

    def __init__(self) -> None:
        self._clock = MediaClock()
        self._begun = False
        self._metadata = b""
        self._headers: dict[int, bytes] = {}
        self._open: set[int] = set()

    def take(self, message: Message) -> bytes:
        """Take an audio, video or data message; return the bytes that come of it, often none.

        Raises:
            Refused: Its codec is not taken.
        """
        tag = read_media(message)
        if not self._is_wanted(message.kind, tag):
            return b""
        if tag.kind == TagKind.METADATA:
            self._metadata = tag.body
            return self._describe(MessageType.DATA, tag.body)
        if tag.kind == TagKind.HEADER:
            self._headers[message.kind] = tag.body
            return self._describe(message.kind, tag.body)
        time_ms = self._clock.take(message.kind, message.timestamp_ms)
        opening = b"" if self._begun else self._begin(time_ms)
        return opening + write_tag(message.kind, time_ms, tag.body)

    def _describe(self, kind: int, body: bytes) -> bytes:
        """Pass on what has no time of its own; before the first frame it is only remembered."""
        return write_tag(kind, self._clock.now_ms(kind), body) if self._begun else b""

    def _is_wanted(self, track: int, tag: MediaTag) -> bool:
        match tag.kind:
            case TagKind.OTHER:
                return False
            case TagKind.METADATA:
                return tag.body != self._metadata
            case TagKind.HEADER:
                return tag.body != self._headers.get(track)
            case TagKind.KEYFRAME if not tag.needs_header or track in self._headers:
                self._open.add(track)
        return track in self._open

    def _begin(self, time_ms: int) -> bytes:
        self._begun = True
        metadata = write_tag(MessageType.DATA, time_ms, self._metadata) if self._metadata else b""
        headers = [write_tag(track, time_ms, body) for track, body in self._headers.items()]
        tracks = self._open | self._headers.keys() | find_tracks(self._metadata)
        return write_header(tracks) + metadata + b"".join(headers)


def find_tracks(metadata: bytes) -> frozenset[int]:
    """Return the kinds of the tracks that metadata announce; all if they announce none."""
    try:
        facts = [value for value in decode_amf(metadata) if isinstance(value, dict)]
    except AmfError:
        facts = []
    named = {"audiocodecid": MessageType.AUDIO, "videocodecid": MessageType.VIDEO}
    return frozenset(named[name] for fact in facts for name in fact if name in named) or frozenset(_FLAGS)


def write_header(tracks: Iterable[int]) -> bytes:
    """Write the header of an FLV and the size of the tag before the first one (FLV E.2, E.3).

    Decoders wait for the tracks that it names, so it should name those that come and no others.
    """
    flags = sum(flag for track, flag in _FLAGS.items() if track in set(tracks))
    return b"FLV\x01" + struct.pack(">BII", flags, 9, 0)


def write_tag(kind: int, time_ms: int, body: bytes) -> bytes:
    """Write one tag, its size behind it (FLV E.3, E.4.1); the upper 8 bits of the time follow the others."""
    size, time = len(body).to_bytes(3), (time_ms & 0xFFFFFFFF).to_bytes(4)
    head = bytes([kind]) + size + time[1:] + time[:1] + bytes(3)
    return head + body + (_HEAD_BYTES + len(body)).to_bytes(4)
