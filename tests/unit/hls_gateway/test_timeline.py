"""The fold: whatever way the records come, the same timeline results."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.errors import DataLoss
from hls_gateway.domain.names import PlaylistName
from hls_gateway.domain.playlist.body import Body
from hls_gateway.domain.playlist.catalogue import render_playlist
from hls_gateway.domain.stream import Ended, Entry, Part, Record, Segment, Stream, StreamKind, Trimmed
from hls_gateway.domain.timeline import Timeline, append_record
from support.histories import split_histories
from support.playlists import (
    END,
    a_live_stream,
    a_part,
    a_segment,
    a_stream,
    a_video,
    a_whole,
    all_playlists,
    an_audio,
    timeline_of,
)

EMPTY = Timeline(stream=a_stream())


def fold(records: Sequence[Record], timeline: Timeline = EMPTY) -> Timeline:
    return reduce(append_record, records, timeline)


def told(timeline: Timeline) -> object:
    """All that a timeline tells, but how many records it came in."""
    return timeline.stream, dict(timeline.renditions), timeline.ended


@settings(max_examples=50)
@given(split_histories())
def test_any_split_into_records_gives_the_same_timeline(
    history: tuple[Stream, list[Entry], list[Record]],
) -> None:
    stream, entries, records = history
    split, whole = fold(records, Timeline(stream=stream)), timeline_of(*entries, stream=stream)
    assert told(split) == told(whole)
    assert all_playlists(split) == all_playlists(whole)


@settings(max_examples=50)
@given(split_histories(), st.data())
def test_a_replayed_record_changes_nothing(
    history: tuple[Stream, list[Entry], list[Record]], data: st.DataObject
) -> None:
    stream, _, records = history
    stuttered = []
    for index, record in enumerate(records):
        stuttered += [record, *data.draw(st.lists(st.sampled_from(records[: index + 1]), max_size=3))]
    assert fold(stuttered, Timeline(stream=stream)) == fold(records, Timeline(stream=stream))


@settings(max_examples=50)
@given(split_histories(), st.data())
def test_writing_what_is_new_gives_the_same_playlists(
    history: tuple[Stream, list[Entry], list[Record]], data: st.DataObject
) -> None:
    """A gateway writes only what is new of a playlist, whenever somebody asks for it."""
    stream, _, records = history
    bodies: dict[PlaylistName, Body] = {}
    timeline = Timeline(stream=stream)
    for record in records:
        timeline = append_record(timeline, record)
        for name, text in all_playlists(timeline).items():
            if data.draw(st.booleans()):
                assert render_playlist(timeline, name, bodies) == text


@settings(max_examples=50)
@given(split_histories())
def test_a_gateway_that_begins_later_shows_the_same(
    history: tuple[Stream, list[Entry], list[Record]],
) -> None:
    """It reads a ledger from which what is long gone was trimmed, and of whole segments the parts."""
    stream, entries, _ = history
    whole = timeline_of(*entries, stream=stream)
    trimmed = timeline_of(*trimmed_ledger(whole, entries), stream=stream)
    is_recorded = stream.record and whole.ended
    if stream.slides and not is_recorded:
        names = [name for name in all_playlists(whole) if name.rendition_id]
        shown, expected = all_playlists(trimmed), all_playlists(whole)
        assert {name: shown[name] for name in names} == {name: expected[name] for name in names}


def trimmed_ledger(timeline: Timeline, entries: Sequence[Entry]) -> list[Entry]:
    """What is left of a ledger once the distributor has let go of all but the windows."""
    left: list[Entry] = []
    firsts = {}
    for rendition_id, known in timeline.renditions.items():
        listed = timeline.listed(known)
        firsts[rendition_id] = listed[0].msn if listed else 0
        left.append(known.rendition)
        if listed:
            left.append(Trimmed(rendition_id=rendition_id, first_msn=listed[0].msn))
    media = (
        one for one in entries if isinstance(one, Segment | Part) and one.msn >= firsts[one.rendition_id]
    )
    return [*left, *media, *(one for one in entries if isinstance(one, Ended))]


def test_a_hole_in_the_numbers_is_data_loss() -> None:
    timeline = timeline_of(a_video(), a_segment(0))
    with pytest.raises(DataLoss, match="segment 2 of 'High' does not follow 0"):
        append_record(timeline, Record(sequence=2, entries=(a_segment(2),)))
    with pytest.raises(DataLoss):
        append_record(timeline, Record(sequence=2, entries=(a_segment(1), a_segment(3))))


@pytest.mark.parametrize("entry", [a_segment(0), Ended(rendition_id="High")])
def test_a_rendition_that_was_never_announced_is_data_loss(entry: Entry) -> None:
    with pytest.raises(DataLoss, match="never announced"):
        timeline_of(entry)


def test_a_window_may_begin_anywhere() -> None:
    known = timeline_of(a_video(), a_segment(812), a_segment(813)).renditions["High"]
    found = [known.segment(msn) for msn in (811, 812, 813, 814)]
    assert [one and one.msn for one in found] == [None, 812, 813, None]


def test_every_init_segment_is_known_once_the_one_in_use_last() -> None:
    second = a_segment(1, init_key="streams/talk/x/High/init-2.mp4", init_size_bytes=5)
    known = timeline_of(a_video(), a_segment(0), second, a_segment(2)).renditions["High"]
    assert [key.rpartition("/")[2] for key, _ in known.inits] == ["init-2.mp4", "init-11223344.mp4"]


def test_segments_are_counted_over_all_renditions() -> None:
    assert timeline_of(a_video(), an_audio(), a_segment(0), a_segment(0, "audio")).segment_count == 2


def test_a_part_out_of_order_is_data_loss() -> None:
    timeline = timeline_of(a_video(), *a_whole(0), a_part(1, 0), stream=a_live_stream())
    for entry in (a_part(1, 2), a_part(1, 0), a_part(2, 0), a_part(0, 4)):
        with pytest.raises(DataLoss, match="does not follow 0 with part"):
            append_record(timeline, Record(sequence=2, entries=(entry,)))
    assert append_record(timeline, Record(sequence=2, entries=(a_part(1, 1),)))


def test_a_ledger_may_begin_among_the_parts_of_a_segment() -> None:
    """The distributor forgets old parts sooner than their segments, a record at a time."""
    entries = (a_segment(6), a_part(7, 2), a_part(7, 3), a_segment(7), a_part(8, 0))
    known = timeline_of(a_video(), *entries, stream=a_live_stream()).renditions["High"]
    assert [known.part_count(msn) for msn in (6, 7, 8, 9)] == [0, 4, 1, 0]


def test_parts_stay_addressable_for_three_targets_behind_their_listing() -> None:
    """rfc8216bis 6.2.2; seven targets of four seconds hold seven segments' parts, and no more."""
    entries = [entry for msn in range(20) for entry in a_whole(msn)]
    known = timeline_of(a_video(), *entries, stream=a_live_stream()).renditions["High"]
    assert [len(known.parts_of(msn)) for msn in range(12, 20)] == [0, 4, 4, 4, 4, 4, 4, 4]


