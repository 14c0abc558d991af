"""What may go when: by what the ledger was when media left the playlist."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.codec import read_entry, write_entry
from distributor.domain.entries import (
    Container,
    Ended,
    Entry,
    MediaKind,
    Part,
    Record,
    Rendition,
    Segment,
)
from distributor.domain.ledger import Ledger, append, fold
from distributor.domain.retention import Place, Retention, head_entries, place_of_key

EMPTY = Ledger(container=Container.TS, target_duration_s=2, part_target_s=1.0)
RETENTION = Retention(target_duration_s=2, window_s=10.0)


def rendition(rendition_id: str) -> Rendition:
    return Rendition(
        rendition_id=rendition_id,
        media_kind=MediaKind.AUDIO,
        codecs="mp4a.40.2",
        target_bps=1000,
        peak_bps=1000,
    )


def segment(msn: int, rendition_id: str = "a", *, jump_s: float = 0.0) -> Segment:
    return Segment(
        rendition_id=rendition_id,
        msn=msn,
        start_s=2.0 * msn + jump_s,
        duration_s=2.0,
        discontinuity_sequence=1 if jump_s else 0,
        object_key=f"s/{msn}",
        size_bytes=100,
    )


def ledger(*entries: Entry) -> Ledger:
    return fold(EMPTY, [Record(sequence=1, epoch=1, entries=entries)])


def story(count: int, rendition_id: str = "a") -> list[Entry]:
    return [rendition(rendition_id), *(segment(msn, rendition_id) for msn in range(count))]


@pytest.mark.parametrize(("newer_count", "left"), [(3, False), (4, False), (5, True), (6, True)])
def test_a_segment_leaves_when_newer_ones_fill_the_window(newer_count: int, left: bool) -> None:
    there, past = ledger(*story(1)), ledger(*story(1 + newer_count))
    assert RETENTION.has_left(past, there.timelines["a"]) is left


def test_a_jump_of_the_clock_pushes_out_no_more_than_the_least_playlist() -> None:
    """The publisher was away for an hour: three target durations are listed whatever the clock says."""
    there = ledger(*story(1)).timelines["a"]
    jumped = [segment(msn, jump_s=3600.0) for msn in range(1, 4)]
    assert not RETENTION.has_left(ledger(*story(1), *jumped[:2]), there)
    assert RETENTION.has_left(ledger(*story(1), *jumped), there)


def test_a_rendition_that_stopped_is_pushed_out_by_the_others() -> None:
    there = ledger(*story(1, "b")).timelines["b"]
    stopped = story(2, "b")
    assert not RETENTION.has_left(ledger(*stopped, *story(5)), there)
    assert RETENTION.has_left(ledger(*stopped, *story(7)), there)
    assert RETENTION.has_left(ledger(*stopped, Ended(rendition_id="b"), *story(6)), there)


def test_parts_leave_behind_their_whole() -> None:
    part = Part(rendition_id="a", msn=1, part=0, start_s=2.0, duration_s=1.0, size_bytes=1, object_key="p")
    there = ledger(*story(1), part).timelines["a"]
    assert not RETENTION.has_left_parts(ledger(*story(1), part), there, part)
    assert not RETENTION.has_left_parts(ledger(*story(4)), there, part)
    assert RETENTION.has_left_parts(ledger(*story(6)), there, part)
    assert RETENTION.has_left_parts(ledger(*story(1), part, Ended()), there, part)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=30), st.integers(0, 30))
def test_a_head_and_the_rest_tell_the_whole_story(steps: list[tuple[str, bool]], cut: int) -> None:
    entries: list[Entry] = [rendition("a"), rendition("b")]
    counts = {"a": 0, "b": 0}
    jumps = {"a": 0.0, "b": 0.0}
    for rendition_id, jump in steps:
        jumps[rendition_id] = jumps[rendition_id] or 100.0 * jump
        entries.append(segment(counts[rendition_id], rendition_id, jump_s=jumps[rendition_id]))
        counts[rendition_id] += 1
    whole = append(ledger(), epoch=1, entries=entries)
    beginning, rest = entries[: 2 + cut], entries[2 + cut :]
    head = [read_entry(write_entry(entry)) for entry in head_entries(ledger(*beginning))]
    told = ledger(*(entry for entry in head if entry), *rest)
    assert told.duration_s == whole.duration_s
    for rendition_id, known in whole.timelines.items():
        same = told.timelines[rendition_id]
        assert (same.next_msn, same.end_s) == (known.next_msn, known.end_s)
        assert same.discontinuity_sequence == known.discontinuity_sequence
        assert (same.size_bytes, same.media_s, same.peak_bps) == (
            known.size_bytes,
            known.media_s,
            known.peak_bps,
        )


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("streams/s/1/Low/00000007-abcd.m4s", Place(rendition_id="Low", msn=7, is_part=False)),
        ("streams/s/1/Low/123456789-a.ts", Place(rendition_id="Low", msn=123_456_789, is_part=False)),
        ("streams/s/1/720p.x/00000010.003-ab.m4s", Place(rendition_id="720p.x", msn=10, is_part=True)),
        ("streams/s/1/Low/init-00000007.mp4", None),
        ("streams/s/1/storyboard.vtt", None),
    ],
)
def test_keys_tell_what_they_hold(key: str, place: Place | None) -> None:
    assert place_of_key(key, "streams/s/1/") == place
