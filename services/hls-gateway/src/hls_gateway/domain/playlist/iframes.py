"""Render I-frame playlists: single pictures of one rendition, for scrubbing and fast play."""

from __future__ import annotations

from collections.abc import Iterator

from hls_gateway.domain.names import segment_uri
from hls_gateway.domain.playlist import tags
from hls_gateway.domain.playlist.media import body, ending, growth
from hls_gateway.domain.stream import Segment, Stream, StreamKind
from hls_gateway.domain.timeline import RenditionTimeline, Timeline

# rfc8216bis section 8: what EXT-X-I-FRAMES-ONLY needs, and EXT-X-MAP beside it.
_VERSION_IFRAMES, _VERSION_MAP = 4, 5


def has_iframes(timeline: Timeline, rendition: RenditionTimeline) -> bool:
    """Tell whether a rendition has an I-frame playlist.

    A sliding one would have to number the I-frames that have left it, which no entry tells.
    """
    return timeline.stream.kind is not StreamKind.LIVE and any(
        segment.iframes for segment in rendition.segments
    )


def render_iframes(timeline: Timeline, rendition: RenditionTimeline) -> str:
    """Render the I-frame playlist of a rendition that `has_iframes`."""
    stream, segments = timeline.stream, rendition.segments
    has_map = any(segment.init_key for segment in segments)
    ended = timeline.ended or rendition.ended
    return tags.document(
        (
            tags.EXTM3U,
            tags.version(_VERSION_MAP if has_map else _VERSION_IFRAMES),
            tags.target_duration(stream.target_duration_s),
            *growth(stream.kind, ended=ended),
            tags.I_FRAMES_ONLY,
            tags.media_sequence(0),
            *body(stream, segments, _iframe_lines),
            *ending(ended=ended),
        )
    )


def _iframe_lines(stream: Stream, segment: Segment) -> Iterator[str]:
    if segment.gap:
        yield tags.GAP
        yield tags.extinf(segment.duration_s)
        yield segment_uri(stream, segment)
    for iframe in segment.iframes:
        yield tags.extinf(iframe.duration_s)
        yield tags.byterange(iframe.size_bytes, iframe.offset_bytes)
        yield segment_uri(stream, segment)