def test_a_stream_of_days_holds_no_more_than_twice_its_longest_playlist() -> None:
    timeline = Timeline(stream=a_live_stream(dvr_window_s=60.0))
    for msn in range(2000):
        entries = (a_video(), *a_whole(msn)) if msn == 0 else a_whole(msn)
        timeline = append_record(timeline, Record(sequence=msn + 1, entries=entries))
    known = timeline.renditions["High"]
    assert (len(known.segments), len(known.parts)) == (32, 28)
    assert timeline.listed(known)[0].msn == 1985


def announced(msn: int, at_s: float) -> tuple[Entry, ...]:
    """A segment of four parts, behind them, all told at one time of the ledger's clock."""
    parts = (a_part(msn, part, announced_s=at_s) for part in range(4))
    return (*parts, a_segment(msn, announced_s=at_s))


def test_what_comes_all_at_once_can_be_read_as_long_as_if_it_had_come_in_time() -> None:
    """Who was told of its first part has not read it when its last segment is there."""
    stream = a_live_stream(dvr_window_s=12.0)  # 32 s are held, of parts 28
    backlog = [entry for msn in range(40) for entry in announced(msn, 1000.0)]
    timeline = timeline_of(a_video(), *backlog, stream=stream)
    known = timeline.renditions["High"]
    assert (len(known.segments), len(known.parts)) == (40, 160)
    assert [one.msn for one in timeline.listed(known)] == [37, 38, 39], "the list is as short as ever"
    left = []
    for number in range(9):
        later = Record(sequence=2 + number, entries=announced(40 + number, 1004.0 + 4 * number))
        timeline = append_record(timeline, later)
        known = timeline.renditions["High"]
        left.append((known.segments[0].msn, known.parts[0].msn))
    assert left == [(0, 0)] * 6 + [(0, 40), (40, 41), (41, 42)]


