"""The part of a playlist that lists segments: it grows at its end, and is never written anew for that.

A stream of ten hours has thousands of segments in each rendition, and every record adds a few. A sliding
window loses lines at its front; only what is written before its first segment depends on where it begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple

from hls_gateway.domain.names import init_uri
from hls_gateway.domain.playlist import tags
from hls_gateway.domain.stream import Part, Segment, Stream

LinesOf = Callable[[Stream, Segment], Iterable[str]]


class Line(NamedTuple):
    """One segment as text; a tuple, since there are thousands of them.

    Args:
        is_break: A discontinuity lies before it.
        is_mapped: Its init segment is another than that of the one before.
        map_line: EXT-X-MAP, wherever it has an init segment.
        dated: Tags that stand before its parts.
        core: What stands behind its parts.
        text: All of it, as it stands between other segments once its parts have left.
    """

    is_break: bool
    is_mapped: bool
    map_line: str
    dated: str
    core: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Segments as text, as far as they were written.

    Args:
        first_msn: The first segment that is listed.
        next_msn: The first one that is not.
        discontinuity_sequence: The one in force at the end.
        init_key: The init segment in force at the end.
        lines_of: How they were written.
        parts: The parts that are listed, by segment and number.
    """

    lines: tuple[Line, ...] = ()
    first_msn: int = -1
    next_msn: int = -1
    discontinuity_sequence: int = 0
    init_key: str = ""
    lines_of: LinesOf | None = None
    parts: Mapping[tuple[int, int], str] = field(default_factory=lambda: MappingProxyType({}))

    def from_first(self, msn: int) -> Body:
        """Drop what lies before a segment."""
        return replace(self, lines=self.lines[msn - self.first_msn :], first_msn=msn)


EMPTY = Body()


def grow_body(body: Body, stream: Stream, segments: Sequence[Segment], lines_of: LinesOf) -> Body:
    """Write the segments that are new, and drop those that are gone."""
    if not segments:
        return EMPTY
    first = segments[0]
    if body.lines_of is not lines_of or not body.first_msn <= first.msn < body.next_msn:
        number = first.discontinuity_sequence
        body = Body(first_msn=first.msn, next_msn=first.msn, discontinuity_sequence=number, lines_of=lines_of)
    elif first.msn > body.first_msn:
        body = body.from_first(first.msn)
    lines = []
    for segment in segments[body.next_msn - body.first_msn :]:
        lines.append(_line(body, stream, segment, tags.document(lines_of(stream, segment))))
        body = replace(
            body,
            next_msn=segment.msn + 1,
            discontinuity_sequence=segment.discontinuity_sequence,
            init_key=segment.init_key or body.init_key,
        )
    return replace(body, lines=(*body.lines, *lines)) if lines else body


def edge_line(body: Body, stream: Stream, part: Part) -> Line:
    """Write what stands before the first part of a segment that is not whole yet."""
    return _line(body, stream, part, "")


def write_body(lines: Sequence[Line], *, skipped: int, parts: Mapping[int, str]) -> str:
    """Put a playlist's segments together.

    Args:
        lines: All that are listed.
        skipped: How many of the first ones the client knows already.
        parts: The parts of some of the last ones, by index.
    """
    mapped = next((index for index, line in enumerate(lines) if line.map_line), 0)
    plain_start = max(skipped, mapped + 1)
    plain_end = max(plain_start, min(parts, default=len(lines)))
    special = chain(range(skipped, min(plain_start, len(lines))), range(plain_end, len(lines)))
    written = {index: _written(lines[index], index, mapped, parts.get(index, "")) for index in special}
    before = (text for index, text in written.items() if index < plain_start)
    behind = (text for index, text in written.items() if index >= plain_end)
    return "".join(chain(before, (line.text for line in lines[plain_start:plain_end]), behind))


def _written(line: Line, index: int, mapped: int, parts: str) -> str:
    """Write one line at its place; the first one that needs an init segment always names it."""
    # Of the first segment's discontinuity EXT-X-DISCONTINUITY-SEQUENCE tells (4.4.3.3).
    discontinuity = f"{tags.DISCONTINUITY}\n" if line.is_break and index else ""
    map_line = line.map_line if line.is_mapped or index == mapped else ""
    return f"{discontinuity}{map_line}{line.dated}{parts}{line.core}"


def _line(body: Body, stream: Stream, media: Segment | Part, core: str) -> Line:
    is_break = media.discontinuity_sequence != body.discontinuity_sequence
    is_mapped = media.init_key not in {"", body.init_key}
    map_line = tags.document(_map_tags(stream, media))
    dated = tags.document(_date_tags(media))
    boundary = (f"{tags.DISCONTINUITY}\n" if is_break else "") + (map_line if is_mapped else "")
    return Line(is_break, is_mapped, map_line, dated, core, f"{boundary}{dated}{core}")


def _map_tags(stream: Stream, media: Segment | Part) -> Iterator[str]:
    if media.init_key:
        yield tags.map_section(init_uri(stream, media.init_key))


def _date_tags(media: Segment | Part) -> Iterator[str]:
    if media.program_date_time:
        yield tags.program_date_time(media.program_date_time)
