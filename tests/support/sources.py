"""Probed sources as tests wish them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from transcoder.domain.source import AudioTrack, Source, VideoTrack

VIDEO = VideoTrack(
    stream_index=0,
    codec="h264",
    width_pixels=1920,
    height_pixels=1080,
    coded_width_pixels=1920,
    coded_height_pixels=1080,
    sample_aspect_ratio=Fraction(1),
    rotation_degrees=0,
    frame_rate=Fraction(30),
    busy_frame_rate=Fraction(30),
    constant_frame_rate=True,
    frame_count=900,
    start_s=0.0,
    duration_s=30.0,
    keyframe_times_s=tuple(2.0 * number for number in range(15)),
)
"""30 s of 1080p30 with a keyframe every 2 s."""

AUDIO = AudioTrack(
    stream_index=1, codec="aac", sample_rate_hz=48_000, channel_count=2, start_s=0.0, duration_s=30.0
)


def make_video(**changes: Any) -> VideoTrack:
    """A picture like VIDEO but for the changes; a frame rate given is constant unless said otherwise."""
    if "frame_rate" in changes:
        changes.setdefault("busy_frame_rate", changes["frame_rate"])
    return replace(VIDEO, **changes)


def make_audio(**changes: Any) -> AudioTrack:
    """A sound like AUDIO but for the changes."""
    return replace(AUDIO, **changes)


def make_source(
    video: VideoTrack | None = VIDEO, audio: AudioTrack | None = AUDIO, *, demuxer: str = "mov"
) -> Source:
    """A source of the given tracks."""
    tracks = [track for track in (video, audio) if track]
    duration_s = max(track.end_s for track in tracks) - min(track.start_s for track in tracks)
    return Source(
        demuxer=demuxer,
        container="QuickTime / MOV",
        size_bytes=1_000_000,
        duration_s=duration_s,
        video=video,
        audio=audio,
    )