def test_what_has_left_the_playlist_can_be_read_as_long_as_it_takes_to_play_it() -> None:
    """rfc8216bis 6.2.2: for its own duration and that of the longest playlist, from when it was listed."""
    stream = a_live_stream(part_target_s=0.0, dvr_window_s=20.0)
    timeline = timeline_of(a_video(), *map(a_segment, range(10)), stream=stream)
    known = timeline.renditions["High"]
    assert [one.msn for one in timeline.listed(known)] == [5, 6, 7, 8, 9]
    back = a_segment(10, start_s=10_000.0, discontinuity_sequence=1)
    timeline = append_record(timeline, Record(sequence=2, entries=(back,)))
    known = timeline.renditions["High"]
    assert [one.msn for one in timeline.listed(known)] == [8, 9, 10], "never under three targets"
    assert known.segments[0].msn <= 5, "what left at once, because the publisher was away, is still held"


def test_a_window_never_goes_back() -> None:
    timeline = Timeline(stream=a_live_stream(part_target_s=0.0, dvr_window_s=13.0))
    firsts = []
    for msn in range(30):
        duration_s = (4.0, 0.5, 2.0)[msn % 3]
        segment = a_segment(msn, duration_s=duration_s, start_s=msn * 3.0, discontinuity_sequence=msn)
        entries = (a_video(), segment) if msn == 0 else (segment,)
        timeline = append_record(timeline, Record(sequence=msn + 1, entries=entries))
        listed = timeline.listed(timeline.renditions["High"])
        assert msn < 6 or (len(listed) >= 3 and sum(one.duration_s for one in listed) >= 12)
        firsts.append(listed[0].msn)
    assert firsts == sorted(firsts)


def test_a_recorded_stream_is_vod_at_its_end_if_all_of_it_is_held() -> None:
    stream = a_live_stream(record=True, dvr_window_s=16.0)
    segments = [a_segment(msn) for msn in range(30)]
    record = Record(sequence=1, entries=(a_video(), *segments, END))
    held = append_record(Timeline(stream=stream, keeps_all=True), record)
    assert (held.kind, held.lacks_recorded, len(held.listed(held.renditions["High"]))) == ("vod", False, 30)
    cut = append_record(Timeline(stream=stream), record)
    assert (cut.kind, cut.lacks_recorded, len(cut.listed(cut.renditions["High"]))) == ("live", True, 4)


def test_an_unrecorded_stream_keeps_its_last_window() -> None:
    timeline = timeline_of(
        a_video(), *map(a_segment, range(30)), END, stream=a_live_stream(dvr_window_s=16.0)
    )
    assert (timeline.kind, timeline.lacks_recorded) == (StreamKind.LIVE, False)


def test_what_was_trimmed_counts_in_what_was_measured() -> None:
    trimmed = Trimmed(rendition_id="High", first_msn=100, size_bytes=1_000_000, media_s=8.0, peak_bps=9e6)
    known = timeline_of(a_video(), trimmed, a_segment(100, size_bytes=500_000)).renditions["High"]
    assert known.bit_rate.average_bps == pytest.approx(1_500_000 * 8 / 12)
    assert known.bit_rate.peak_bps == 9e6
    with pytest.raises(DataLoss):
        timeline_of(a_video(), trimmed, a_segment(100), a_segment(102))
