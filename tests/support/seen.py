"""Media playlists as a player reads them: text in, values out; what the laws in `support.checker` need."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^,]*)')


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPart:
    """A Partial Segment as listed."""

    uri: str
    duration_s: float
    gap: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenReport:
    """How far another rendition has come, as a Rendition Report tells; part -1 where none is told."""

    uri: str
    last_msn: int
    last_part: int = -1

    def is_before(self, other: SeenReport) -> bool:
        """Whether less has come; without a part all of the segment has, whatever part another tells of."""
        if self.last_msn != other.last_msn or -1 in (self.last_part, other.last_part):
            return self.last_msn < other.last_msn
        return self.last_part < other.last_part


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSegment:
    """A Media Segment as listed; at the edge one that is not whole has no URI yet."""

    msn: int
    discontinuity_sequence: int
    uri: str = ""
    duration_s: float = 0.0
    init_uri: str = ""
    date: datetime | None = None
    gap: bool = False
    parts: tuple[SeenPart, ...] = ()

    @property
    def has_media(self) -> bool:
        """Whether there is anything to read: the whole segment, or at least one part."""
        return bool(self.uri and not self.gap) or not all(part.gap for part in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPlaylist:
    """One answer for one media playlist."""

    target_s: int
    first_msn: int
    discontinuity_sequence: int = 0
    part_target_s: float = 0.0
    can_block: bool = False
    segments: tuple[SeenSegment, ...] = ()
    edge: SeenSegment | None = None
    hint_uri: str = ""
    """The part that is said to come next; it has the number `next_place`."""
    reports: tuple[SeenReport, ...] = ()
    ended: bool = False
    is_vod: bool = False
    """The stream has ended, and shows all that was recorded of it."""

    @property
    def next_place(self) -> tuple[int, int]:
        """What comes next: segment and part."""
        if self.edge:
            return self.edge.msn, len(self.edge.parts)
        return self.first_msn + len(self.segments), 0

    @property
    def listed(self) -> tuple[SeenSegment, ...]:
        """Whole segments, and the one at the edge."""
        return (*self.segments, self.edge) if self.edge else self.segments


def read_seen(text: str) -> SeenPlaylist:
    """Read a media playlist."""
    lines = text.splitlines()
    assert lines[0] == "#EXTM3U", text[:200]
    reader = _Reader()
    for line in lines[1:]:
        reader.take(line)
    return reader.finish()


class _Reader:
    """Goes through a playlist line by line."""

    def __init__(self) -> None:
        self._head: dict[str, int] = {}
        self._control: dict[str, str] = {}
        self._part_target_s = 0.0
        self._segments: list[SeenSegment] = []
        self._breaks = 0
        self._next = SeenSegment(msn=0, discontinuity_sequence=0)
        self._hint_uri = ""
        self._reports: list[SeenReport] = []
        self._ended = self._is_vod = False

    def take(self, line: str) -> None:
        name, _, value = line.partition(":")
        match name:
            case "#EXT-X-TARGETDURATION" | "#EXT-X-MEDIA-SEQUENCE" | "#EXT-X-DISCONTINUITY-SEQUENCE":
                self._head[name] = int(value)
            case "#EXT-X-PART-INF":
                self._part_target_s = float(_attributes(value)["PART-TARGET"])
            case "#EXT-X-SERVER-CONTROL":
                self._control = _attributes(value)
            case "#EXT-X-DISCONTINUITY":
                self._breaks += 1
            case "#EXT-X-PRELOAD-HINT":
                self._hint_uri = _attributes(value)["URI"]
            case "#EXT-X-RENDITION-REPORT":
                self._reports.append(_report(_attributes(value)))
            case "#EXT-X-ENDLIST":
                self._ended = True
            case "#EXT-X-PLAYLIST-TYPE":
                self._is_vod = value == "VOD"
            case _:
                self._take_segment(name, value, line)

    def _take_segment(self, name: str, value: str, line: str) -> None:
        match name:
            case "#EXT-X-MAP":
                self._next = replace(self._next, init_uri=_attributes(value)["URI"])
            case "#EXT-X-PROGRAM-DATE-TIME":
                self._next = replace(self._next, date=datetime.fromisoformat(value))
            case "#EXT-X-GAP":
                self._next = replace(self._next, gap=True)
            case "#EXTINF":
                self._next = replace(self._next, duration_s=float(value.partition(",")[0]))
            case "#EXT-X-PART":
                self._next = replace(self._next, parts=(*self._next.parts, _part(_attributes(value))))
            case _ if line and not line.startswith("#"):
                self._close(line)

    def _close(self, uri: str) -> None:
        self._segments.append(self._placed(uri))
        self._next = SeenSegment(msn=0, discontinuity_sequence=0, init_uri=self._next.init_uri)

    def _placed(self, uri: str) -> SeenSegment:
        msn = self._head["#EXT-X-MEDIA-SEQUENCE"] + len(self._segments)
        number = self._head.get("#EXT-X-DISCONTINUITY-SEQUENCE", 0) + self._breaks
        return replace(self._next, uri=uri, msn=msn, discontinuity_sequence=number)

    def finish(self) -> SeenPlaylist:
        return SeenPlaylist(
            target_s=self._head["#EXT-X-TARGETDURATION"],
            first_msn=self._head["#EXT-X-MEDIA-SEQUENCE"],
            discontinuity_sequence=self._head.get("#EXT-X-DISCONTINUITY-SEQUENCE", 0),
            part_target_s=self._part_target_s,
            can_block=self._control.get("CAN-BLOCK-RELOAD") == "YES",
            segments=tuple(self._segments),
            edge=self._placed("") if self._next.parts else None,
            hint_uri=self._hint_uri,
            reports=tuple(self._reports),
            ended=self._ended,
            is_vod=self._is_vod,
        )


def _attributes(text: str) -> dict[str, str]:
    return {name: value.strip('"') for name, value in _ATTRIBUTE.findall(text)}


def _part(attributes: Mapping[str, str]) -> SeenPart:
    return SeenPart(
        uri=attributes["URI"],
        duration_s=float(attributes["DURATION"]),
        gap=attributes.get("GAP") == "YES",
    )


def _report(attributes: Mapping[str, str]) -> SeenReport:
    return SeenReport(
        uri=attributes["URI"],
        last_msn=int(attributes["LAST-MSN"]),
        last_part=int(attributes.get("LAST-PART", -1)),
    )
