"""Samples from the wire: each held to its ranges, and absent is not nought where the contract says so."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from weir.abr.v1 import abr_pb2 as pb

from abr.convert_samples import MAX_COUNT, read_batches
from abr.domain.sample import Sample
from chassis.errors import InvalidArgument
from support.abr import columns
from support.adaptation import NOW_S


def message(**fields: Any) -> pb.Sample:
    values = {"stream_id": "film", "viewer_id": "ann", "variant_id": "low"}
    return pb.Sample(**{**values, "sample_time": Timestamp(seconds=int(NOW_S)), **fields})


Form = Callable[[Sequence[pb.Sample]], pb.ReportSamplesRequest]
FORMS: Mapping[str, Form] = {
    "samples": lambda samples: pb.ReportSamplesRequest(samples=samples),
    "columns": lambda samples: pb.ReportSamplesRequest(columns=columns(samples)),
}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Form:
    return FORMS[request.param]


def read(form: Form, **fields: Any) -> Sample | None:
    (batch,) = read_batches(form([message(**fields)]), NOW_S)
    assert batch.count == 1
    assert list(batch.sessions) in ([("film", "ann")], [])
    rows = [Sample(*row) for _, row in batch.rows]
    return rows[0] if rows else None


def test_everything_arrives(form: Form) -> None:
    sample = read(
        form,
        msn=7,
        sample_time=Timestamp(seconds=int(NOW_S) - 1, nanos=500_000_000),
        size_bytes=1_000,
        transfer_ms=250,
        player_throughput_bps=3e6,
        buffer_s=12.5,
        starved=True,
        top_bps=5_000_000,
        duration_s=4,
        playback_rate_ratio=1.5,
        startup=True,
    )
    assert sample == Sample(
        variant_id="low",
        msn=7,
        end_s=NOW_S - 0.5,
        size_bytes=1_000,
        transfer_s=0.25,
        player_bps=3e6,
        buffer_s=12.5,
        duration_s=4.0,
        top_bps=5_000_000,
        speed_ratio=1.5,
        starved=True,
        startup=True,
    )


def test_absent_is_not_nought(form: Form) -> None:
    absent, nought = read(form), read(form, msn=0, buffer_s=0, playback_rate_ratio=0)
    assert absent
    assert nought
    assert (absent.msn, absent.buffer_s, absent.speed_ratio) == (-1, -1, 1)
    assert (nought.msn, nought.buffer_s, nought.speed_ratio) == (0, 0, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"sample_time": None},
        {"sample_time": Timestamp(seconds=int(NOW_S) - 61)},
        {"sample_time": Timestamp(seconds=int(NOW_S) + 6)},
        {"size_bytes": -1},
        {"msn": -2},
        {"transfer_ms": math.nan},
        {"transfer_ms": 600_001},
        {"player_throughput_bps": math.inf},
        {"buffer_s": -1.1},
        {"buffer_s": 3_601},
        {"duration_s": math.nan},
        {"top_bps": -1},
        {"playback_rate_ratio": -1.1},
        {"playback_rate_ratio": 17},
    ],
)
def test_a_sample_outside_its_range_is_left_out(form: Form, fields: dict[str, Any]) -> None:
    assert read(form, **fields) is None


def test_columns_say_what_samples_do() -> None:
    samples = [
        message(viewer_id="ann", msn=3, buffer_s=0, playback_rate_ratio=0, starved=True, transfer_ms=7),
        message(viewer_id="bob", variant_id="high", top_bps=5_000_000, startup=True),
        message(viewer_id="ann", msn=-2),
    ]
    one_by_one, by_columns = (told(form(samples)) for form in FORMS.values())
    assert one_by_one == by_columns
    assert len(by_columns) == 2


def told(request: pb.ReportSamplesRequest) -> Sequence[tuple[tuple[str, str], Sample]]:
    (batch,) = read_batches(request, NOW_S)
    sessions = list(batch.sessions)
    return [(sessions[place], Sample(*row)) for place, row in batch.rows]


def test_whoever_is_wrong_nobody_else_is_left_out(form: Form) -> None:
    samples = [
        message(viewer_id="ann", variant_id="high", buffer_s=3),
        message(viewer_id="bob", buffer_s=math.nan),
        message(stream_id="show", viewer_id="bob", transfer_ms=-1),
        message(stream_id="show", viewer_id="bob", buffer_s=4),
        message(viewer_id="ann", buffer_s=5),
    ]
    (batch,) = read_batches(form(samples), NOW_S)
    sessions = list(batch.sessions)
    read = [(*sessions[place], row[0], row[6]) for place, row in batch.rows]
    assert read == [("film", "ann", "high", 3), ("show", "bob", "low", 4), ("film", "ann", "low", 5)]
    assert batch.count == 5


def test_too_many_at_once_are_refused(form: Form) -> None:
    full = [message()] * MAX_COUNT
    (batch,) = read_batches(form(full), NOW_S)
    assert len(list(batch.rows)) == MAX_COUNT
    with pytest.raises(InvalidArgument, match=r"samples and columns hold 1001: give at most 1,000"):
        read_batches(form([*full, message()]), NOW_S)


def test_a_message_may_have_both_forms() -> None:
    both = pb.ReportSamplesRequest(
        samples=[message()] * 600, columns=columns([message(viewer_id="bob")] * 400)
    )
    sessions = [list(batch.sessions) for batch in read_batches(both, NOW_S)]
    assert sessions == [[("film", "ann")], [("film", "bob")]]
    both.samples.append(message())
    with pytest.raises(InvalidArgument, match="1001"):
        read_batches(both, NOW_S)


@pytest.mark.parametrize(
    ("name", "values", "error"),
    [
        ("viewer_places", [], r"columns.viewer_places holds 0 values: give one for each of 2 samples"),
        ("viewer_places", [0, 2], r"columns.viewer_places holds 0 to 2: give places from 0 to 1"),
        ("variant_places", [-1, 0], r"columns.variant_places holds -1 to 0: give places from 0 to 0"),
        ("stream_ids", ["film"], r"columns.stream_ids holds 1 values: give one for each of 2 viewers"),
        ("msns", [1], r"columns.msns holds 1 values: give one for each of 2 samples"),
    ],
)
def test_columns_that_do_not_fit_are_refused(name: str, values: list[Any], error: str) -> None:
    told = columns([message(msn=1), message(viewer_id="bob", msn=2)])
    told.ClearField(name)  # type: ignore[arg-type]
    getattr(told, name).extend(values)
    with pytest.raises(InvalidArgument, match=error):
        list(read_batches(pb.ReportSamplesRequest(columns=told), NOW_S))
