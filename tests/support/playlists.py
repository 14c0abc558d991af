"""Timelines for playlist tests, made of plain values."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import m3u8  # type: ignore[import-untyped]

from hls_gateway.domain.names import PlaylistName
from hls_gateway.domain.playlist.catalogue import playlist_names, render_playlist
from hls_gateway.domain.stream import (
    Container,
    Ended,
    Entry,
    IFrame,
    MediaKind,
    Part,
    Record,
    Rendition,
    Segment,
    Stream,
    StreamKind,
)
from hls_gateway.domain.timeline import Timeline, append_record

INCARNATION = "3f2a9c01"


def a_stream(**fields: Any) -> Stream:
    return Stream(
        **{
            "stream_id": "talk",
            "incarnation": INCARNATION,
            "kind": StreamKind.VOD,
            "container": Container.CMAF,
            "target_duration_s": 4,
            **fields,
        }
    )


def a_video(rendition_id: str = "High", **fields: Any) -> Rendition:
    return Rendition(
        **{
            "rendition_id": rendition_id,
            "media_kind": MediaKind.VIDEO,
            "codecs": ("avc1.640028",),
            "width_pixels": 1920,
            "height_pixels": 1080,
            "frame_rate": Fraction(30000, 1001),
            "target_bps": 4_000_000,
            "peak_bps": 6_000_000,
            "name": rendition_id,
            **fields,
        }
    )


def an_audio(rendition_id: str = "audio", **fields: Any) -> Rendition:
    return Rendition(
        **{
            "rendition_id": rendition_id,
            "media_kind": MediaKind.AUDIO,
            "codecs": ("mp4a.40.2",),
            "target_bps": 128_000,
            "peak_bps": 160_000,
            "channel_count": 2,
            "name": "Sound",
            **fields,
        }
    )


def thumbnails(**fields: Any) -> Rendition:
    """Pictures of 200 times 112, one every two seconds."""
    return Rendition(
        **{
            "rendition_id": "thumbnails",
            "media_kind": MediaKind.IMAGES,
            "codecs": ("jpeg",),
            "width_pixels": 200,
            "height_pixels": 112,
            "target_bps": 0,
            "peak_bps": 0,
            "tile_s": 2.0,
            **fields,
        }
    )


def a_sprite(msn: int, **fields: Any) -> Segment:
    key = f"streams/talk/{INCARNATION}/thumbnails/{msn:08d}-0a1b2c3d.jpg"
    return a_ts_segment(msn, "thumbnails", **{"object_key": key, "size_bytes": 10_000, **fields})


def a_segment(msn: int, rendition_id: str = "High", **fields: Any) -> Segment:
    return Segment(
        **{
            "rendition_id": rendition_id,
            "msn": msn,
            "start_s": msn * 4.0,
            "duration_s": 4.0,
            "object_key": f"streams/talk/{INCARNATION}/{rendition_id}/{msn:08d}-0a1b2c3d.m4s",
            "size_bytes": 2_000_000,
            "init_key": f"streams/talk/{INCARNATION}/{rendition_id}/init-11223344.mp4",
            "init_size_bytes": 700,
            **fields,
        }
    )


def a_live_stream(**fields: Any) -> Stream:
    """A sliding window of a minute, with parts of a second."""
    return a_stream(**{"kind": StreamKind.LIVE, "part_target_s": 1.0, "dvr_window_s": 60.0, **fields})


def a_part(msn: int, part: int, rendition_id: str = "High", **fields: Any) -> Part:
    return Part(
        **{
            "rendition_id": rendition_id,
            "msn": msn,
            "part": part,
            "duration_s": 1.0,
            "object_key": f"streams/talk/{INCARNATION}/{rendition_id}/{msn:08d}.{part:03d}-0a1b2c3d.m4s",
            "size_bytes": 500_000,
            "init_key": f"streams/talk/{INCARNATION}/{rendition_id}/init-11223344.mp4",
            "init_size_bytes": 700,
            "independent": part == 0,
            **fields,
        }
    )


def a_whole(msn: int, rendition_id: str = "High", **fields: Any) -> tuple[Entry, ...]:
    """A segment of four parts, behind them."""
    return (*(a_part(msn, part, rendition_id) for part in range(4)), a_segment(msn, rendition_id, **fields))


def a_ts_segment(msn: int, rendition_id: str = "High", **fields: Any) -> Segment:
    return a_segment(msn, rendition_id, **{"init_key": "", "init_size_bytes": 0, **fields})


def a_gap(msn: int, rendition_id: str = "High", **fields: Any) -> Segment:
    return a_segment(msn, rendition_id, gap=True, object_key="", size_bytes=0, init_key="", **fields)


def iframes(*sizes: int, duration_s: float = 2.0) -> tuple[IFrame, ...]:
    return tuple(
        IFrame(offset_bytes=100 + 50_000 * index, size_bytes=size, duration_s=duration_s)
        for index, size in enumerate(sizes)
    )


def timeline_of(*entries: Entry, stream: Stream | None = None) -> Timeline:
    """Fold entries as one record."""
    return append_record(Timeline(stream=stream or a_stream()), Record(sequence=1, entries=entries))


END = Ended()


def all_playlists(timeline: Timeline) -> dict[PlaylistName, str]:
    """All playlists of a stream, written from nothing."""
    rendered = {name: render_playlist(timeline, name, {}) for name in playlist_names(timeline)}
    return {name: text for name, text in rendered.items() if text is not None}


def read_playlist(text: str) -> Any:
    """Read a playlist with a parser that is not ours."""
    return m3u8.loads(text)
