"""Render I-frame playlists: single pictures of one rendition, for scrubbing and fast play."""

from __future__ import annotations

from collections.abc import Iterator

from hls_gateway.domain.names import segment_uri
from hls_gateway.domain.playlist import head, tags
from hls_gateway.domain.playlist.body import EMPTY, Body, LinesOf, grow_body, write_body
from hls_gateway.domain.stream import IFrame, Segment, Stream, StreamKind
from hls_gateway.domain.timeline import RenditionTimeline, Timeline

# rfc8216bis section 8: what EXT-X-I-FRAMES-ONLY needs, and EXT-X-MAP beside it.
_VERSION_IFRAMES, _VERSION_MAP = 4, 5


def has_iframes(known: RenditionTimeline) -> bool:
    """Tell whether a rendition has an I-frame playlist."""
    return known.iframe_bit_rate.total_bytes > 0


def grow_iframes(body: Body, timeline: Timeline, known: RenditionTimeline) -> Body:
    """Write the I-frames that are new in a rendition."""
    return grow_body(body, timeline.stream, timeline.listed(known), _lines_of(timeline))


def render_iframes(
    timeline: Timeline, known: RenditionTimeline, body: Body = EMPTY, *, skip: bool = False
) -> str:
    """Render the I-frame playlist of a rendition that `has_iframes`.

    A live one shows one picture of each segment, under the segment's own number: so it needs no count of the
    pictures that have left it, which no ledger tells. For the other arguments see `render_media`.
    """
    segments = timeline.listed(known)
    ended = timeline.ended or known.ended
    skipped = head.count_skipped(timeline, segments) if skip and not ended else 0
    version = _VERSION_MAP if known.inits else _VERSION_IFRAMES
    lines = (
        tags.EXTM3U,
        tags.version(head.VERSION_SKIP if skipped else version),
        tags.target_duration(timeline.stream.target_duration_s),
        *head.growth(timeline, ended=ended),
        *head.control(timeline),
        tags.I_FRAMES_ONLY,
        *_numbers(timeline, segments[0]),
        *([tags.skip(skipped)] if skipped else ()),
    )
    body = grow_iframes(body, timeline, known)
    written = write_body(body.lines, skipped=skipped, parts={})
    return tags.document(lines) + written + head.ending(ended=ended)


def _numbers(timeline: Timeline, first: Segment) -> Iterator[str]:
    return iter([tags.media_sequence(0)]) if _has_all(timeline) else head.numbers(timeline, first)


def _has_all(timeline: Timeline) -> bool:
    """Tell whether every I-frame is listed, or one of each segment."""
    return timeline.kind is StreamKind.VOD


def _lines_of(timeline: Timeline) -> LinesOf:
    return _all_lines if _has_all(timeline) else _first_lines


def _all_lines(stream: Stream, segment: Segment) -> Iterator[str]:
    if segment.gap:
        yield from _gap_lines(stream, segment)
    for iframe in segment.iframes:
        yield from _picture_lines(stream, segment, iframe, iframe.duration_s)


def _first_lines(stream: Stream, segment: Segment) -> Iterator[str]:
    if segment.gap or not segment.iframes:
        return _gap_lines(stream, segment)
    return _picture_lines(stream, segment, segment.iframes[0], segment.duration_s)


def _gap_lines(stream: Stream, segment: Segment) -> Iterator[str]:
    yield tags.GAP
    yield tags.extinf(segment.duration_s)
    yield segment_uri(stream, segment)


def _picture_lines(stream: Stream, segment: Segment, iframe: IFrame, duration_s: float) -> Iterator[str]:
    """Write a picture; it is shown until the next one that is listed."""
    yield tags.extinf(duration_s)
    yield tags.byterange(iframe.size_bytes, iframe.offset_bytes)
    yield segment_uri(stream, segment)
