"""What a viewer may wait for, and when the wait is over (rfc8216bis 6.2.5.2 and 6.2.6)."""

from __future__ import annotations

import math
from typing import NamedTuple

from chassis.errors import InvalidArgument
from hls_gateway.domain.names import MEDIA, InitName, MediaName, PlaylistName, SpriteName
from hls_gateway.domain.stream import Stream
from hls_gateway.domain.timeline import RenditionTimeline, Timeline

# A viewer who asks for more than this beyond the newest segment is mistaken.
_MOST_SEGMENTS_AHEAD = 2
# So many segments may be appended at once when NATS was away, and reach one gateway before another.
_MOST_NEWS = 100


class Place(NamedTuple):
    """What is waited for in one rendition.

    Args:
        part: None stands for the whole segment.
        is_hint: The part's bytes are waited for, not a playlist that lists it.
    """

    rendition_id: str
    msn: int
    part: int | None = None
    is_hint: bool = False


def reload_place(timeline: Timeline, name: PlaylistName, msn: int, part: int | None) -> Place | None:
    """Say what a blocking reload waits for; None where nobody waits, as behind the end (6.2.5.2).

    I-frame playlists list whole segments alone, as those of streams without parts do.

    Raises:
        InvalidArgument: It is too far ahead.
    """
    known = timeline.renditions.get(name.rendition_id)
    if known is None or not known.segments or known.ended or not timeline.is_live:
        return None
    if name.file_name != MEDIA or not timeline.stream.part_target_s:
        part = None
    _require_near(timeline.stream, known, msn, part)
    return Place(name.rendition_id, msn, part)


def is_over(timeline: Timeline, place: Place) -> bool:
    """Tell whether waiting has an end: what is waited for is there, or will never be."""
    known = timeline.renditions.get(place.rendition_id)
    if known is None or known.ended or not timeline.is_live:
        return True
    if place.is_hint:
        return place.msn < known.next_msn or _has_part(known, place.msn, place.part or 0)
    return is_listed(known, place.msn, place.part)


def is_listed(known: RenditionTimeline, msn: int, part: int | None) -> bool:
    """Tell whether a rendition's playlist holds a segment or part, or a later one."""
    if part is None or msn < known.next_msn - 1:
        return msn < known.next_msn
    if msn >= known.next_msn:
        return _has_part(known, msn, part)
    # A part behind the last one of its segment is the first one of the next segment (6.2.5.2).
    return part < max(1, known.part_count(msn)) or _has_part(known, known.next_msn, 0)


def advance_part_limit(stream: Stream) -> int:
    """How many parts beyond the newest one may be asked for (6.2.5.2)."""
    return math.ceil(3 / stream.part_target_s) if 0 < stream.part_target_s < 1 else 3


def is_hinted(timeline: Timeline, place: Place) -> bool:
    """Tell whether a part is the next to come, or the one behind it.

    The latter, since another gateway may have heard of one more, and hinted its successor.
    """
    known = timeline.renditions.get(place.rendition_id)
    if known is None or known.ended or not (timeline.is_live and timeline.stream.part_target_s):
        return False
    count = known.part_count(known.next_msn)
    nearest = {(known.next_msn, count), (known.next_msn, count + 1), (known.next_msn + 1, 0)}
    return (place.msn, place.part) in nearest


def may_be_news(timeline: Timeline, rendition_id: str, name: MediaName) -> bool:
    """Tell whether another gateway may have announced what is not known here: it may have heard first."""
    known = timeline.renditions.get(rendition_id)
    if not timeline.is_live or (known and known.ended):
        return False
    if known is None or isinstance(name, InitName):
        return True
    ahead = range(known.next_msn, known.next_msn + _MOST_NEWS)
    fits = isinstance(name, SpriteName) or name.container is timeline.stream.container
    return name.msn in ahead and fits


def _require_near(stream: Stream, known: RenditionTimeline, msn: int, part: int | None) -> None:
    most_msn = known.next_msn - 1 + _MOST_SEGMENTS_AHEAD
    if msn > most_msn:
        raise InvalidArgument(
            f"_HLS_msn is {msn}: it must be at most {most_msn}, two more than the newest segment",
            reason="TOO_FAR_AHEAD",
            field="_HLS_msn",
        )
    most_part = known.part_count(msn) - 1 + advance_part_limit(stream)
    if part is not None and msn >= known.next_msn and part > most_part:
        raise InvalidArgument(
            f"_HLS_part is {part}: it must be at most {most_part} in segment {msn}",
            reason="TOO_FAR_AHEAD",
            field="_HLS_part",
        )


def _has_part(known: RenditionTimeline, msn: int, part: int) -> bool:
    return msn == known.next_msn and part < known.part_count(msn)
