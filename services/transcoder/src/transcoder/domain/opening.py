"""How a publisher's bytes begin: with what describes its tracks, before the first frame.

Who comes back begins with the same, and need not be looked into again. FLV and fragmented MP4 begin so;
MPEG-TS and Matroska tell of their codecs only within frames, or with a different number each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from transcoder.domain.boxes import Box, BoxError, BoxReader, find_box, iter_boxes
from transcoder.domain.source import Source

VIDEO, AUDIO = "video", "audio"

# FLV E.2, E.4.1: the file's header with the empty back pointer, a tag's header, the back pointer behind it.
_FLV_HEAD_BYTES, _TAG_HEAD_BYTES, _BACK_BYTES = 13, 11, 4
_FLV_TRACKS = {8: AUDIO, 9: VIDEO}
_AAC, _ENHANCED_AUDIO, _AVC, _ENHANCED_VIDEO = 10, 9, 7, 0x80
_HANDLERS = {b"vide": VIDEO, b"soun": AUDIO}
_HANDLER_PLACE = slice(8, 12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What comes before the first frame."""

    digest: str
    """SHA-256 of everything in it but times."""
    tracks: tuple[str, ...]
    """The tracks that it describes, sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownHead:
    """An opening that came before, and what a probe found behind it."""

    digest: str
    source: Source


def read_opening(demuxer: str, data: bytes) -> Opening | None:
    """Read an opening; None if it has not ended yet, or if such bytes have none.

    Args:
        demuxer: The container: "flv", "mov", or one that has no opening.
        data: What has come so far.
    """
    described = _READERS[demuxer](data) if demuxer in _READERS else None
    if described is None:
        return None
    digest = hashlib.sha256()
    for _, body in described:
        digest.update(len(body).to_bytes(8))
        digest.update(body)
    return Opening(digest=digest.hexdigest(), tracks=tuple(sorted(track for track, _ in described if track)))


def has_opening(demuxer: str) -> bool:
    """Whether bytes of this container begin with what describes their tracks."""
    return demuxer in _READERS


def remember(opening: Opening | None, source: Source) -> KnownHead | None:
    """Keep what was found behind an opening; None if it does not describe just the tracks that were found.

    A track that it does not describe could be missing the next time, or be another one.
    """
    found = [name for name, track in ((AUDIO, source.audio), (VIDEO, source.video)) if track]
    if opening is None or list(opening.tracks) != found:
        return None
    return KnownHead(digest=opening.digest, source=source)


_Described = Sequence[tuple[str, bytes]]
"""What stands in an opening, and the name of the track that it describes, if it is one."""


def _read_flv(data: bytes) -> _Described | None:
    described: list[tuple[str, bytes]] = []
    for kind, body in _flv_tags(data):
        if kind in _FLV_TRACKS and not _is_flv_header(kind, body):
            return described
        described.append((_FLV_TRACKS.get(kind, ""), body))
    return None


def _flv_tags(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Walk over the tags that are whole."""
    place = _FLV_HEAD_BYTES
    while (begin := place + _TAG_HEAD_BYTES) <= len(data):
        end = begin + int.from_bytes(data[place + 1 : place + 4])
        if end > len(data):
            return
        yield data[place], data[begin:end]
        place = end + _BACK_BYTES


def _is_flv_header(kind: int, body: bytes) -> bool:
    """Whether a tag of a track is its sequence header (FLV E.4.2, E.4.3; E-RTMP, packet type 0)."""
    codec, packet = body[:1], body[1:2]
    if not packet:
        return False
    if _FLV_TRACKS[kind] == AUDIO:
        is_enhanced, is_packeted = codec[0] >> 4 == _ENHANCED_AUDIO, codec[0] >> 4 == _AAC
    else:
        is_enhanced, is_packeted = bool(codec[0] & _ENHANCED_VIDEO), codec[0] & 0xF == _AVC
    return codec[0] & 0xF == 0 if is_enhanced else is_packeted and packet == b"\0"


def _read_mov(data: bytes) -> _Described | None:
    described: list[tuple[str, bytes]] = []
    try:
        for box in BoxReader().feed(data):
            if box.kind == "moof":
                return described
            described.append(("", bytes(box.whole)))
            if box.kind == "moov":
                described += [(track, b"") for track in _mov_tracks(box)]
    except BoxError:
        pass  # it is the probe that says what is wrong with it
    return None


def _mov_tracks(moov: Box) -> Iterator[str]:
    for box in iter_boxes(moov.payload):
        if box.kind == "trak":
            handler = find_box(box.payload, "mdia", "hdlr").payload
            yield _HANDLERS.get(bytes(handler[_HANDLER_PLACE]), "other")


_READERS: Mapping[str, Callable[[bytes], _Described | None]] = {"flv": _read_flv, "mov": _read_mov}
