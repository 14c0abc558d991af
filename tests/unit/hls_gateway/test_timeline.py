"""The fold: whatever way the records come, the same timeline results."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.errors import DataLoss
from hls_gateway.domain.playlist.body import Body
from hls_gateway.domain.playlist.catalogue import render_playlists
from hls_gateway.domain.stream import Ended, Entry, Record
from hls_gateway.domain.timeline import Timeline, append_record, touched_renditions
from support.playlists import (
    END,
    a_gap,
    a_segment,
    a_stream,
    a_video,
    an_audio,
    iframes,
    timeline_of,
)

EMPTY = Timeline(stream=a_stream())


def fold(records: Sequence[Record], timeline: Timeline = EMPTY) -> Timeline:
    return reduce(append_record, records, timeline)


@st.composite
def histories(draw: st.DrawFn) -> list[Entry]:
    """Lawful histories: renditions announced before their segments, segments numbered without holes."""
    entries: list[Entry] = [a_video("High"), a_video("Low"), an_audio()]
    counts = dict.fromkeys(("High", "Low", "audio"), draw(st.integers(0, 3)))
    for rendition_id in draw(st.lists(st.sampled_from(sorted(counts)), max_size=30)):
        msn = counts[rendition_id]
        counts[rendition_id] += 1
        if draw(st.booleans()):
            size = draw(st.integers(1, 10_000_000))
            duration_s = draw(st.sampled_from((0.5, 2.002, 4.0, 4.4)))
            entries.append(
                a_segment(
                    msn, rendition_id, size_bytes=size, duration_s=duration_s, iframes=iframes(size // 9 + 1)
                )
            )
        else:
            entries.append(a_gap(msn, rendition_id))
    return [*entries, END] if draw(st.booleans()) else entries


@st.composite
def split_histories(draw: st.DrawFn) -> tuple[list[Entry], list[Record]]:
    """A history, and records that tell it in pieces of any size."""
    entries = draw(histories())
    cuts = sorted(draw(st.sets(st.integers(0, len(entries)), max_size=12)) | {0, len(entries)})
    pieces = [tuple(entries[start:end]) for start, end in pairwise(cuts)]
    sequences = sorted(draw(st.sets(st.integers(1, 1000), min_size=len(pieces), max_size=len(pieces))))
    records = [Record(sequence=at, entries=piece) for at, piece in zip(sequences, pieces, strict=True)]
    return entries, records


def playlists(timeline: Timeline) -> dict[str, str]:
    """All playlists, written from nothing."""
    return dict(render_playlists(timeline, None, {}))


def told(timeline: Timeline) -> object:
    """All that a timeline tells, but how many records it came in."""
    return timeline.stream, dict(timeline.renditions), timeline.ended


@settings(max_examples=50)
@given(split_histories())
def test_any_split_into_records_gives_the_same_timeline(history: tuple[list[Entry], list[Record]]) -> None:
    entries, records = history
    split, whole = fold(records), timeline_of(*entries)
    assert told(split) == told(whole)
    assert playlists(split) == playlists(whole)


@settings(max_examples=50)
@given(split_histories(), st.data())
def test_a_replayed_record_changes_nothing(
    history: tuple[list[Entry], list[Record]], data: st.DataObject
) -> None:
    _, records = history
    stuttered = []
    for index, record in enumerate(records):
        stuttered += [record, *data.draw(st.lists(st.sampled_from(records[: index + 1]), max_size=3))]
    assert fold(stuttered) == fold(records)


@settings(max_examples=50)
@given(split_histories())
def test_printing_what_a_record_touched_is_enough(history: tuple[list[Entry], list[Record]]) -> None:
    """A gateway prints only these, and writes only what is new in them."""
    _, records = history
    printed: dict[str, str] = {}
    bodies: dict[str, Body] = {}
    timeline = EMPTY
    for record in records:
        timeline = append_record(timeline, record)
        printed |= dict(render_playlists(timeline, touched_renditions(record), bodies))
        assert printed == playlists(timeline)


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


def test_every_init_segment_is_known_once_in_order() -> None:
    second = a_segment(1, init_key="streams/talk/x/High/init-2.mp4", init_size_bytes=5)
    known = timeline_of(a_video(), a_segment(0), second, a_segment(2)).renditions["High"]
    assert [key.rpartition("/")[2] for key, _ in known.inits] == ["init-11223344.mp4", "init-2.mp4"]


def test_segments_are_counted_over_all_renditions() -> None:
    assert timeline_of(a_video(), an_audio(), a_segment(0), a_segment(0, "audio")).segment_count == 2


def test_the_end_of_the_stream_touches_all_renditions() -> None:
    assert touched_renditions(Record(sequence=1, entries=(a_segment(0), END))) is None
    entries = (a_segment(0), Ended(rendition_id="Low"))
    assert touched_renditions(Record(sequence=1, entries=entries)) == frozenset({"High", "Low"})
