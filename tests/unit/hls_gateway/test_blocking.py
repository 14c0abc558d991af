"""What may be waited for, and when the wait is over."""

from __future__ import annotations

import pytest

from chassis.errors import InvalidArgument
from hls_gateway.domain.blocking import Place, advance_part_limit, is_hinted, is_over, reload_place
from hls_gateway.domain.names import IFRAMES, MEDIA, MULTIVARIANT, PlaylistName
from hls_gateway.domain.stream import Ended
from support.playlists import END, a_live_stream, a_part, a_segment, a_stream, a_video, a_whole, timeline_of

# Segments 0 to 2 are whole, with four parts each; of segment 3 there are two.
ENTRIES = (a_video(), *a_whole(0), *a_whole(1), *a_whole(2), a_part(3, 0), a_part(3, 1))
LIVE = timeline_of(*ENTRIES, stream=a_live_stream())
NAME = PlaylistName(MEDIA, "High")


@pytest.mark.parametrize(
    ("msn", "part", "over"),
    [
        (0, None, True), (2, None, True), (3, None, False), (4, None, False),
        (0, 9, True), (2, 3, True), (3, 0, True), (3, 1, True), (3, 2, False), (4, 0, False),
        # Behind the last part of a whole segment comes the first one of the next.
        (2, 4, True), (2, 400, True),
    ],
)  # fmt: skip
def test_a_reload_waits_for_what_is_not_listed(msn: int, part: int | None, over: bool) -> None:
    assert is_over(LIVE, Place("High", msn, part)) is over


def test_a_part_behind_the_last_waits_for_the_next_segments_first() -> None:
    timeline = timeline_of(a_video(), *a_whole(0), stream=a_live_stream())
    assert not is_over(timeline, Place("High", 0, 4))
    assert is_over(timeline, Place("High", 0, 3))


def test_a_segment_whose_parts_are_unknown_counts_as_one_part() -> None:
    timeline = timeline_of(a_video(), a_segment(0), stream=a_live_stream())
    assert is_over(timeline, Place("High", 0, 0))
    assert not is_over(timeline, Place("High", 0, 1))


@pytest.mark.parametrize("end", [END, Ended(rendition_id="High")])
def test_nobody_waits_behind_the_end(end: Ended) -> None:
    timeline = timeline_of(*ENTRIES, end, stream=a_live_stream())
    assert is_over(timeline, Place("High", 9))
    assert is_over(timeline, Place("High", 3, 2, is_hint=True))
    assert reload_place(timeline, NAME, 99, None) is None


@pytest.mark.parametrize(
    ("msn", "part", "over"), [(3, 2, False), (3, 1, True), (4, 0, False), (2, 4, True), (0, 0, True)]
)
def test_a_hint_waits_until_its_part_is_there_or_never_will_be(msn: int, part: int, over: bool) -> None:
    assert is_over(LIVE, Place("High", msn, part, is_hint=True)) is over


@pytest.mark.parametrize(
    ("msn", "part", "hinted"),
    [(3, 2, True), (3, 3, True), (4, 0, True), (3, 4, False), (4, 1, False), (5, 0, False), (3, 1, False)],
)
def test_the_next_part_is_hinted_and_what_another_gateway_may_hint(msn: int, part: int, hinted: bool) -> None:
    assert is_hinted(LIVE, Place("High", msn, part, is_hint=True)) is hinted


def test_streams_without_parts_hint_nothing() -> None:
    timeline = timeline_of(a_video(), a_segment(0), stream=a_live_stream(part_target_s=0.0))
    assert not is_hinted(timeline, Place("High", 1, 0, is_hint=True))
    assert reload_place(timeline, NAME, 1, 7) == Place("High", 1, None)


@pytest.mark.parametrize(("msn", "part"), [(4, None), (3, 4), (4, 2), (0, 10**14)])
def test_as_far_ahead_may_be_asked_for(msn: int, part: int | None) -> None:
    assert reload_place(LIVE, NAME, msn, part) == Place("High", msn, part)


@pytest.mark.parametrize(
    ("msn", "part", "field"), [(5, None, "_HLS_msn"), (3, 5, "_HLS_part"), (4, 3, "_HLS_part")]
)
def test_too_far_ahead_is_refused(msn: int, part: int | None, field: str) -> None:
    with pytest.raises(InvalidArgument, match=f"{field} is .*: it must be at most") as caught:
        reload_place(LIVE, NAME, msn, part)
    assert caught.value.reason == "TOO_FAR_AHEAD"


@pytest.mark.parametrize(("target_s", "limit"), [(0.333, 10), (0.5, 6), (1.0, 3), (2.0, 3), (0.0, 3)])
def test_the_advance_part_limit_is_that_of_the_rfc(target_s: float, limit: int) -> None:
    assert advance_part_limit(a_live_stream(part_target_s=target_s)) == limit


def test_only_playlists_of_growing_renditions_are_waited_for() -> None:
    assert reload_place(LIVE, PlaylistName(IFRAMES, "High"), 3, 1) == Place("High", 3, None)
    assert reload_place(LIVE, PlaylistName(MULTIVARIANT), 3, None) is None
    assert reload_place(LIVE, PlaylistName(MEDIA, "nobody"), 3, None) is None
    growing = timeline_of(a_video(), a_segment(0), stream=a_stream())
    assert reload_place(growing, NAME, 1, None) is None
