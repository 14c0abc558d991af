"""Samples from the wire: each held to its ranges, and absent is not nought where the contract says so."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from weir.abr.v1 import abr_pb2 as pb

from abr.convert_samples import MAX_COUNT, read_batch
from abr.domain.sample import Sample
from chassis.errors import InvalidArgument
from support.adaptation import NOW_S


def message(**fields: Any) -> pb.Sample:
    values = {"stream_id": "film", "viewer_id": "ann", "variant_id": "low"}
    return pb.Sample(**{**values, "sample_time": Timestamp(seconds=int(NOW_S)), **fields})


def read(**fields: Any) -> Sample | None:
    batch = read_batch(pb.ReportSamplesRequest(samples=[message(**fields)]), NOW_S)
    assert batch.count == 1
    return batch.by_stream["film"][0][1] if batch.by_stream else None


def test_everything_arrives() -> None:
    sample = read(
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


def test_absent_is_not_nought() -> None:
    absent, nought = read(), read(msn=0, buffer_s=0, playback_rate_ratio=0)
    assert absent
    assert nought
    assert (absent.msn, absent.buffer_s, absent.speed_ratio) == (None, -1, 1)
    assert (nought.msn, nought.buffer_s, nought.speed_ratio) == (0, 0, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"sample_time": None},
        {"sample_time": Timestamp(seconds=int(NOW_S) - 61)},
        {"sample_time": Timestamp(seconds=int(NOW_S) + 6)},
        {"size_bytes": -1},
        {"msn": -1},
        {"transfer_ms": math.nan},
        {"transfer_ms": 600_001},
        {"player_throughput_bps": math.inf},
        {"buffer_s": -0.1},
        {"buffer_s": 3_601},
        {"duration_s": math.nan},
        {"top_bps": -1},
        {"playback_rate_ratio": -1},
    ],
)
def test_a_sample_outside_its_range_is_left_out(fields: dict[str, Any]) -> None:
    assert read(**fields) is None


def test_what_is_no_stream_has_no_samples() -> None:
    samples = [message(stream_id=name) for name in ("film", "", "../film", "a" * 64)]
    batch = read_batch(pb.ReportSamplesRequest(samples=samples), NOW_S)
    assert list(batch.streams()) == ["film"]
    assert batch.count == 4


def test_too_many_at_once_are_refused() -> None:
    full = pb.ReportSamplesRequest(samples=[message()] * MAX_COUNT)
    assert len(read_batch(full, NOW_S).by_stream["film"]) == MAX_COUNT
    full.samples.append(message())
    with pytest.raises(InvalidArgument, match=r"samples holds 1001: give at most 1,000"):
        read_batch(full, NOW_S)
