"""Render media playlists: the segments of one rendition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from hls_gateway.domain.names import init_uri, segment_uri
from hls_gateway.domain.playlist import tags
from hls_gateway.domain.stream import Segment, Stream, StreamKind
from hls_gateway.domain.timeline import RenditionTimeline, Timeline

# rfc8216bis section 8: what a playlist must declare for decimal EXTINFs, and for EXT-X-MAP.
_VERSION_DECIMALS, _VERSION_MAP = 3, 6


def render_media(timeline: Timeline, rendition: RenditionTimeline) -> str:
    """Render the media playlist of a rendition that has at least one segment."""
    stream, segments = timeline.stream, rendition.segments
    has_map = any(segment.init_key for segment in segments)
    ended = timeline.ended or rendition.ended
    return tags.document(
        (
            tags.EXTM3U,
            tags.version(_VERSION_MAP if has_map else _VERSION_DECIMALS),
            tags.target_duration(stream.target_duration_s),
            *growth(stream.kind, ended=ended),
            tags.INDEPENDENT_SEGMENTS,
            tags.media_sequence(segments[0].msn),
            *body(stream, segments, _segment_lines),
            *ending(ended=ended),
        )
    )


def growth(kind: StreamKind, *, ended: bool) -> Iterator[str]:
    """Say how the playlist may change from now on (4.4.3.5); a sliding one must not say anything."""
    if kind is StreamKind.VOD and ended:
        yield tags.playlist_type("VOD")
    elif kind is not StreamKind.LIVE:
        yield tags.playlist_type("EVENT")
    if kind is StreamKind.VOD and not ended:
        # A player takes a playlist without an end for live, and would begin near its end.
        yield tags.start(0)


def body(
    stream: Stream, segments: Iterable[Segment], lines_of: Callable[[Stream, Segment], Iterable[str]]
) -> Iterator[str]:
    """Write segments, and between them what changes from one to the next."""
    discontinuity_sequence, init_key = 0, ""
    for index, segment in enumerate(segments):
        if segment.discontinuity_sequence != discontinuity_sequence:
            # Before the first segment it tells how many have left the playlist (4.4.3.3).
            discontinuity_sequence = segment.discontinuity_sequence
            yield tags.DISCONTINUITY if index else tags.discontinuity_sequence(discontinuity_sequence)
        if segment.init_key not in {"", init_key}:
            init_key = segment.init_key
            yield tags.map_section(init_uri(stream, init_key))
        if segment.program_date_time:
            yield tags.program_date_time(segment.program_date_time)
        yield from lines_of(stream, segment)


def ending(*, ended: bool) -> Iterator[str]:
    """Say that nothing will be added."""
    if ended:
        yield tags.ENDLIST


def _segment_lines(stream: Stream, segment: Segment) -> Iterator[str]:
    if segment.gap:
        yield tags.GAP
    yield tags.extinf(segment.duration_s)
    yield segment_uri(stream, segment)
