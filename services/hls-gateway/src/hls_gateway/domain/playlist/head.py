"""What stands before and behind the segments of a playlist: the same in media and I-frame playlists."""

from __future__ import annotations

from collections.abc import Iterator

from hls_gateway.domain.live_window import LEAST_TARGETS, count_newest
from hls_gateway.domain.names import sibling_uri
from hls_gateway.domain.playlist import tags
from hls_gateway.domain.stream import Segment, StreamKind
from hls_gateway.domain.timeline import RenditionTimeline, Timeline

# rfc8216bis section 8: what a playlist must declare for EXT-X-SKIP.
VERSION_SKIP = 9
# 4.4.3.8: CAN-SKIP-UNTIL is at least six target durations.
_SKIP_TARGETS = 6
# 4.4.3.8: PART-HOLD-BACK is at least two part targets, and should be three.
_HOLD_BACK_PARTS = 3


def growth(timeline: Timeline, *, ended: bool) -> Iterator[str]:
    """Say how the playlist may change from now on (4.4.3.5); a sliding one must not say anything."""
    kind = timeline.kind
    if kind is StreamKind.VOD and ended:
        yield tags.playlist_type("VOD")
    elif kind is not StreamKind.LIVE:
        yield tags.playlist_type("EVENT")
    if kind is StreamKind.VOD and not ended:
        # A player takes a playlist without an end for live, and would begin near its end.
        yield tags.start(0)


def control(timeline: Timeline) -> Iterator[str]:
    """Say what viewers of a live stream may ask for (4.4.3.8); at its end it still says so (6.2.1)."""
    stream = timeline.stream
    if timeline.kind is StreamKind.VOD:
        return
    part_target_s = stream.part_target_s
    part_hold_back = tags.decimal(_HOLD_BACK_PARTS * part_target_s) if part_target_s else None
    yield tags.server_control(
        (
            ("CAN-BLOCK-RELOAD", "YES"),
            ("CAN-SKIP-UNTIL", tags.decimal(_SKIP_TARGETS * stream.target_duration_s)),
            ("HOLD-BACK", tags.decimal(LEAST_TARGETS * stream.target_duration_s)),
            ("PART-HOLD-BACK", part_hold_back),
        )
    )


def numbers(timeline: Timeline, first: Segment) -> Iterator[str]:
    """Say what has left the playlist before its first segment (4.4.3.2, 4.4.3.3)."""
    yield tags.media_sequence(first.msn)
    if first.discontinuity_sequence or (timeline.stream.slides and timeline.kind is StreamKind.LIVE):
        yield tags.discontinuity_sequence(first.discontinuity_sequence)


def count_skipped(timeline: Timeline, segments: tuple[Segment, ...]) -> int:
    """Count the segments that a delta update leaves out: those beyond the Skip Boundary (6.2.5.1)."""
    if not timeline.is_live:
        return 0
    kept = count_newest(segments, _SKIP_TARGETS * timeline.stream.target_duration_s)
    return len(segments) - kept


def reports(timeline: Timeline, known: RenditionTimeline) -> Iterator[str]:
    """Say how far the other renditions have come (4.4.5.4), so that a viewer can change without asking."""
    for rendition_id, other in timeline.played.items():
        if other is not known and other.segments and not other.ended:
            yield tags.rendition_report(sibling_uri(timeline.stream, rendition_id), *_last(other))


def _last(known: RenditionTimeline) -> tuple[int, int | None]:
    for msn in (known.next_msn, known.next_msn - 1):
        if count := known.part_count(msn):
            return msn, count - 1
    return known.next_msn - 1, None


def ending(*, ended: bool) -> str:
    """Say that nothing will be added."""
    return tags.document([tags.ENDLIST]) if ended else ""
