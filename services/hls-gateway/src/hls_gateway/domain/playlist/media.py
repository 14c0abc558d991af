"""Render media playlists: the segments of one rendition."""

from __future__ import annotations

from collections.abc import Iterator

from hls_gateway.domain.names import segment_uri
from hls_gateway.domain.playlist import tags
from hls_gateway.domain.playlist.body import EMPTY, Body, grow_body
from hls_gateway.domain.stream import Segment, Stream, StreamKind
from hls_gateway.domain.timeline import RenditionTimeline, Timeline

# rfc8216bis section 8: what a playlist must declare for decimal EXTINFs, and for EXT-X-MAP.
_VERSION_DECIMALS, _VERSION_MAP = 3, 6


def grow_media(body: Body, timeline: Timeline, known: RenditionTimeline) -> Body:
    """Write the segments that are new in a rendition."""
    return grow_body(body, timeline.stream, known.segments, _segment_lines)


def render_media(timeline: Timeline, known: RenditionTimeline, body: Body = EMPTY) -> str:
    """Render the media playlist of a rendition that has at least one segment.

    `body` is what was written of it before; the text is the same without.
    """
    stream, ended = timeline.stream, timeline.ended or known.ended
    head = tags.document(
        (
            tags.EXTM3U,
            tags.version(_VERSION_MAP if known.inits else _VERSION_DECIMALS),
            tags.target_duration(stream.target_duration_s),
            *growth(stream.kind, ended=ended),
            tags.INDEPENDENT_SEGMENTS,
            tags.media_sequence(known.segments[0].msn),
        )
    )
    return head + grow_media(body, timeline, known).text + ending(ended=ended)


def growth(kind: StreamKind, *, ended: bool) -> Iterator[str]:
    """Say how the playlist may change from now on (4.4.3.5); a sliding one must not say anything."""
    if kind is StreamKind.VOD and ended:
        yield tags.playlist_type("VOD")
    elif kind is not StreamKind.LIVE:
        yield tags.playlist_type("EVENT")
    if kind is StreamKind.VOD and not ended:
        # A player takes a playlist without an end for live, and would begin near its end.
        yield tags.start(0)


def ending(*, ended: bool) -> str:
    """Say that nothing will be added."""
    return tags.document([tags.ENDLIST]) if ended else ""


def _segment_lines(stream: Stream, segment: Segment) -> Iterator[str]:
    if segment.gap:
        yield tags.GAP
    yield tags.extinf(segment.duration_s)
    yield segment_uri(stream, segment)
