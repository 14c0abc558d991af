"""A source is a value that can be stored."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from support.sources import make_source, make_video
from transcoder.domain.source import Source, thin_keyframes


def test_source_survives_json() -> None:
    stored = TypeAdapter(Source).dump_json(make_source())
    assert TypeAdapter(Source).validate_json(stored) == make_source()


def test_source_lasts_from_its_first_start_to_its_last_end() -> None:
    source = make_source(make_video(start_s=1.5, duration_s=30.0))
    assert (source.start_s, source.end_s) == (0.0, 31.5)


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=200, unique=True).map(sorted), st.integers(2, 20))
def test_thinned_keyframes_are_few_and_leave_no_wide_gap(times: list[float], limit: int) -> None:
    kept = thin_keyframes(tuple(times), limit)
    assert len(kept) <= limit
    assert set(kept) <= set(times)
    assert kept[0] == times[0]
    span = (times[-1] - times[0]) / (limit - 1)
    for time in times:  # decoding starts at most one span earlier than it might
        assert time - max(known for known in kept if known <= time) <= span
