"""Streams of the registry: their states, and lists of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import FailedPrecondition, InvalidArgument
from distributor.domain.entries import Container, MediaKind, Rendition
from distributor.domain.ledger import Ledger, Timeline
from distributor.domain.listing import parse_filter, select_page
from distributor.domain.stream import (
    TRANSITIONS,
    Description,
    Stream,
    StreamKind,
    StreamState,
    move,
    new_stream,
    variants,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=5)


def stream(
    stream_id: str = "film", *, age_s: float = 0.0, state: StreamState = StreamState.CREATED
) -> Stream:
    description = Description(
        stream_id=stream_id, kind=StreamKind.VOD, container=Container.CMAF, target_duration_s=4
    )
    made = new_stream(description, incarnation="0a0a0a0a", now=NOON - timedelta(seconds=age_s))
    return replace(made, state=state)


@pytest.mark.parametrize(("old", "new"), [*product(StreamState, repeat=2)])
def test_a_stream_moves_only_where_a_way_leads(old: StreamState, new: StreamState) -> None:
    if new is old or new in TRANSITIONS[old]:
        assert move(stream(state=old), new, now=NOON).state is new
    else:
        with pytest.raises(FailedPrecondition, match=f"is {old}: it cannot become {new}"):
            move(stream(state=old), new, now=NOON)


@pytest.mark.parametrize("state", [StreamState.STOPPED, StreamState.ENDED])
def test_nothing_leads_out_of_the_end(state: StreamState) -> None:
    assert TRANSITIONS[state] == frozenset()
    assert stream(state=state).is_over


def test_start_and_end_are_noted_once() -> None:
    active = move(stream(), StreamState.ACTIVE, now=NOON)
    assert (active.start_time, active.end_time) == (NOON, None)
    stopped = move(active, StreamState.STOPPED, now=LATER)
    assert (stopped.start_time, stopped.end_time) == (NOON, LATER)
    failed = move(active, StreamState.ERROR, now=NOON, error="no source")
    assert move(failed, StreamState.ACTIVE, now=LATER).start_time == NOON


def test_an_error_is_kept_until_the_stream_moves_on() -> None:
    failed = move(stream(), StreamState.ERROR, now=NOON, error="no source")
    assert failed.error == "no source"
    assert move(failed, StreamState.ACTIVE, now=LATER).error == ""


def page_through(streams: Sequence[Stream], size: int) -> Sequence[str]:
    ids: list[str] = []
    token = ""
    while True:
        page = select_page(streams, page_size=size, page_token=token, filter_text="")
        assert len(page.streams) <= size
        ids += [stream.stream_id for stream in page.streams]
        token = page.next_page_token
        if not token:
            return ids


@given(
    st.dictionaries(st.from_regex(r"[a-c][a-z.]{0,4}", fullmatch=True), st.integers(0, 3)), st.integers(1, 4)
)
def test_pages_hold_each_stream_once_newest_first(ages: dict[str, int], size: int) -> None:
    streams = [stream(stream_id, age_s=age) for stream_id, age in ages.items()]
    ids = page_through(streams, size)
    assert sorted(ids) == sorted(ages)
    assert [ages[stream_id] for stream_id in ids] == sorted(ages.values())


def test_a_stream_made_between_two_pages_moves_nothing() -> None:
    streams = [stream(f"s{age}", age_s=age) for age in range(4)]
    first = select_page(streams, page_size=2, page_token="", filter_text="")
    newer = [stream("new", age_s=-1), *streams]
    second = select_page(newer, page_size=2, page_token=first.next_page_token, filter_text="")
    assert [stream.stream_id for stream in (*first.streams, *second.streams)] == ["s0", "s1", "s2", "s3"]


def test_filters_are_terms_that_all_hold() -> None:
    assert parse_filter(" type = vod , status=active") == {"type": "vod", "status": "active"}
    assert parse_filter("") == {}
    streams = [stream("a", state=StreamState.ACTIVE), stream("b", state=StreamState.ENDED)]
    page = select_page(streams, page_size=0, page_token="", filter_text="status=ended,type=vod")
    assert [stream.stream_id for stream in page.streams] == ["b"]


@pytest.mark.parametrize("text", ["status", "title=x", "=x", "status:active"])
def test_a_filter_that_makes_no_sense_is_told(text: str) -> None:
    with pytest.raises(InvalidArgument, match="write field=value"):
        parse_filter(text)


@pytest.mark.parametrize("token", ["x", "!!!!", "AAAA", "bmFuCmE=x"])
def test_a_made_up_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument, match="page_token"):
        select_page([stream()], page_size=1, page_token=token, filter_text="")


def test_thumbnails_are_no_variant() -> None:
    timelines = {
        kind.value: Timeline(
            rendition=Rendition(rendition_id=kind.value, media_kind=kind), size_bytes=10, media_s=4.0
        )
        for kind in (MediaKind.VIDEO, MediaKind.IMAGES)
    }
    ledger = Ledger(container=Container.CMAF, target_duration_s=4, timelines=timelines)
    assert [variant.rendition_id for variant in variants(ledger)] == ["video"]
