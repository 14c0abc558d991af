"""Render media playlists: the segments of one rendition, and at a live edge its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hls_gateway.domain.live_window import first_msn_with_parts
from hls_gateway.domain.names import part_uri, segment_uri
from hls_gateway.domain.playlist import head, tags
from hls_gateway.domain.playlist.body import EMPTY, Body, Line, edge_line, grow_body, write_body
from hls_gateway.domain.stream import Part, Segment, Stream, StreamKind
from hls_gateway.domain.timeline import RenditionTimeline, Timeline

# rfc8216bis section 8: what a playlist must declare for decimal EXTINFs, and for EXT-X-MAP.
_VERSION_DECIMALS, _VERSION_MAP = 3, 6


def grow_media(body: Body, timeline: Timeline, known: RenditionTimeline) -> Body:
    """Write the segments and parts that are new in a rendition."""
    body = grow_body(body, timeline.stream, timeline.listed(known), _segment_lines)
    return _with_parts(body, timeline.stream, known) if known.parts else body


def render_media(
    timeline: Timeline, known: RenditionTimeline, body: Body = EMPTY, *, skip: bool = False
) -> str:
    """Render the media playlist of a rendition that has at least one segment.

    Args:
        timeline: The stream.
        known: The rendition.
        body: What was written of it before; the text is the same without.
        skip: Leave out what a client knows already (6.2.5.1).
    """
    segments = timeline.listed(known)
    ended = timeline.ended or known.ended
    skipped = head.count_skipped(timeline, segments) if skip and not ended else 0
    body = grow_media(body, timeline, known)
    edge = _edge(timeline, known, body, ended=ended)
    return "".join(
        (
            tags.document(_head(timeline, known, segments[0], skipped=skipped, ended=ended)),
            write_body(edge.lines, skipped=skipped, parts=edge.parts),
            tags.document(_tail(timeline, known, ended=ended)),
            head.ending(ended=ended),
        )
    )


def _head(
    timeline: Timeline, known: RenditionTimeline, first: Segment, *, skipped: int, ended: bool
) -> Iterator[str]:
    version = _VERSION_MAP if known.inits else _VERSION_DECIMALS
    yield tags.EXTM3U
    yield tags.version(head.VERSION_SKIP if skipped else version)
    yield tags.target_duration(timeline.stream.target_duration_s)
    yield from head.growth(timeline, ended=ended)
    yield from head.control(timeline)
    if timeline.stream.part_target_s and timeline.kind is not StreamKind.VOD:
        yield tags.part_information(timeline.stream.part_target_s)
    yield tags.INDEPENDENT_SEGMENTS
    yield from head.numbers(timeline, first)
    if skipped:
        yield tags.skip(skipped)


def _tail(timeline: Timeline, known: RenditionTimeline, *, ended: bool) -> Iterator[str]:
    """Say what comes next, and how far the others are."""
    if ended or not timeline.is_live:
        return
    if timeline.stream.part_target_s:
        part = known.part_count(known.next_msn)
        yield tags.preload_hint(part_uri(timeline.stream, known.next_msn, part))
    yield from head.reports(timeline, known)


def _with_parts(body: Body, stream: Stream, known: RenditionTimeline) -> Body:
    first_msn = max(body.first_msn, first_msn_with_parts(stream, known.segments))
    parts = {
        place: body.parts.get(place) or _part_line(stream, part)
        for part in known.parts
        if (place := (part.msn, part.part))[0] >= first_msn
    }
    return replace(body, parts=parts)


@dataclass(frozen=True, slots=True)
class _Edge:
    """A playlist's lines, the one of a segment that is not whole among them, and parts by line."""

    lines: Sequence[Line]
    parts: Mapping[int, str]


def _edge(timeline: Timeline, known: RenditionTimeline, body: Body, *, ended: bool) -> _Edge:
    stream = timeline.stream
    if ended or not known.parts:
        return _Edge(body.lines, {})
    lines = body.lines
    unfinished = known.parts_of(known.next_msn)
    if unfinished:
        lines = (*lines, edge_line(body, stream, unfinished[0]))
    parts: dict[int, str] = {}
    for (msn, _), line in body.parts.items():
        index = msn - body.first_msn
        parts[index] = parts.get(index, "") + line
    return _Edge(lines, parts)


def _part_line(stream: Stream, part: Part) -> str:
    uri = part_uri(stream, part.msn, part.part)
    line = tags.partial_segment(uri, part.duration_s, independent=part.independent, gap=part.gap)
    return f"{line}\n"


def _segment_lines(stream: Stream, segment: Segment) -> Iterator[str]:
    if segment.gap:
        yield tags.GAP
    yield tags.extinf(segment.duration_s)
    yield segment_uri(stream, segment)
