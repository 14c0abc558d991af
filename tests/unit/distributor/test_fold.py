"""Folding: however a story is cut into records, it is the same story."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from weir.timeline.v1 import timeline_pb2 as pb

from chassis.errors import InvalidArgument
from distributor.codec import read_entry, read_record
from distributor.domain.entries import Container, StoredRecord
from distributor.domain.ledger import Ledger, append, fold
from distributor.domain.snapshot import compact
from distributor.domain.stream import variants

EMPTY = Ledger(container=Container.TS, target_duration_s=6, part_target_s=1.0)
RENDITIONS = ("Low", "High", "audio")


def rendition_entry(rendition_id: str) -> pb.Entry:
    return pb.Entry(
        rendition=pb.Rendition(
            rendition_id=rendition_id,
            media_kind=pb.MEDIA_KIND_MUXED,
            codecs="avc1.64001f,mp4a.40.2",
            width_pixels=640,
            height_pixels=360,
            frame_rate_numerator=30,
            frame_rate_denominator=1,
            target_bps=500_000,
            peak_bps=700_000,
        )
    )


class Story:
    """Makes lawful entries, as a live writer would: parts, wholes, gaps, discontinuities."""

    def __init__(self) -> None:
        self._places = dict.fromkeys(RENDITIONS, (0, 0.0, 0))
        self.entries = [rendition_entry(rendition_id) for rendition_id in RENDITIONS]

    def tell(self, rendition_id: str, parts_count: int, jump: bool, gap: bool, size_bytes: int) -> None:
        msn, start_s, discontinuity = self._places[rendition_id]
        discontinuity += jump
        start_s += 10.0 * jump
        common: dict[str, Any] = {"rendition_id": rendition_id, "msn": msn}
        common |= {"discontinuity_sequence": discontinuity, "gap": gap}
        common |= {} if gap else {"object_key": f"s/{msn}", "size_bytes": size_bytes}
        for index in range(parts_count):
            part = pb.Part(**common, part=index, start_s=start_s + index, duration_s=1.0)
            self.entries.append(pb.Entry(part=part))
        duration_s = float(parts_count or 4)
        self.entries.append(pb.Entry(segment=pb.Segment(**common, start_s=start_s, duration_s=duration_s)))
        self._places[rendition_id] = (msn + 1, start_s + duration_s, discontinuity)


STEPS = st.tuples(
    st.sampled_from(RENDITIONS), st.integers(0, 4), st.booleans(), st.booleans(), st.integers(1, 10**9)
)
ENDS = st.sampled_from((None, "", *RENDITIONS))


@st.composite
def stories(draw: st.DrawFn) -> Sequence[pb.Entry]:
    story = Story()
    for step in draw(st.lists(STEPS, max_size=10)):
        story.tell(*step)
    if (rendition_id := draw(ENDS)) is not None:
        story.entries.append(pb.Entry(ended=pb.Ended(rendition_id=rendition_id)))
    return story.entries


@st.composite
def records(draw: st.DrawFn) -> Sequence[StoredRecord]:
    """A story, cut anywhere, with owners changing anywhere."""
    entries = draw(stories())
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(entries) - 1)))) | {0, len(entries)})
    epoch, stored = 1, []
    for sequence, (start, stop) in enumerate(pairwise(cuts), 1):
        piece = list(entries[start:stop])
        if draw(st.booleans()):
            epoch += 1
            piece.insert(0, pb.Entry(opened=pb.Opened(owner="another")))
        record = pb.Record(epoch=epoch, entries=piece)
        stored.append(StoredRecord(sequence=sequence * 3, wire=record.SerializeToString()))
    return stored


def folded(stored: Sequence[StoredRecord]) -> Ledger:
    return fold(EMPTY, map(read_record, stored))


@given(stories(), st.data())
def test_any_cut_into_records_folds_to_the_same(entries: Sequence[pb.Entry], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(entries)))
    whole = [record_of(entries)]
    halves = [record_of(entries[:cut]), record_of(entries[cut:])]
    assert folded(whole) == folded(halves)


@given(records(), st.integers(1, 5000))
def test_a_snapshot_folds_to_what_it_was_made_of(stored: Sequence[StoredRecord], limit_bytes: int) -> None:
    merged = list(compact(stored, limit_bytes=limit_bytes))
    assert folded(merged) == folded(stored)
    assert len(merged) <= len(stored)
    assert [record.sequence for record in merged] == sorted({record.sequence for record in merged})
    assert merged[-1].sequence == stored[-1].sequence


@given(records(), st.integers(1, 5000))
def test_a_snapshot_keeps_to_its_limit(stored: Sequence[StoredRecord], limit_bytes: int) -> None:
    longest = max(len(record.wire) for record in stored)
    for record in compact(stored, limit_bytes=limit_bytes):
        assert len(record.wire) <= max(limit_bytes, longest)


@given(records(), st.data())
def test_a_reader_may_resume_behind_any_merged_record(
    stored: Sequence[StoredRecord], data: st.DataObject
) -> None:
    merged = list(compact(stored, limit_bytes=data.draw(st.integers(1, 2000))))
    seen = data.draw(st.integers(1, len(merged)))
    rest = [record for record in stored if record.sequence > merged[seen - 1].sequence]
    assert folded([*merged[:seen], *rest]) == folded(stored)


@given(stories())
def test_what_the_laws_let_through_folds_as_they_said(entries: Sequence[pb.Entry]) -> None:
    record = read_record(record_of(entries))
    lawful = append(fold(EMPTY, [read_record(record_of([]))]), epoch=1, entries=record.entries)
    assert lawful == folded([record_of(entries)])


def test_the_laws_do_not_change_what_they_are_asked_about() -> None:
    entries = read_record(record_of([rendition_entry("Low")])).entries
    before = fold(EMPTY, [read_record(record_of([]))])
    append(before, epoch=1, entries=entries)
    assert before.timelines == {}


def test_rates_are_measured_from_segments() -> None:
    story = Story()
    story.tell("Low", 0, jump=False, gap=False, size_bytes=250_000)  # 500 kbit/s over 4 s
    story.tell("Low", 0, jump=False, gap=False, size_bytes=500_000)  # 1 Mbit/s
    story.tell("Low", 1, jump=False, gap=False, size_bytes=900_000)  # 1 s: too short to be a peak
    story.tell("Low", 0, jump=False, gap=True, size_bytes=1)
    (variant,) = variants(folded([record_of(story.entries)]))
    assert variant.peak_bps == 1_000_000
    assert variant.average_bps == round(1_650_000 * 8 / 9)
    assert variant.frame_rate == pytest.approx(30.0)


def test_what_can_be_played_reaches_to_the_longest_rendition() -> None:
    story = Story()
    story.tell("Low", 0, jump=False, gap=False, size_bytes=1)
    story.tell("audio", 3, jump=True, gap=False, size_bytes=1)
    assert folded([record_of(story.entries)]).duration_s == 13.0


def record_of(entries: Sequence[pb.Entry]) -> StoredRecord:
    return StoredRecord(sequence=1, wire=pb.Record(epoch=1, entries=entries).SerializeToString())


def test_a_time_that_no_calendar_has_is_told() -> None:
    far = pb.Segment(rendition_id="Low", program_date_time=Timestamp(seconds=2**50))
    with pytest.raises(InvalidArgument, match="from the year 1 to 9999"):
        read_entry(pb.Entry(segment=far))
