"""Delivery profiles: the table of the API, its thresholds, and tables that deliveries could not go by."""

from __future__ import annotations

from dataclasses import astuple, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from chassis.errors import InvalidArgument
from distributor.config import DistributorConfig
from distributor.domain.entries import Container
from distributor.domain.figures import aimed_buffer_s, profile_of, viewers_limit
from distributor.domain.profiles import PROFILES, buffer_health, connection_quality, find_profile
from distributor.domain.stream import Description, StreamKind, StreamState, new_stream
from distributor.domain.views import Start

MEDIUM = PROFILES[2]


@pytest.mark.parametrize(
    ("part_target_s", "state", "aimed_s"),
    [
        (0.0, StreamState.ACTIVE, MEDIUM.buffer_s),
        (0.333, StreamState.ACTIVE, 0.999),
        (0.333, StreamState.ERROR, 0.999),  # its publisher may come back
        (0.333, StreamState.ENDED, MEDIUM.buffer_s),
        (0.333, StreamState.STOPPED, MEDIUM.buffer_s),
        (5.0, StreamState.ACTIVE, MEDIUM.buffer_s),
    ],
)
def test_players_of_a_low_latency_stream_aim_at_its_hold_back(
    part_target_s: float, state: StreamState, aimed_s: float
) -> None:
    described = Description(
        stream_id="cam",
        kind=StreamKind.LIVE,
        container=Container.CMAF,
        target_duration_s=2,
        part_target_s=part_target_s,
    )
    made = new_stream(described, incarnation="0a0a0a0a", now=datetime(2026, 11, 22, tzinfo=UTC))
    assert aimed_buffer_s(replace(made, state=state), MEDIUM) == pytest.approx(aimed_s)


def test_the_table_is_that_of_the_api() -> None:
    rows = [astuple(one) for one in PROFILES]
    assert rows == [
        ("VeryLow", 2, 3, 100, 3, 5, 6),
        ("Low", 2, 4, 75, 3, 5, 5),
        ("Medium", 2, 5, 50, 3, 6, 4),
        ("High", 2, 6, 25, 2, 7, 3),
    ]


@pytest.mark.parametrize(
    ("health", "quality"),
    [
        (100.0, "excellent"),
        (80.1, "excellent"),
        (80.0, "good"),
        (60.1, "good"),
        (60.0, "fair"),
        (40.1, "fair"),
        (40.0, "poor"),
        (0.0, "poor"),
    ],
)
def test_quality_changes_above_each_border(health: float, quality: str) -> None:
    assert connection_quality(health) == quality


@pytest.mark.parametrize(("buffer_s", "health"), [(0.0, 0.0), (2.5, 25.0), (10.0, 100.0), (60.0, 100.0)])
def test_health_is_percent_of_the_buffer_that_the_profile_aims_at(buffer_s: float, health: float) -> None:
    assert buffer_health(buffer_s, MEDIUM.buffer_s) == health


def test_no_name_is_the_default_and_a_wrong_one_is_refused() -> None:
    assert find_profile(PROFILES, "").name == "Medium"
    with pytest.raises(InvalidArgument, match="'Huge': it must be one of VeryLow, Low, Medium, High"):
        find_profile(PROFILES, "Huge")


@pytest.mark.parametrize(
    ("start_limit", "stream_limit", "limit"), [(7, 9, 7), (0, 9, 9), (0, 0, 50), (None, 9, 9), (None, 0, 50)]
)
def test_a_start_limits_before_the_stream_and_that_before_the_profile(
    start_limit: int | None, stream_limit: int, limit: int
) -> None:
    start = None
    if start_limit is not None:
        start = Start(stream_id="film", profile="Medium", max_viewers=start_limit)
    assert viewers_limit(profile_of(PROFILES, start), start, stream_limit) == limit


def test_a_profile_that_is_configured_no_more_is_the_default_one() -> None:
    assert profile_of(PROFILES, Start(stream_id="film", profile="Gone", max_viewers=0)) == MEDIUM


@pytest.mark.parametrize(
    ("profiles", "complaint"),
    [
        ((PROFILES[0],), "Medium be one of them"),
        ((MEDIUM, MEDIUM), "must differ"),
        ((replace(MEDIUM, segment_s=0.0),), "segment_s of 'Medium' is 0.0: it must lie from 0.1 to 60"),
        ((replace(MEDIUM, compression_level=10),), "compression_level of 'Medium' is 10"),
        ((replace(MEDIUM, timeout_s=float("nan")),), "timeout_s of 'Medium' is nan"),
    ],
)
def test_a_table_that_deliveries_could_not_go_by_is_refused(profiles: Any, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        DistributorConfig(delivery_profiles=profiles)
