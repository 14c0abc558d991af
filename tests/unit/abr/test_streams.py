"""What abr reads of a stream that the distributor tells of."""

from __future__ import annotations

from typing import Any

import pytest

from abr.adapters.streams import read_stream
from abr.domain.stream import Stream
from support.abr import film


def read(**fields: object) -> Stream:
    return read_stream(film(**fields), vod_buffer_target_s=30.0)  # type: ignore[arg-type]


def test_a_recording_ends() -> None:
    assert read(duration_s=61.5).duration_s == 61.5
    assert read(type="live", status="ended", duration_s=61.5).duration_s == 61.5


def test_no_end_is_known_of_what_is_live() -> None:
    assert read(type="live", status="active", duration_s=61.5).duration_s == 0


@pytest.mark.parametrize(
    ("fields", "buffer_target_s"),
    [
        ({}, 30),
        ({"type": "live", "status": "active"}, 12),
        ({"type": "live", "status": "active", "low_latency": True, "part_target_s": 0.5}, 1.5),
        ({"type": "live", "status": "ended", "low_latency": True, "part_target_s": 0.5}, 30),
    ],
)
def test_behind_the_live_edge_players_aim_at_the_hold_back(
    fields: dict[str, Any], buffer_target_s: float
) -> None:
    assert read(**fields).buffer_target_s == buffer_target_s


def test_parts_are_of_a_segment_what_they_last() -> None:
    parts = read(type="live", status="active", low_latency=True, part_target_s=0.5)
    assert [parts.segments(duration_s) for duration_s in (0.0, 0.5, 1.0, 4.0)] == [1, 0.125, 0.25, 1]
    assert read().segments(0.5) == 1
