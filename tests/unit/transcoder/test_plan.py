"""A plan is everything that a job decides at its start, and survives being stored."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from support.sources import make_audio, make_source, make_video
from transcoder.domain.ladder import NAMED_RUNGS
from transcoder.domain.plan import AudioPlan, Container, EncodePlan, plan_audio, plan_encode


@pytest.mark.parametrize(
    ("rate", "channels", "planned"),
    [
        (44_100, 2, AudioPlan(sample_rate_hz=44_100, channel_count=2, audio_bps=128_000)),
        (48_000, 1, AudioPlan(sample_rate_hz=48_000, channel_count=1, audio_bps=64_000)),
        (48_000, 6, AudioPlan(sample_rate_hz=48_000, channel_count=2, audio_bps=128_000)),
        (96_000, 2, AudioPlan(sample_rate_hz=48_000, channel_count=2, audio_bps=128_000)),
        (22_050, 1, AudioPlan(sample_rate_hz=48_000, channel_count=1, audio_bps=64_000)),
    ],
)
def test_audio_is_stereo_or_mono_at_a_usual_rate(rate: int, channels: int, planned: AudioPlan) -> None:
    assert plan_audio(make_audio(sample_rate_hz=rate, channel_count=channels)) == planned


def test_plan_survives_json_and_plans_the_same_chunks_again() -> None:
    plan = plan_encode(make_source(), container=Container.TS, segment_s=6, gop_s=3)
    adapter = TypeAdapter(EncodePlan)
    again = adapter.validate_json(adapter.dump_json(plan))
    assert again == plan
    assert again.chunks == plan.chunks


def test_plan_of_an_earlier_version_keeps_its_chunks() -> None:
    plan = plan_encode(make_source(make_video(duration_s=56.0)))
    stored = TypeAdapter(EncodePlan).dump_python(plan, mode="json")
    del stored["tapers"]
    again = TypeAdapter(EncodePlan).validate_python(stored)
    assert [count for _, count in plan.runs] == [1, 2, 3, 3, 2, 1, 1, 1, 1]
    assert [count for _, count in again.runs] == [1, 2, 4, 4, 4]


def test_plan_of_a_day_fits_into_a_message() -> None:
    day = make_video(duration_s=86_400.0, keyframe_times_s=tuple(21.1 * number for number in range(4096)))
    assert len(TypeAdapter(EncodePlan).dump_json(plan_encode(make_source(day)))) < 100_000


def test_wishes_reach_the_plan() -> None:
    plan = plan_encode(make_source(), rungs=NAMED_RUNGS[:2], segment_s=6, gop_s=3)
    assert [rung.name for rung in plan.ladder] == ["VeryLow", "Low"]
    assert (plan.grid.segment_frames, plan.grid.gop_frames) == (180, 90)


def test_missing_tracks_are_left_out() -> None:
    silent, blind = plan_encode(make_source(audio=None)), plan_encode(make_source(None))
    assert silent.audio is None
    assert (blind.ladder, blind.chunks) == ((), ())


@pytest.mark.parametrize("container", list(Container))
def test_audio_is_muxed_only_into_ts_with_video(container: Container) -> None:
    assert plan_encode(make_source(), container=container).audio_is_muxed == (container is Container.TS)
    assert not plan_encode(make_source(None), container=container).audio_is_muxed
    assert not plan_encode(make_source(audio=None), container=container).audio_is_muxed
