"""Scan one stream of a source: its packets' times, and a few decoded frames. Runs in the probing process."""

from __future__ import annotations

from array import array
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av.error

from transcoder.domain.cadence import measure_cadence
from transcoder.domain.source import AudioTrack, VideoTrack, thin_keyframes

DECODED_PICTURES = 24
"""Pictures that are decoded for what no container tells: rotation, interlacing, whether it works at all."""
DECODED_PACKETS = 500
"""After so many packets of a stream without a frame, its codec is given up."""

STEP_BACK_S = 1.0
"""Decode times that go back by more are several recordings joined; by less, a careless muxer."""

MAX_ASPECT_RATIO = 16
"""A sample aspect ratio beyond is an error in the file, and taken as 1."""

MAX_DECLARED_RATE = 1000


class RefusalError(Exception):
    """The file cannot be a source."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(slots=True)
class Scan:
    """What the packets of one stream tell, and the first frames decoded from them."""

    stream: Any
    times: array[int] = field(default_factory=lambda: array("q"))
    keyframe_times: array[int] = field(default_factory=lambda: array("q"))
    frames: list[Any] = field(default_factory=list)
    end: int = 0
    packet_count: int = 0
    decode_time: int | None = None
    has_presentation_times: bool = True

    def add(self, packet: Any) -> None:
        """Take the stream's next packet; at last the empty one, which makes the decoder give its last frames.

        Raises:
            RefusalError: Time goes back in mid-stream, or nothing can be decoded.
        """
        self._decode(packet)
        time = packet.dts if packet.pts is None else packet.pts
        if time is None or packet.is_discard:  # discarded: an edit list hides it
            return
        self._check_order(packet.dts)
        self.has_presentation_times &= packet.pts is not None
        self.times.append(time)
        self.end = max(self.end, time + (packet.duration or 0))
        if packet.is_keyframe:
            self.keyframe_times.append(time)

    def describe_video(self) -> VideoTrack:
        """Put together what is known of the picture. There must be packets."""
        stream, picture = self.stream, self._first_frame()
        times = sorted(self.times)
        declared = (stream.average_rate, stream.base_rate, stream.guessed_rate)
        cadence = measure_cadence(
            times, stream.time_base, [rate for rate in declared if rate and rate < MAX_DECLARED_RATE]
        )
        aspect = _aspect_ratio(stream)
        turned = -round(picture.rotation / 90) * 90 % 360  # libav counts anticlockwise
        sides = (round(picture.width * aspect), picture.height)
        start_s = self._seconds(times[0])
        end_s = max(self._seconds(self.end), self._seconds(times[-1]) + float(1 / cadence.frame_rate))
        keyframes = tuple(self._seconds(time) for time in sorted(self.keyframe_times))
        return VideoTrack(
            stream_index=stream.index,
            codec=codec_name(stream),
            width_pixels=sides[turned % 180 != 0],
            height_pixels=sides[turned % 180 == 0],
            coded_width_pixels=picture.width,
            coded_height_pixels=picture.height,
            sample_aspect_ratio=aspect,
            rotation_degrees=turned,
            frame_rate=cadence.frame_rate,
            busy_frame_rate=cadence.busy_frame_rate,
            constant_frame_rate=cadence.is_constant,
            frame_count=len(times),
            start_s=start_s,
            duration_s=round(end_s - start_s, 6),
            keyframe_times_s=thin_keyframes(keyframes),
            has_presentation_times=self.has_presentation_times,
            pixel_format=picture.format.name,
            bit_depth=picture.format.components[0].bits,
            interlaced=any(frame.interlaced_frame for frame in self.frames),
            color_transfer=_transfer_name(picture),
        )

    def describe_audio(self) -> AudioTrack:
        """Put together what is known of the sound. There must be packets."""
        sound = self._first_frame()
        # priming that the container marks is cut off by the decoder: the stream's own start knows of it
        first, declared = min(self.times), self.stream.start_time
        start = first if declared is None else max(first, declared)
        return AudioTrack(
            stream_index=self.stream.index,
            codec=codec_name(self.stream),
            sample_rate_hz=sound.sample_rate,
            channel_count=sound.layout.nb_channels,
            start_s=self._seconds(start),
            duration_s=round(self._seconds(self.end) - self._seconds(start), 6),
            language=_language(self.stream),
        )

    def _decode(self, packet: Any) -> None:
        self.packet_count += 1
        if len(self.frames) >= (DECODED_PICTURES if self.stream.type == "video" else 1):
            return
        with suppress(av.error.InvalidDataError):  # a few broken packets are concealed when encoding, too
            self.frames += packet.decode()
        if not self.frames and self.packet_count > DECODED_PACKETS:
            self._first_frame()

    def _first_frame(self) -> Any:
        if not self.frames:
            raise RefusalError(
                "UNSUPPORTED_CODEC",
                f"its {self.stream.type} track (codec {codec_name(self.stream)}) cannot be decoded",
            )
        return self.frames[0]

    def _check_order(self, decode_time: int | None) -> None:
        if decode_time is None:
            return
        if self.decode_time is not None and self._seconds(self.decode_time - decode_time) > STEP_BACK_S:
            before_s, now_s = self._seconds(self.decode_time), self._seconds(decode_time)
            raise RefusalError(
                "BROKEN_TIMELINE",
                f"the time of its {self.stream.type} track goes back from {before_s:.1f} s to {now_s:.1f} s, "
                "as when recordings are joined: remux it with timestamps that only grow",
            )
        self.decode_time = decode_time

    def _seconds(self, time: int) -> float:
        return round(float(time * self.stream.time_base), 6)


def codec_name(stream: Any) -> str:
    """Libav's name of the stream's codec."""
    return stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"


def _aspect_ratio(stream: Any) -> Fraction:
    ratio = Fraction(stream.sample_aspect_ratio or 1)
    return ratio if Fraction(1, MAX_ASPECT_RATIO) <= ratio <= MAX_ASPECT_RATIO else Fraction(1)


def _transfer_name(picture: Any) -> str:
    """Name the HDR transfer characteristics, the only ones of interest here."""
    names = {16: "smpte2084", 18: "arib-std-b67"}  # ITU-T H.273, table 3
    return names.get(int(picture.color_trc), "")


def _language(stream: Any) -> str:
    language = stream.language or ""
    return "" if language == "und" else language
