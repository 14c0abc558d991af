"""What must hold in a live stream whatever dies, as one viewer of one rendition can tell. Pure.

`RenditionLaws` is shown every playlist and every byte that a viewer reads, and writes down each law that was
broken (rfc8216bis 6.2.1 and 6.2.2, and our own promise: same number, same bytes).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import NamedTuple

from support.seen import SeenPart, SeenPlaylist, SeenReport, SeenSegment

# Dates are written in whole milliseconds, durations in microseconds; sums of them miss each other by so much.
DATE_TOLERANCE = timedelta(milliseconds=2)
PART_TOLERANCE_S = 1e-3
# In place of a part's number: all of the segment, and what must be read before it.
WHOLE, INIT = -1, -2


class Wanted(NamedTuple):
    """Something that was announced and must be readable: a part, a `WHOLE` segment, or its `INIT` segment."""

    msn: int
    part: int
    uri: str

    @property
    def is_segment(self) -> bool:
        return self.part == WHOLE

    @property
    def is_part(self) -> bool:
        return self.part >= 0


@dataclass
class RenditionLaws:
    """The laws over all answers for one media playlist, in the order in which they came."""

    name: str
    faults: list[str] = field(default_factory=list)
    _last: SeenPlaylist | None = None
    _segments: dict[int, SeenSegment] = field(default_factory=dict)
    _parts: dict[tuple[int, int], SeenPart] = field(default_factory=dict)
    _init_uris: dict[int, str] = field(default_factory=dict)
    _named_inits: set[str] = field(default_factory=set)
    _hints: dict[tuple[int, int], str] = field(default_factory=dict)
    _reports: dict[str, SeenReport] = field(default_factory=dict)
    _hashes: dict[str, str] = field(default_factory=dict)
    _part_data: dict[tuple[int, int], bytes] = field(default_factory=dict)

    @property
    def whole_count(self) -> int:
        """How many segments were seen whole."""
        return len(self._segments)

    @property
    def segments(self) -> tuple[SeenSegment, ...]:
        """All that were ever seen whole, in order."""
        return tuple(self._segments[msn] for msn in sorted(self._segments))

    @property
    def last(self) -> SeenPlaylist | None:
        return self._last

    def take_playlist(self, playlist: SeenPlaylist) -> list[Wanted]:
        """Hold an answer against all before it; say what is announced for the first time."""
        if self._last and not playlist.is_vod:  # a recording shows again what had left the window
            self._hold_heads(self._last, playlist)
        self._hold_durations(playlist)
        self._hold_dates(playlist)
        wanted = [item for segment in playlist.listed for item in self._take_segment(segment)]
        self._take_hint(playlist)
        for report in playlist.reports:
            self._take_report(report)
        self._last = playlist
        return wanted

    def take_bytes(self, wanted: Wanted, data: bytes) -> None:
        """Hold what was read under a name against what was read there before, and against its parts."""
        digest = hashlib.sha256(data).hexdigest()
        if self._hashes.setdefault(wanted.uri, digest) != digest:
            self._fault(f"{wanted.uri} has other bytes than before")
        if wanted.is_segment:
            self._hold_parts(wanted, data)
        elif wanted.is_part:
            self._part_data[wanted.msn, wanted.part] = data

    def take_refusal(self, wanted: Wanted, status: int) -> None:
        """Take down that something announced could not be read."""
        self._fault(f"{wanted.uri} was announced and answered {status}")

    def _hold_heads(self, old: SeenPlaylist, new: SeenPlaylist) -> None:
        for what, before, now in (
            ("media sequence", old.first_msn, new.first_msn),
            ("discontinuity sequence", old.discontinuity_sequence, new.discontinuity_sequence),
            ("live edge", old.next_place, new.next_place),
        ):
            if now < before:  # type: ignore[operator]  # pairs with pairs, numbers with numbers
                self._fault(f"the {what} went back from {before} to {now}")
        if (old.target_s, old.part_target_s) != (new.target_s, new.part_target_s):
            self._fault(f"the target duration changed from {old.target_s} to {new.target_s}")
        if old.ended and not new.ended:
            self._fault("the end was taken back")

    def _hold_durations(self, playlist: SeenPlaylist) -> None:
        for segment in playlist.segments:
            if int(segment.duration_s + 0.5) > playlist.target_s:
                self._fault(f"segment {segment.msn} lasts {segment.duration_s} s, over {playlist.target_s}")
        for segment in playlist.listed:
            for number, part in enumerate(segment.parts):
                if part.duration_s > playlist.part_target_s + PART_TOLERANCE_S:
                    self._fault(f"part {segment.msn}.{number} lasts {part.duration_s} s")

    def _hold_dates(self, playlist: SeenPlaylist) -> None:
        end = None
        for segment in playlist.listed:
            if segment.date is None:
                self._fault(f"segment {segment.msn} has no date")
                continue
            if end and segment.date < end - DATE_TOLERANCE:
                self._fault(f"segment {segment.msn} begins at {segment.date}, before the end of the last one")
            end = segment.date + timedelta(seconds=segment.duration_s)

    def _take_segment(self, segment: SeenSegment) -> list[Wanted]:
        wanted = self._take_init(segment)
        wanted += [
            Wanted(segment.msn, number, part.uri)
            for number, part in enumerate(segment.parts)
            if self._is_new_part(segment.msn, number, part) and not part.gap
        ]
        if segment.uri and self._is_new_segment(segment) and not segment.gap:
            wanted.append(Wanted(segment.msn, WHOLE, segment.uri))
        return wanted

    def _take_init(self, segment: SeenSegment) -> list[Wanted]:
        # A gap has none of its own: it shows the one in force before it, and none at the head of a window.
        if segment.has_media:
            known = self._init_uris.setdefault(segment.msn, segment.init_uri)
            if known != segment.init_uri:
                self._fault(
                    f"segment {segment.msn} had the init segment {known!r}, and has {segment.init_uri!r}"
                )
        if not segment.init_uri or segment.init_uri in self._named_inits:
            return []
        self._named_inits.add(segment.init_uri)
        return [Wanted(segment.msn, INIT, segment.init_uri)]

    def _is_new_part(self, msn: int, number: int, part: SeenPart) -> bool:
        known = self._parts.setdefault((msn, number), part)
        if known is not part and known != part:
            self._fault(f"part {msn}.{number} was {known}, and is {part}")
        hinted = self._hints.pop((msn, number), part.uri)
        if hinted != part.uri:
            self._fault(f"part {msn}.{number} was hinted as {hinted}, and is {part.uri}")
        return known is part

    def _is_new_segment(self, segment: SeenSegment) -> bool:
        # Parts leave a playlist before their segment does; init segments have a law of their own.
        plain = replace(segment, parts=(), init_uri="")
        known = self._segments.setdefault(segment.msn, plain)
        if known is not plain and known != plain:
            self._fault(f"segment {segment.msn} was {known}, and is {plain}")
        return known is plain

    def _take_hint(self, playlist: SeenPlaylist) -> None:
        """Hold a hint against others for the same part; one that a segment's end overtook stays without."""
        if not playlist.hint_uri:
            return
        (msn, part), uri = playlist.next_place, playlist.hint_uri
        known = self._hints.setdefault((msn, part), uri)
        if known != uri:
            self._fault(f"part {msn}.{part} was hinted as {known}, and now as {uri}")

    def _take_report(self, report: SeenReport) -> None:
        """Hold what is told of another rendition against what was told of it here before."""
        before = self._reports.get(report.uri, report)
        self._reports[report.uri] = report
        if report.is_before(before):
            self._fault(f"{report.uri} was reported to have come to {before}, and then to {report}")

    def _hold_parts(self, wanted: Wanted, data: bytes) -> None:
        """Hold a segment against its parts; after a stall the last of them may never have been listed."""
        numbers = sorted(number for msn, number in self._parts if msn == wanted.msn)
        pieces = [self._part_data.pop((wanted.msn, number), None) for number in numbers]
        whole = [piece for piece in pieces if piece is not None]
        if not whole or len(whole) < len(pieces):  # some are gaps, or left before they were read
            return
        parts_s = sum(self._parts[wanted.msn, number].duration_s for number in numbers)
        is_all = parts_s > self._segments[wanted.msn].duration_s - PART_TOLERANCE_S
        joined = b"".join(whole)
        if joined != data if is_all else not data.startswith(joined):
            self._fault(f"segment {wanted.msn} is not its {len(whole)} parts")

    def _fault(self, text: str) -> None:
        self.faults.append(f"{self.name}: {text}")
