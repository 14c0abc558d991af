"""The process that probes a ready segment: here libav meets what a packager sent, under limits.

Run as `python -m transcoder.adapters.ready_probe_child ts|cmaf LIMITS`, with the segment as its stdin, behind
its init segment if it has one.
"""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import av.error

from transcoder.adapters.probe_child import answer_under_limits, check_pixels, choose_streams
from transcoder.adapters.probe_scan import DECODED_PACKETS, RefusalError, codec_name
from transcoder.domain.iframes import Picture, fmp4_iframes, ts_iframes
from transcoder.domain.packager import MediaKind
from transcoder.domain.plan import Container
from transcoder.domain.ready_segment import Measured

DEMUXERS = {Container.TS: "mpegts", Container.CMAF: "mov"}
MAX_RATE = 1000
AAC_OBJECT_TYPES = {"LC": 2, "HE-AAC": 5, "HE-AACv2": 29}
"""By libav's name of the profile (ISO/IEC 14496-3, table 1.17)."""
SOUND_CODECS = {"ac3": "ac-3", "eac3": "ec-3"}
AVCC_VERSION = 1
SPS_UNIT_TYPE = 7


def measure_segment(data: bytes, container: Container, *, max_pixel_count: int) -> Measured:
    """Read a whole segment, and put together what is in it.

    Raises:
        RefusalError: It is no segment that players could be given.
    """
    with _open(data, container) as source:
        tracks = {stream.index: _Track(stream) for stream in choose_streams(source)}
        for track in tracks.values():
            check_pixels(track.stream, max_pixel_count)
        _read(source, tracks)
        found = {track.stream.type: track for track in tracks.values() if track.spans}
        if not found:
            raise RefusalError("NO_TRACKS", "it holds no pictures and no sound")
        return _describe(data, container, found.get("video"), found.get("audio"))


@dataclass(slots=True)
class _Track:
    """One stream of the segment, packet by packet."""

    stream: Any
    spans: list[tuple[int, int]] = field(default_factory=list)
    """Start and duration."""
    pictures: list[Picture] = field(default_factory=list)
    begins_intra: bool = False
    is_decoded: bool = False
    packet_count: int = 0

    def add(self, packet: Any) -> None:
        self._decode(packet)
        if packet.pts is None or packet.is_discard:
            return
        if not self.spans:
            self.begins_intra = packet.is_keyframe
        self.spans.append((packet.pts, packet.duration or 0))
        self.pictures.append(
            Picture(
                time_s=self.seconds(packet.pts),
                offset_bytes=packet.pos or 0,
                size_bytes=packet.size,
                is_intra=packet.is_keyframe,
            )
        )

    def _decode(self, packet: Any) -> None:
        """See whether it can be decoded at all."""
        if self.is_decoded or self.packet_count > DECODED_PACKETS:
            return
        self.packet_count += 1
        try:
            self.is_decoded = bool(packet.decode())
        except av.error.FFmpegError as error:
            raise self.undecodable() from error

    def undecodable(self) -> RefusalError:
        name = codec_name(self.stream)
        return RefusalError("NOT_MEDIA", f"its {self.stream.type} track (codec {name}) cannot be decoded")

    @property
    def start_s(self) -> float:
        return self.seconds(min(start for start, _ in self.spans))

    @property
    def end_s(self) -> float:
        """Where the last frame ends; one of which nobody says how long it lasts does so as the others do."""
        starts = sorted(start for start, _ in self.spans)
        usual = (starts[-1] - starts[0]) // (len(starts) - 1) if len(starts) > 1 else 0
        return self.seconds(max(start + (duration or usual) for start, duration in self.spans))

    def seconds(self, time: int) -> float:
        return round(float(time * self.stream.time_base), 6)


def _open(data: bytes, container: Container) -> Any:
    options = {"protocol_whitelist": ""}
    try:
        return av.open(io.BytesIO(data), format=DEMUXERS[container], options=options)
    except (av.error.FFmpegError, ValueError) as error:
        raise RefusalError("NOT_MEDIA", f"it cannot be read as a segment: {error}") from error


