"""Deliveries by their rules: what goes first, how long to wait, who follows a stream, names."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import InvalidArgument
from distributor.domain.delivery import (
    BACKOFF_LONGEST_S,
    LIGHT_BYTES,
    TOGETHER_BYTES,
    TOGETHER_COUNT,
    Edge,
    EdgeKind,
    Freight,
    Order,
    backoff_s,
    choose_follower,
    freight_of,
    may_go_together,
    order_for,
    read_segment_id,
    urgency,
)
from distributor.domain.entries import LedgerId, Segment
from distributor.domain.profiles import PROFILES
from distributor.domain.steering import (
    FAILURES_BEFORE_SICK,
    Pathway,
    Route,
    check_routes,
    checked,
)

LEDGER_ID = LedgerId(stream_id="film", incarnation="3f2a")
FREIGHT = Freight(
    ledger_id=LEDGER_ID, rendition_id="Low", msn=7, suffix="m4s", object_key="a/00000007-x.m4s", size_bytes=9
)
EDGE = Edge(name="cdn", kind=EdgeKind.PUT, address="https://cdn.example.com")


def _order(*, is_new: bool) -> Order:
    return order_for(EDGE, FREIGHT, PROFILES[0], is_new=is_new)


def _light(size_bytes: int = 9, **changes: object) -> Order:
    gateway = replace(EDGE, kind=EdgeKind.GATEWAY)
    order = replace(_order(is_new=True), edge=gateway, freight=replace(FREIGHT, size_bytes=size_bytes))
    return replace(order, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("orders", "other", "may"),
    [
        ([_light()], _light(), True),
        ([_light()], _light(is_new=False), True),
        ([_light(LIGHT_BYTES)], _light(LIGHT_BYTES), True),
        ([_light(LIGHT_BYTES + 1)], _light(), False),
        ([_light()], _light(LIGHT_BYTES + 1), False),
        ([_light(LIGHT_BYTES)] * (TOGETHER_BYTES // LIGHT_BYTES), _light(), False),
        ([_light()] * (TOGETHER_COUNT - 1), _light(), True),
        ([_light()] * TOGETHER_COUNT, _light(), False),
        ([_light()], _light(timeout_s=1.0), False),
        ([_order(is_new=True)], _order(is_new=True), False),
    ],
)
def test_only_what_is_light_goes_together_and_not_too_much_of_it(
    orders: list[Order], other: Order, may: bool
) -> None:
    assert may_go_together(orders, other) is may


def test_what_was_just_announced_goes_first_and_the_newest_before_all() -> None:
    arrived = [_order(is_new=False), _order(is_new=True), _order(is_new=False), _order(is_new=True)]
    ranked = sorted(range(4), key=lambda number: urgency(arrived[number], number))
    assert ranked == [3, 1, 0, 2]


@given(st.integers(1, 1_000), st.floats(0, 1))
def test_waits_grow_and_are_bounded(attempts_count: int, chance: float) -> None:
    wait_s = backoff_s(attempts_count, chance)
    assert 0 <= wait_s <= BACKOFF_LONGEST_S
    assert wait_s <= backoff_s(attempts_count + 1, chance)


@given(st.lists(st.text(min_size=1), min_size=1, unique=True), st.text(), st.randoms())
def test_all_distributors_choose_the_same_follower(names: list[str], stream_id: str, chance: Random) -> None:
    weights = {f"{name}/{stream_id}": number for number, name in enumerate(names)}
    shuffled = sorted(names, key=lambda _: chance.random())
    assert choose_follower(stream_id, shuffled, weights.__getitem__) == names[-1]


def test_who_leaves_hands_over_only_their_own_streams() -> None:
    def weigh(text: str) -> int:
        return hash(("salt", text))

    streams = [f"stream-{number}" for number in range(200)]
    before = {one: choose_follower(one, ["a", "b", "c"], weigh) for one in streams}
    after = {one: choose_follower(one, ["a", "b"], weigh) for one in streams}
    assert set(before.values()) == {"a", "b", "c"}
    assert all(after[one] == before[one] for one in streams if before[one] != "c")


def test_an_object_is_named_as_in_playlists() -> None:
    segment = Segment(
        rendition_id="Low", msn=7, start_s=0, duration_s=2, object_key="a/00000007-x.m4s", size_bytes=9
    )
    assert freight_of(LEDGER_ID, segment) == FREIGHT
    assert FREIGHT.path == "/hls/film/variants/Low/segment_7.m4s?i=3f2a"


@pytest.mark.parametrize("text", ["7", "segment_7", "segment_7.m4s", "segment_7.ts"])
def test_a_segment_has_a_number_and_a_name(text: str) -> None:
    assert read_segment_id(text) == 7


@pytest.mark.parametrize("text", ["", "-1", "07", "seven", "segment_7.mp4", "../7", "7\n", "9" * 16])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="segment_id is"):
        read_segment_id(text)


def test_a_pathway_is_sick_after_some_failures_and_well_after_one_answer() -> None:
    pathway = Pathway(route=Route(pathway_id="cdn", base_url="https://cdn.example.com", weight=1))
    for _ in range(FAILURES_BEFORE_SICK):
        assert pathway.is_healthy
        pathway = checked(pathway, answers=False)
    assert not pathway.is_healthy
    assert checked(pathway, answers=True).is_healthy


@pytest.mark.parametrize(
    ("pathway_id", "base_url", "weight", "field"),
    [
        ("a b", "", 1, "pathway_id"),
        ("a", "ftp://x", 1, "base_url"),
        ("a", "https://x/path", 1, "base_url"),
        ("a", "", -1, "weight"),
    ],
)
def test_routes_that_nobody_can_follow_are_refused(
    pathway_id: str, base_url: str, weight: float, field: str
) -> None:
    with pytest.raises(ValueError, match=field):
        check_routes([Route(pathway_id=pathway_id, base_url=base_url, weight=weight)])


def test_two_routes_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="differ"):
        check_routes([Route(pathway_id="a", base_url="", weight=1)] * 2)
