"""When media has left every playlist for so long that nobody can still ask for it (rfc8216bis 6.2.2).

A segment leaves a live playlist when newer ones push it out of the window. From then on it must stay for its
own duration and that of the longest playlist which named it. Two folds of one ledger tell this: what the
ledger was that long ago (`past`), and where the media in question ended (`there`). Had the past left it
behind, it may go now. Nothing here counts objects or reads names: media pauses when its publisher does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distributor.domain.entries import Ended, Entry, Part, Record, Segment, Trimmed
from distributor.domain.ledger import Ledger, Timeline
from distributor.domain.stream import Description

LEAST_TARGETS = 3  # rfc8216bis 6.2.2: no playlist is shorter than three target durations
_LEAST_COUNT = 3
_PARTS_TARGETS = 3  # rfc8216bis 4.4.4.9: parts are listed near the live edge alone
_PARTS_STAY_TARGETS = 5  # their own duration, and those three target durations with room for what comes late
_ROUNDING_S = 0.5  # a segment may last so much longer than the target duration
_NAME = re.compile(r"(\d{8,})(\.\d+)?-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """For how long the media of one stream stays."""

    target_duration_s: int
    window_s: float

    @property
    def stay_s(self) -> float:
        """How long a segment stays that has left the playlist: its duration and the longest playlist's."""
        return 2 * (self.target_duration_s + _ROUNDING_S) + self.window_s

    @property
    def parts_stay_s(self) -> float:
        """How long a part stays that has left the playlist."""
        return _PARTS_STAY_TARGETS * self.target_duration_s

    def has_left(self, past: Ledger, there: Timeline) -> bool:
        """Whether the past's playlists had left behind everything up to the end of `there`."""
        known = past.timelines.get(there.rendition.rendition_id)
        if known is None or known.end_s is None or there.end_s is None:
            return False
        is_over = self._is_over(past, known)
        edge_s = past.duration_s if is_over else known.end_s
        if edge_s - there.end_s < self.window_s:
            return False
        newer_s, newer_count = known.played_s - there.played_s, known.next_msn - there.next_msn
        lasts = newer_s >= LEAST_TARGETS * self.target_duration_s and newer_count >= _LEAST_COUNT
        return lasts or is_over

    def has_left_parts(self, past: Ledger, there: Timeline, part: Part) -> bool:
        """Whether the past's playlists listed a part no more; `there` reaches to its segment at least."""
        known = past.timelines.get(part.rendition_id)
        if known is None:
            return False
        if past.ended or self._is_over(past, known):
            return True
        is_whole = known.next_msn > part.msn
        enough_s = (_PARTS_TARGETS + 1) * self.target_duration_s + _ROUNDING_S
        return is_whole and known.played_s - there.played_s >= enough_s

    def _is_over(self, past: Ledger, known: Timeline) -> bool:
        """Whether a rendition has ended, or is left so far behind that the others push out what it has."""
        return known.ended or past.duration_s - known.edge_s >= self.window_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What stands in the place of a ledger's beginning.

    The ledger began at `first_sequence`. Up to `sequence`, records have left it, and `wire` is the record
    that tells the rest of them. Up to `parts_sequence`, which is no less, parts are gone and told no more.
    """

    first_sequence: int = 0
    sequence: int = 0
    wire: bytes = b""
    parts_sequence: int = 0


def retention_of(description: Description) -> Retention:
    """For how long the media of a stream stays; of one that keeps everything, this counts for parts alone."""
    least_s = LEAST_TARGETS * description.target_duration_s
    return Retention(
        target_duration_s=description.target_duration_s, window_s=max(description.dvr_window_s, least_s)
    )


def head_entries(ledger: Ledger) -> Sequence[Entry]:
    """Tell what a reader must know of a beginning of which all segments are gone."""
    entries: list[Entry] = []
    for rendition_id, timeline in ledger.timelines.items():
        entries.append(timeline.rendition)
        if timeline.end_s is not None:
            entries.append(_trimmed(rendition_id, timeline, timeline.end_s))
        if timeline.ended:
            entries.append(Ended(rendition_id=rendition_id))
    return entries


def first_msns(ledger: Ledger) -> Mapping[str, int]:
    """The oldest segment of each rendition behind a beginning that is gone."""
    return {rendition_id: timeline.next_msn for rendition_id, timeline in ledger.timelines.items()}


def segments_of(record: Record) -> Sequence[Segment]:
    return [entry for entry in record.entries if isinstance(entry, Segment)]


def parts_of(record: Record) -> Sequence[Part]:
    return [entry for entry in record.entries if isinstance(entry, Part)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which segment an object holds, or holds a part of."""

    rendition_id: str
    msn: int
    is_part: bool


def place_of_key(key: str, prefix: str) -> Place | None:
    """Read what an object holds from its key; None of what is neither, such as an init segment."""
    rendition_id, _, name = key.removeprefix(prefix).partition("/")
    match = _NAME.match(name)
    return Place(rendition_id=rendition_id, msn=int(match[1]), is_part=bool(match[2])) if match else None


def _trimmed(rendition_id: str, timeline: Timeline, end_s: float) -> Trimmed:
    return Trimmed(
        rendition_id=rendition_id,
        first_msn=timeline.next_msn,
        start_s=end_s,
        discontinuity_sequence=timeline.discontinuity_sequence,
        size_bytes=timeline.size_bytes,
        media_s=timeline.media_s,
        peak_bps=timeline.peak_bps,
    )
