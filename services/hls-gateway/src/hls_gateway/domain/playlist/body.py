"""The part of a playlist that lists segments: it grows at its end, and is never written anew for that.

A stream of ten hours has thousands of segments in each rendition, and every record adds a few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from hls_gateway.domain.names import init_uri
from hls_gateway.domain.playlist import tags
from hls_gateway.domain.stream import Segment, Stream

LinesOf = Callable[[Stream, Segment], Iterable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Segments as text, as far as they were written.

    Args:
        text: Whole lines.
        first_msn: The first segment that is listed.
        next_msn: The first one that is not.
        discontinuity_sequence: The one in force at the end.
        init_key: The init segment in force at the end.
    """

    text: str = ""
    first_msn: int = -1
    next_msn: int = -1
    discontinuity_sequence: int = 0
    init_key: str = ""


EMPTY = Body()


def grow_body(body: Body, stream: Stream, segments: Sequence[Segment], lines_of: LinesOf) -> Body:
    """Write the segments that are new; all of them, if the first one is another than before."""
    if segments and segments[0].msn != body.first_msn:
        body = Body(first_msn=segments[0].msn, next_msn=segments[0].msn)
    lines: list[str] = []
    for segment in segments[body.next_msn - body.first_msn :]:
        lines += _boundary(body, stream, segment)
        lines += lines_of(stream, segment)
        body = replace(
            body,
            next_msn=segment.msn + 1,
            discontinuity_sequence=segment.discontinuity_sequence,
            init_key=segment.init_key or body.init_key,
        )
    return replace(body, text=body.text + tags.document(lines)) if lines else body


def _boundary(body: Body, stream: Stream, segment: Segment) -> Iterator[str]:
    """Write what changes from one segment to the next."""
    number = segment.discontinuity_sequence
    if number != body.discontinuity_sequence:
        # Before the first segment it tells how many have left the playlist (4.4.3.3).
        is_first = segment.msn == body.first_msn
        yield tags.discontinuity_sequence(number) if is_first else tags.DISCONTINUITY
    if segment.init_key not in {"", body.init_key}:
        yield tags.map_section(init_uri(stream, segment.init_key))
    if segment.program_date_time:
        yield tags.program_date_time(segment.program_date_time)