def _read(source: Any, tracks: dict[int, _Track]) -> None:
    try:
        for packet in source.demux(*(track.stream for track in tracks.values())):
            tracks[packet.stream.index].add(packet)
    except av.error.FFmpegError as error:
        raise RefusalError("NOT_MEDIA", f"reading it broke off: {error.strerror}") from error


def _describe(data: bytes, container: Container, video: _Track | None, audio: _Track | None) -> Measured:
    for track in filter(None, (video, audio)):
        if not track.is_decoded:
            raise track.undecodable()
    main = video or audio
    if main is None or main.end_s <= main.start_s:
        raise RefusalError("ZERO_DURATION", "its duration is 0 s")
    find_iframes = ts_iframes if container is Container.TS else fmp4_iframes
    codecs = [_video_codec(video)] if video else []
    codecs += [_audio_codec(audio)] if audio else []
    return Measured(
        media_kind=_kind(video, audio),
        codecs=",".join(codecs),
        width_pixels=video.stream.width if video else 0,
        height_pixels=video.stream.height if video else 0,
        frame_rate=_frame_rate(video) if video else None,
        sample_rate_hz=audio.stream.sample_rate if audio else 0,
        channel_count=audio.stream.channels if audio else 0,
        start_s=main.start_s,
        duration_s=round(main.end_s - main.start_s, 6),
        iframes=find_iframes(data, video.pictures, video.end_s) if video else (),
    )


def _kind(video: _Track | None, audio: _Track | None) -> MediaKind:
    if video and audio:
        return MediaKind.MUXED
    return MediaKind.VIDEO if video else MediaKind.AUDIO


def _video_codec(track: _Track) -> str:
    """Name the codec as RFC 6381 does; each segment must stand by itself (EXT-X-INDEPENDENT-SEGMENTS)."""
    if not track.begins_intra:
        raise RefusalError(
            "NOT_INDEPENDENT", "it does not begin with a keyframe: cut segments where players may begin"
        )
    if codec_name(track.stream) != "h264":
        raise _unsupported(track, "h264")
    profile = _h264_profile(bytes(track.stream.codec_context.extradata or b""))
    return f"avc1.{profile.hex()}"


def _h264_profile(extradata: bytes) -> bytes:
    """Find profile, constraint flags and level: in an avcC, or behind the start code of an SPS."""
    if extradata[:1] == bytes((AVCC_VERSION,)):
        return extradata[1:4]
    for unit in extradata.split(b"\0\0\1")[1:]:
        if unit and unit[0] & 0x1F == SPS_UNIT_TYPE:
            return unit[1:4]
    raise RefusalError("NOT_MEDIA", "its video track has no sequence parameter set")


def _audio_codec(track: _Track) -> str:
    name = codec_name(track.stream)
    if name in SOUND_CODECS:
        return SOUND_CODECS[name]
    if name != "aac":
        raise _unsupported(track, f"aac, {', '.join(SOUND_CODECS)}")
    return f"mp4a.40.{AAC_OBJECT_TYPES.get(track.stream.codec_context.profile, 2)}"


def _unsupported(track: _Track, known: str) -> RefusalError:
    return RefusalError(
        "UNSUPPORTED_CODEC",
        f"its {track.stream.type} track has the codec {codec_name(track.stream)!r}: must be {known}",
    )


def _frame_rate(track: _Track) -> Fraction:
    rates = (track.stream.average_rate, track.stream.guessed_rate, track.stream.base_rate)
    declared = next((Fraction(rate) for rate in rates if rate and rate < MAX_RATE), None)
    measured = Fraction(len(track.spans) / (track.end_s - track.start_s)).limit_denominator(1001)
    return declared or measured


def main(container: str, limits: dict[str, Any]) -> None:
    """Measure the segment under limits."""
    data = sys.stdin.buffer.read()
    answer_under_limits(
        lambda: measure_segment(data, Container(container), max_pixel_count=limits["max_pixel_count"]),
        limits,
    )


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
