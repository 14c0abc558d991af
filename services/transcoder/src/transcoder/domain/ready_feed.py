"""A feed: one life of a stream that is fed with ready segments, as all transcoders share it.

A feed opens with the first segment. For one target duration whatever comes only gathers; then the feed
begins, with the lowest number that came: it becomes the segment 0 of the ledger. So variants that are sent
one after the other stand together in the first multivariant playlist, whichever number came first. A variant
that is first heard of later than three target durations after the first segment is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chassis.errors import NotFound, OutOfRange
from transcoder.domain.live_timeline import StoredObject
from transcoder.domain.packager import RenditionInfo
from transcoder.domain.ready_segment import require_fitting

# So many numbers may wait for a missing one.
AHEAD_COUNT = 100
MAX_VARIANTS = 16
# A number that is missing for so many target durations becomes a gap.
PATIENCE_TARGETS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One rendition, as its first segment made it known."""

    info: RenditionInfo
    init: StoredObject | None = None
    """The newest init segment; None: MPEG-TS."""

    @property
    def variant_id(self) -> str:
        return self.info.rendition_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """What transcoders share of a feed beside its segments."""

    stream_id: str
    incarnation: str
    target_duration_s: int
    epoch: int = 0
    """Under which all of them append; 0: the ledger was not opened yet."""
    opened_time: datetime | None = None
    """When the first segment came."""
    opened_number: int | None = None
    """The first that came."""
    first_number: int | None = None
    """The one that is segment 0 of the ledger; None: the feed has not begun."""
    variants: tuple[Variant, ...] = ()

    @property
    def patience(self) -> timedelta:
        """How long a missing number is waited for."""
        return timedelta(seconds=PATIENCE_TARGETS * self.target_duration_s)

    @property
    def begin_time(self) -> datetime | None:
        """When it begins, or began."""
        return self.opened_time and self.opened_time + timedelta(seconds=self.target_duration_s)

    def find(self, variant_id: str) -> Variant | None:
        """Look a variant up."""
        return next((known for known in self.variants if known.variant_id == variant_id), None)


def join(feed: Feed, info: RenditionInfo, init: StoredObject | None, number: int, now: datetime) -> Feed:
    """Take a segment's variant down, or hold the segment against what is known of it.

    Raises:
        NotFound: NO_VARIANT; it is too late for a new variant.
        InvalidArgument: VARIANT_DIFFERS.
    """
    known = feed.find(info.rendition_id)
    if known is None:
        require_room(feed, info.rendition_id, now)
        others, joined = feed.variants, Variant(info=info, init=init)
    else:
        require_fitting(info, known.info)
        others = tuple(variant for variant in feed.variants if variant is not known)
        joined = replace(known, init=init)
    return replace(
        feed,
        opened_time=feed.opened_time or now,
        opened_number=number if feed.opened_number is None else feed.opened_number,
        variants=tuple(sorted((*others, joined), key=lambda variant: variant.variant_id)),
    )


def require_room(feed: Feed, variant_id: str, now: datetime) -> None:
    """Raise NotFound if a variant is none of the feed's and can no longer become one."""
    if feed.find(variant_id) or feed.opened_time is None:
        return
    if now <= feed.opened_time + feed.patience and len(feed.variants) < MAX_VARIANTS:
        return
    known = ", ".join(repr(variant.variant_id) for variant in feed.variants)
    raise NotFound(
        f"variant_id is {variant_id!r}, but the variants of this stream are {known}: at most {MAX_VARIANTS}, "
        f"each must begin within {feed.patience.total_seconds():g} s of the first",
        reason="NO_VARIANT",
        field="variant_id",
    )


def begin(feed: Feed, numbers: Iterable[int], now: datetime) -> Feed:
    """Begin with the lowest number that came, once it is time."""
    lowest = min(numbers, default=None)
    if feed.first_number is not None or feed.begin_time is None or now < feed.begin_time or lowest is None:
        return feed
    return replace(feed, first_number=lowest)


def require_number(feed: Feed, number: int, *, least_msn: int) -> None:
    """Hold a number against those that can be taken; what became of lower ones the ledger knows.

    Args:
        feed: The feed.
        number: The `sequence_num`.
        least_msn: The lowest msn that any variant still lacks.

    Raises:
        OutOfRange: LATE or TOO_FAR_AHEAD.
    """
    if feed.first_number is not None:
        least, most = feed.first_number, feed.first_number + least_msn + AHEAD_COUNT - 1
    elif feed.opened_number is not None:
        least, most = feed.opened_number - AHEAD_COUNT // 2, feed.opened_number + AHEAD_COUNT // 2 - 1
    else:
        return
    if number < least:
        raise late(number, least)
    if number > most:
        raise OutOfRange(
            f"sequence_num is {number}: at most {most} is taken until those come that are missing",
            reason="TOO_FAR_AHEAD",
            field="sequence_num",
        )


def late(number: int, least: int) -> OutOfRange:
    """Tell that nobody waits for a number any more."""
    return OutOfRange(
        f"sequence_num is {number}, but the stream has passed over it: go on with {least} or above",
        reason="LATE",
        field="sequence_num",
    )
