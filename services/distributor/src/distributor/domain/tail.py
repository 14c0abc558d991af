"""The end of a ledger, for who goes on with it: what was before is told as if it had left."""

from __future__ import annotations

from collections.abc import Sequence

from distributor.domain.entries import Ended, Entry, Media, Record, Rendition, Segment, Trimmed
from distributor.domain.ledger import Ledger, Timeline


def tail_start(ledger: Ledger, records: Sequence[Record], segment_count: int) -> int | None:
    """Find the newest record from which on a ledger tells enough of its end.

    Args:
        ledger: With all records.
        records: Its newest.
        segment_count: Segments wanted of each rendition that has not ended; fewer if that is all it has.

    Returns:
        An index into `records`; None if they do not reach back so far.
    """
    missing = {key: segment_count for key, timeline in ledger.timelines.items() if not timeline.ended}
    for index in range(len(records) - 1, -1, -1):
        for entry in records[index].entries:
            if isinstance(entry, Rendition):
                missing.pop(entry.rendition_id, None)
            elif isinstance(entry, Segment) and entry.rendition_id in missing:
                missing[entry.rendition_id] -= 1
        if all(count <= 0 for count in missing.values()):
            return index
    return None


def entries_before(ledger: Ledger, records: Sequence[Record]) -> Sequence[Entry]:
    """Tell what a reader of a ledger's newest records must know of what was before them."""
    oldest: dict[str, Entry] = {}
    for record in records:
        for entry in record.entries:
            if isinstance(entry, Media | Rendition | Trimmed):
                oldest.setdefault(entry.rendition_id, entry)
    timelines = ledger.timelines.items()
    return [entry for key, timeline in timelines for entry in _before(timeline, oldest.get(key))]


def _before(timeline: Timeline, oldest: Entry | None) -> Sequence[Entry]:
    rendition_id = timeline.rendition.rendition_id
    match oldest:
        case Rendition():
            return ()
        case Media():
            place = oldest.msn, oldest.start_s, oldest.discontinuity_sequence
        case _ if timeline.end_s is not None:
            place = timeline.next_msn, timeline.end_s, timeline.discontinuity_sequence
        case _:
            return (timeline.rendition,)
    msn, start_s, discontinuity_sequence = place
    trimmed = Trimmed(
        rendition_id=rendition_id,
        first_msn=msn,
        start_s=start_s,
        discontinuity_sequence=discontinuity_sequence,
    )
    has_ended = timeline.ended and oldest is None
    return (timeline.rendition, trimmed, *([Ended(rendition_id=rendition_id)] if has_ended else ()))
