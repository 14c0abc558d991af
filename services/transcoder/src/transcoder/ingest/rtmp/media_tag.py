"""What a media message holds, as far as an FLV must know: codec, sequence header, frame or keyframe."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from transcoder.ingest.rtmp.amf import encode_amf
from transcoder.ingest.rtmp.commands import FOURCC_CODECS
from transcoder.ingest.rtmp.message import Message, MessageType, Refused

_AVC, _AAC = 7, 10
# FLV E.4.3.1: H.263, screen video, VP6, VP6 with alpha, H.264; FLV E.4.2.1: all but "reserved" and "device".
_VIDEO_CODECS = frozenset({2, 3, 4, 5, _AVC})
_AUDIO_CODECS = frozenset({0, 1, 2, 3, 4, 5, 6, 7, 8, _AAC, 11, 14})
_ENHANCED_AUDIO = 9
_ENHANCED_VIDEO = 0x80
_SEQUENCE_START, _CODED_FRAMES, _CODED_FRAMES_X, _MODIFIED = 0, 1, 3, 7  # E-RTMP, VideoPacketType
_ENHANCED_PACKETS = {_SEQUENCE_START, _CODED_FRAMES, _CODED_FRAMES_X, _MODIFIED}
_WITHOUT_HEADER = {"ac-3", "ec-3", ".mp3"}
_KEYFRAMES = {1, 4}
_COMMAND_FRAME = 5
_SET_DATA_FRAME = encode_amf("@setDataFrame")
_ON_METADATA = encode_amf("onMetaData")


class TagKind(Enum):
    """What an FLV does with a message."""

    HEADER = auto()
    """A sequence header: nothing of its track can be read without it."""
    KEYFRAME = auto()
    """A frame at which reading may begin; each frame of audio is one."""
    FRAME = auto()
    METADATA = auto()
    OTHER = auto()
    """Nothing to pass on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaTag:
    """A media message, looked at."""

    kind: TagKind
    needs_header: bool = False
    """Whether its track begins with a sequence header."""
    body: bytes


def read_media(message: Message) -> MediaTag:
    """Look at an audio, video or data message.

    Raises:
        Refused: Its codec is not taken.
    """
    match message.kind:
        case MessageType.VIDEO if len(message.body) > 1:
            return _read_video(message.body)
        case MessageType.AUDIO if len(message.body) > 1:
            return _read_audio(message.body)
        case MessageType.DATA:
            return _read_data(message.body)
        case MessageType.DATA_AMF3:
            return _read_data(message.body[1:])
    return MediaTag(kind=TagKind.OTHER, body=b"")


def _read_video(body: bytes) -> MediaTag:
    frame_type = body[0] >> 4 & 7
    kind = TagKind.KEYFRAME if frame_type in _KEYFRAMES else TagKind.FRAME
    if body[0] & _ENHANCED_VIDEO:
        return _read_enhanced(body, body[0] & 0xF, kind)
    codec = body[0] & 0xF
    if codec not in _VIDEO_CODECS:
        raise _refuse_codec(f"video codec {codec}")
    if frame_type == _COMMAND_FRAME or (codec == _AVC and body[1] > 1):  # a command, or the end of a sequence
        return MediaTag(kind=TagKind.OTHER, body=b"")
    if codec == _AVC and body[1] == 0:
        kind = TagKind.HEADER
    return MediaTag(kind=kind, needs_header=codec == _AVC, body=body)


def _read_audio(body: bytes) -> MediaTag:
    codec = body[0] >> 4
    if codec == _ENHANCED_AUDIO:
        return _read_enhanced(body, body[0] & 0xF, TagKind.KEYFRAME)
    if codec not in _AUDIO_CODECS:
        raise _refuse_codec(f"audio codec {codec}")
    kind = TagKind.HEADER if codec == _AAC and body[1] == 0 else TagKind.KEYFRAME
    return MediaTag(kind=kind, needs_header=codec == _AAC, body=body)


def _read_enhanced(body: bytes, packet: int, kind: TagKind) -> MediaTag:
    """Look at a message in E-RTMP's form.

    Further tracks of a publication are left out, and so is what tells of colours and channels once more.
    """
    if packet not in _ENHANCED_PACKETS:
        return MediaTag(kind=TagKind.OTHER, body=b"")
    if packet == _MODIFIED:  # what it modifies stands before its codec, which its sequence header has told
        return MediaTag(kind=kind, needs_header=True, body=body)
    codec = body[1:5].decode("latin-1")
    if codec not in FOURCC_CODECS:
        raise _refuse_codec(f"codec {codec!r}")
    kind = TagKind.HEADER if packet == _SEQUENCE_START else kind
    return MediaTag(kind=kind, needs_header=codec not in _WITHOUT_HEADER, body=body)


def _read_data(body: bytes) -> MediaTag:
    """Take metadata as it stands; what else there is, such as captions and cue points, has no reader."""
    body = body.removeprefix(_SET_DATA_FRAME)
    if not body.startswith(_ON_METADATA):
        return MediaTag(kind=TagKind.OTHER, body=b"")
    return MediaTag(kind=TagKind.METADATA, body=body)


def _refuse_codec(codec: str) -> Refused:
    return Refused(
        "NetStream.Publish.Rejected",
        f"{codec} is not taken: send H.264, HEVC, AV1 or VP9 with AAC, Opus or MP3",
    )
