"""What a clip is made of, where a rendition was left out in mid-stream."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from chassis.errors import OutOfRange
from distributor.domain.clip import Story, choose_msns
from distributor.domain.entries import Container, Ended, Entry, MediaKind, Record, Rendition, Segment
from distributor.domain.stream import Description, StreamKind

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DESCRIPTION = Description(
    stream_id="cam",
    kind=StreamKind.LIVE,
    container=Container.CMAF,
    target_duration_s=4,
    dvr_window_s=60.0,
)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def entries_of(rendition_id: str, count: int, *, begin_s: float = 0.0) -> Iterator[Entry]:
    yield Rendition(rendition_id=rendition_id, media_kind=MediaKind.VIDEO)
    for msn in range(count):
        yield Segment(
            rendition_id=rendition_id,
            msn=msn,
            start_s=4.0 * msn,
            duration_s=4.0,
            program_date_time=at(begin_s + 4.0 * msn),
        )


def a_story() -> Story:
    """The first rendition is left out after three segments of ten."""
    story = Story()
    entries = (*entries_of("Top", 3), Ended(rendition_id="Top"), *entries_of("Low", 10))
    story.tell([Record(sequence=1, epoch=1, entries=entries)])
    return story


def test_a_rendition_that_was_left_out_does_not_bound_what_can_be_clipped() -> None:
    msns = choose_msns(a_story(), DESCRIPTION, start=at(20), end=at(40))
    assert msns == {"Low": (5, 10)}


def test_a_stretch_may_be_named_as_playlists_name_it_in_whole_milliseconds() -> None:
    story = Story()
    story.tell([Record(sequence=1, epoch=1, entries=tuple(entries_of("Low", 10, begin_s=0.000_684)))])
    assert choose_msns(story, DESCRIPTION, start=at(0), end=at(40.001)) == {"Low": (0, 10)}
    assert choose_msns(story, DESCRIPTION, start=at(8), end=at(16)) == {"Low": (2, 4)}
    with pytest.raises(OutOfRange):
        choose_msns(story, DESCRIPTION, start=at(-0.002), end=at(40))


def test_a_clip_has_no_rendition_that_breaks_off_within_it() -> None:
    assert choose_msns(a_story(), DESCRIPTION, start=at(4), end=at(16)) == {"Low": (1, 4)}
    assert choose_msns(a_story(), DESCRIPTION, start=at(4), end=at(12)) == {"Top": (1, 3), "Low": (1, 3)}
