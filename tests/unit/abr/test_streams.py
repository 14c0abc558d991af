"""What abr reads of a stream that the distributor tells of."""

from __future__ import annotations

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
