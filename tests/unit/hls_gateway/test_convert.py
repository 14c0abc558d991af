"""Messages of the ledger as values of the domain."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from weir.timeline.v1 import timeline_pb2 as pb

from chassis.errors import DataLoss
from hls_gateway.convert import to_record, to_stream
from hls_gateway.domain.stream import (
    Container,
    Ended,
    IFrame,
    MediaKind,
    Part,
    Rendition,
    Segment,
    StreamKind,
    Trimmed,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_a_description_is_read() -> None:
    message = pb.Stream(
        stream_id="s",
        incarnation="ab",
        kind=pb.STREAM_KIND_LIVE,
        container=pb.CONTAINER_TS,
        target_duration_s=6,
        part_target_s=0.5,
        dvr_window_s=90.0,
        record=True,
    )
    stream = to_stream(message)
    assert (stream.part_target_s, stream.dvr_window_s, stream.record) == (0.5, 90.0, True)
    assert (stream.stream_id, stream.incarnation, stream.target_duration_s) == ("s", "ab", 6)
    assert (stream.kind, stream.container) == (StreamKind.LIVE, Container.TS)


@pytest.mark.parametrize(
    "message", [pb.Stream(kind=pb.STREAM_KIND_VOD), pb.Stream(container=pb.CONTAINER_CMAF)], ids=repr
)
def test_an_unknown_kind_or_container_is_data_loss(message: pb.Stream) -> None:
    with pytest.raises(DataLoss, match="unknown kind or container"):
        to_stream(message)


def test_entries_are_read_in_order_and_others_passed_over() -> None:
    segment = pb.Segment(
        rendition_id="High", msn=3, start_s=12.0, duration_s=4.0, discontinuity_sequence=1, object_key="k",
        size_bytes=9, init_key="i", init_size_bytes=7, gap=False,
        iframes=[pb.IFrame(offset_bytes=1, size_bytes=2, duration_s=2.0)],
    )  # fmt: skip
    segment.program_date_time.FromDatetime(NOON)
    rendition = pb.Rendition(
        rendition_id="High", media_kind=pb.MEDIA_KIND_VIDEO, codecs="avc1.64001f,mp4a.40.2", width_pixels=4,
        height_pixels=2, frame_rate_numerator=30000, frame_rate_denominator=1001, target_bps=5, peak_bps=6,
        channel_count=2, language="en", name="High",
    )  # fmt: skip
    trimmed = pb.Trimmed(
        rendition_id="High", first_msn=3, start_s=9.0, size_bytes=8, media_s=7.5, peak_bps=6.5
    )
    part = pb.Part(
        rendition_id="High", msn=3, part=2, start_s=9.0, duration_s=0.5, independent=True, object_key="p",
        size_bytes=4, init_key="i", init_size_bytes=7, discontinuity_sequence=1, gap=True,
        program_date_time=segment.program_date_time,
    )  # fmt: skip
    entries = [
        pb.Entry(opened=pb.Opened(owner="o")),
        pb.Entry(rendition=rendition),
        pb.Entry(rendition=pb.Rendition(rendition_id="of a newer kind")),
        pb.Entry(trimmed=trimmed),
        pb.Entry(part=part),
        pb.Entry(segment=segment),
        pb.Entry(),
        pb.Entry(ended=pb.Ended(rendition_id="High")),
    ]
    record = to_record(pb.SequencedRecord(sequence=5, record=pb.Record(epoch=1, entries=entries)))
    assert record.sequence == 5
    assert record.entries == (
        Rendition(
            rendition_id="High", media_kind=MediaKind.VIDEO, codecs=("avc1.64001f", "mp4a.40.2"),
            width_pixels=4, height_pixels=2, frame_rate=Fraction(30000, 1001), target_bps=5, peak_bps=6,
            channel_count=2, language="en", name="High",
        ),
        Trimmed(rendition_id="High", first_msn=3, size_bytes=8, media_s=7.5, peak_bps=6.5),
        Part(
            rendition_id="High", msn=3, part=2, duration_s=0.5, independent=True, object_key="p",
            size_bytes=4, init_key="i", init_size_bytes=7, discontinuity_sequence=1, gap=True,
            program_date_time=NOON,
        ),
        Segment(
            rendition_id="High", msn=3, start_s=12.0, duration_s=4.0, discontinuity_sequence=1,
            object_key="k", size_bytes=9, init_key="i", init_size_bytes=7, program_date_time=NOON,
            iframes=(IFrame(offset_bytes=1, size_bytes=2, duration_s=2.0),),
        ),
        Ended(rendition_id="High"),
    )  # fmt: skip


def test_what_is_not_set_is_absent() -> None:
    entries = [
        pb.Entry(
            rendition=pb.Rendition(rendition_id="a", media_kind=pb.MEDIA_KIND_AUDIO, codecs="mp4a.40.2")
        ),
        pb.Entry(segment=pb.Segment(rendition_id="a")),
    ]
    rendition, segment = to_record(pb.SequencedRecord(record=pb.Record(entries=entries))).entries
    assert isinstance(rendition, Rendition)
    assert rendition.frame_rate is None
    assert isinstance(segment, Segment)
    assert segment.program_date_time is None


def test_media_bear_the_time_of_their_record() -> None:
    entries = [pb.Entry(part=pb.Part(rendition_id="High")), pb.Entry(segment=pb.Segment(rendition_id="High"))]
    timed = pb.Record(entries=entries)
    timed.append_time.FromMilliseconds(1_700_000_000_250)
    told = to_record(pb.SequencedRecord(record=timed)).entries
    assert [one.announced_s for one in told if isinstance(one, Part | Segment)] == [1_700_000_000.25] * 2
    untimed = to_record(pb.SequencedRecord(record=pb.Record(entries=entries))).entries
    assert [one.announced_s for one in untimed if isinstance(one, Part | Segment)] == [0.0] * 2
