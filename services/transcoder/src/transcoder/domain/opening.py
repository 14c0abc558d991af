"""How the FLV of a publisher begins: with what describes its tracks, before the first frame.

Who comes back begins with the same, and need not be looked into again. Other containers have no such thing:
MPEG-TS and Matroska tell of their codecs only within frames, or with a different number each time.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from transcoder.domain.source import Source

OPENING_DEMUXER = "flv"
"""The container whose bytes begin with an opening."""
VIDEO, AUDIO = "video", "audio"
DESCRIBED_BYTES, TAGS_COUNT = 64 * 1024, 64
"""More than any publisher needs to describe its tracks, and to send a frame of each."""

# FLV E.2, E.4.1: the file's header with the empty back pointer, a tag's header, the back pointer behind it.
_HEAD_BYTES, _TAG_HEAD_BYTES, _BACK_BYTES = 13, 11, 4
_TRACKS = {8: AUDIO, 9: VIDEO}
_AAC, _ENHANCED_AUDIO, _AVC, _ENHANCED_VIDEO = 10, 9, 7, 0x80
# AMF0 2.2, 2.5: a property's name behind its length, then the mark of a number.
_FRAME_RATE_MARK = b"\x00\x09framerate\x00"
_NUMBER = struct.Struct(">d")
_RATE_TOLERANCE_RATIO = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What comes before the first frame."""

    digest: str
    """SHA-256 of the tags in it, without their times."""
    tracks: tuple[str, ...]
    """The tracks that it describes, sorted; a frame of each has come."""
    frame_rate: float | None
    """What its metadata say; None if they say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownHead:
    """An opening that came before, and what a probe found behind it."""

    digest: str
    source: Source


def read_opening(data: bytes) -> Opening | None:
    """Read the opening of an FLV.

    None: a frame of each track that it describes has not come yet, or it is longer than any should be.

    Args:
        data: What has come so far.
    """
    described: list[tuple[int, memoryview]] = []
    missing: set[str] | None = None
    for kind, body in islice(_tags(memoryview(data)), TAGS_COUNT):
        if kind in _TRACKS and not _is_header(kind, body):
            missing = set(_tracks(described)) if missing is None else missing
            missing.discard(_TRACKS[kind])
            if not missing:
                return _describe(data[:_HEAD_BYTES], described)
        elif missing is None:
            described.append((kind, body))
    return None


def remember(opening: Opening | None, source: Source) -> KnownHead | None:
    """Keep what was found behind an opening; None if it does not describe just that.

    A track that it does not describe could be missing the next time, or be another one; a rate that it does
    not tell could change.
    """
    found = [name for name, track in ((AUDIO, source.audio), (VIDEO, source.video)) if track]
    if opening is None or list(opening.tracks) != found or not _tells_rate(opening, source):
        return None
    return KnownHead(digest=opening.digest, source=source)


def _tells_rate(opening: Opening, source: Source) -> bool:
    video, told = source.video, opening.frame_rate
    if video is None:
        return True
    near = told is not None and abs(told - video.frame_rate) <= _RATE_TOLERANCE_RATIO * video.frame_rate
    return near and video.constant_frame_rate


def _tags(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Walk over the tags that are whole: kind and body."""
    place = _HEAD_BYTES
    while (begin := place + _TAG_HEAD_BYTES) <= len(data):
        end = begin + int.from_bytes(data[place + 1 : place + 4])
        if end > len(data):
            return
        yield data[place], data[begin:end]
        place = end + _BACK_BYTES


def _tracks(described: list[tuple[int, memoryview]]) -> list[str]:
    return sorted({_TRACKS[kind] for kind, _ in described if kind in _TRACKS})


def _is_header(kind: int, body: memoryview) -> bool:
    """Whether a tag of a track is its sequence header (FLV E.4.2, E.4.3; E-RTMP, packet type 0)."""
    codec, packet = bytes(body[:1]), bytes(body[1:2])
    if not packet:
        return False
    if _TRACKS[kind] == AUDIO:
        is_enhanced, is_packeted = codec[0] >> 4 == _ENHANCED_AUDIO, codec[0] >> 4 == _AAC
    else:
        is_enhanced, is_packeted = bool(codec[0] & _ENHANCED_VIDEO), codec[0] & 0xF == _AVC
    return codec[0] & 0xF == 0 if is_enhanced else is_packeted and packet == b"\0"


def _describe(head: bytes, described: list[tuple[int, memoryview]]) -> Opening | None:
    if sum(len(body) for _, body in described) > DESCRIBED_BYTES:
        return None
    digest = hashlib.sha256(head)
    for kind, body in described:
        digest.update(kind.to_bytes() + len(body).to_bytes(8))
        digest.update(body)
    rates = [rate for kind, body in described if (rate := _frame_rate(kind, body)) is not None]
    return Opening(
        digest=digest.hexdigest(), tracks=tuple(_tracks(described)), frame_rate=rates[-1] if rates else None
    )


def _frame_rate(kind: int, body: memoryview) -> float | None:
    """Find the frame rate in metadata."""
    if kind in _TRACKS or (place := bytes(body).find(_FRAME_RATE_MARK)) < 0:
        return None
    number = body[place + len(_FRAME_RATE_MARK) :][: _NUMBER.size]
    return float(_NUMBER.unpack(number)[0]) if len(number) == _NUMBER.size else None
