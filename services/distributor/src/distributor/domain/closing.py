"""What an owner that is gone has left open, and what becomes of it where nobody can make it whole."""

from __future__ import annotations

from distributor.domain.entries import Segment
from distributor.domain.ledger import Ledger, Timeline


def is_ragged(ledger: Ledger) -> bool:
    """Tell whether a segment is open, or renditions end at different ones."""
    growing = [timeline for timeline in ledger.timelines.values() if timeline.begun and not timeline.ended]
    return any(timeline.next_part for timeline in growing) or len({one.next_msn for one in growing}) > 1


def gaps_of_open(ledger: Ledger) -> tuple[Segment, ...]:
    """Close open segments as gaps that cover their announced parts: no number is taken back."""
    return tuple(_gap(one) for one in ledger.timelines.values() if one.next_part and not one.ended)


def _gap(timeline: Timeline) -> Segment:
    return Segment(
        rendition_id=timeline.rendition.rendition_id,
        msn=timeline.next_msn,
        start_s=timeline.parts_start_s,
        duration_s=timeline.parts_end_s - timeline.parts_start_s,
        program_date_time=timeline.parts_start_time,
        discontinuity_sequence=timeline.discontinuity_sequence,
        gap=True,
    )
