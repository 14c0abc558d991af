"""Render I-frame playlists: single pictures of one rendition, for scrubbing and fast play."""

from __future__ import annotations

from collections.abc import Iterator

from hls_gateway.domain.names import segment_uri
from hls_gateway.domain.playlist import tags
from hls_gateway.domain.playlist.body import EMPTY, Body, grow_body
from hls_gateway.domain.playlist.media import ending, growth
from hls_gateway.domain.stream import Segment, Stream, StreamKind
from hls_gateway.domain.timeline import RenditionTimeline, Timeline

# rfc8216bis section 8: what EXT-X-I-FRAMES-ONLY needs, and EXT-X-MAP beside it.
_VERSION_IFRAMES, _VERSION_MAP = 4, 5


def has_iframes(timeline: Timeline, known: RenditionTimeline) -> bool:
    """Tell whether a rendition has an I-frame playlist.

    A sliding one would have to number the I-frames that have left it, which no entry tells.
    """
    return timeline.stream.kind is not StreamKind.LIVE and known.iframe_bit_rate.total_bytes > 0


def grow_iframes(body: Body, timeline: Timeline, known: RenditionTimeline) -> Body:
    """Write the I-frames that are new in a rendition."""
    return grow_body(body, timeline.stream, known.segments, _iframe_lines)


def render_iframes(timeline: Timeline, known: RenditionTimeline, body: Body = EMPTY) -> str:
    """Render the I-frame playlist of a rendition that `has_iframes`.

    `body` is what was written of it before; the text is the same without.
    """
    stream, ended = timeline.stream, timeline.ended or known.ended
    head = tags.document(
        (
            tags.EXTM3U,
            tags.version(_VERSION_MAP if known.inits else _VERSION_IFRAMES),
            tags.target_duration(stream.target_duration_s),
            *growth(stream.kind, ended=ended),
            tags.I_FRAMES_ONLY,
            tags.media_sequence(0),
        )
    )
    return head + grow_iframes(body, timeline, known).text + ending(ended=ended)


def _iframe_lines(stream: Stream, segment: Segment) -> Iterator[str]:
    if segment.gap:
        yield tags.GAP
        yield tags.extinf(segment.duration_s)
        yield segment_uri(stream, segment)
    for iframe in segment.iframes:
        yield tags.extinf(iframe.duration_s)
        yield tags.byterange(iframe.size_bytes, iframe.offset_bytes)
        yield segment_uri(stream, segment)
