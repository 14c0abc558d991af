"""The order of ready segments: however they arrive, the same timeline comes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from transcoder.domain.live_timeline import LiveEntry, PlacedSegment, StoredObject
from transcoder.domain.packager import MediaKind, RenditionInfo
from transcoder.domain.ready_feed import PATIENCE_TARGETS, Feed, begin, join
from transcoder.domain.ready_segment import ReadySegment
from transcoder.domain.ready_timeline import WRAP_S, next_look, plan_entries
from transcoder.domain.ready_tracks import ReadyTimeline, fold

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
TARGET_S = 2
SEGMENT_S = 1.5
VARIANTS = ("high", "low")
COUNT = 6

Name = tuple[str, int]


def a_segment(variant_id: str, number: int, at_s: float = 0.0, **changes: Any) -> ReadySegment:
    segment = ReadySegment(
        variant_id=variant_id,
        number=number,
        sha256=f"{variant_id}{number}",
        media=StoredObject(key=f"{variant_id}/{number}", size_bytes=1000 + number),
        start_s=100 + number * SEGMENT_S,
        duration_s=SEGMENT_S,
        arrival_time=START + timedelta(seconds=at_s),
    )
    return replace(segment, **changes)


def an_info(variant_id: str) -> RenditionInfo:
    return RenditionInfo(
        rendition_id=variant_id, name=variant_id, media_kind=MediaKind.MUXED, codecs="avc1.42c00b,mp4a.40.2"
    )


@dataclass(slots=True)
class World:
    """A feed, its ledger, and what is stored; whoever comes by announces."""

    feed: Feed
    timeline: ReadyTimeline
    stored: dict[str, dict[int, ReadySegment]]
    entries: list[LiveEntry]

    def arrive(self, segment: ReadySegment) -> None:
        now = segment.arrival_time
        self.feed = join(self.feed, an_info(segment.variant_id), None, segment.number, now)
        self.stored.setdefault(segment.variant_id, {}).setdefault(segment.number, segment)
        self.announce(now)

    def announce(self, now: datetime) -> None:
        numbers = [number for own in self.stored.values() for number in own]
        self.feed = begin(self.feed, numbers, now)
        entries = plan_entries(self.feed, self.timeline, self.stored, now)
        self.timeline = fold(self.timeline, entries, self.timeline.sequence + 1)
        self.entries += entries
        assert plan_entries(self.feed, self.timeline, self.stored, now) == ()

    def segments(self, variant_id: str) -> list[PlacedSegment]:
        placed = [entry for entry in self.entries if isinstance(entry, PlacedSegment)]
        return [entry for entry in placed if entry.rendition_id == variant_id]

    def told(self, variant_id: str) -> list[tuple[object, ...]]:
        """What a ledger must tell whatever the order was."""
        return [
            (one.msn, one.media, round(one.start_s, 6), one.program_date_time, one.discontinuity_sequence)
            for one in self.segments(variant_id)
        ]


def a_world() -> World:
    feed = Feed(stream_id="cam", incarnation="aa", target_duration_s=TARGET_S)
    return World(feed, ReadyTimeline(), {}, [])


def run(arrivals: Iterable[ReadySegment], end_s: float) -> World:
    """Let segments arrive, and let somebody look whenever something is due."""
    world = a_world()
    for segment in arrivals:
        look_until(world, segment.arrival_time)
        world.arrive(segment)
    look_until(world, START + timedelta(seconds=end_s))
    return world


def look_until(world: World, time: datetime) -> None:
    while (due := next_look(world.feed, world.timeline, world.stored)) and due <= time:
        world.announce(due)


def numbered(order: Sequence[Name], *, each_s: float = 0.05) -> list[ReadySegment]:
    return [a_segment(variant_id, number, index * each_s) for index, (variant_id, number) in enumerate(order)]


ALL = [(variant_id, number) for number in range(COUNT) for variant_id in VARIANTS]


@given(order=st.permutations(ALL), repeated=st.lists(st.sampled_from(ALL), max_size=6))
def test_any_order_of_arrival_gives_the_same_timeline(order: list[Name], repeated: list[Name]) -> None:
    world = run(numbered([*order, *repeated]), end_s=30)
    wanted = run(numbered(ALL), end_s=30)
    for variant_id in VARIANTS:
        assert world.told(variant_id) == wanted.told(variant_id)
        assert [one.msn for one in world.segments(variant_id)] == list(range(COUNT))


@given(order=st.permutations(ALL), missing=st.sets(st.sampled_from(ALL), max_size=6))
def test_what_stays_missing_becomes_gaps_and_nothing_else_does(order: list[Name], missing: set[Name]) -> None:
    there = [name for name in order if name not in missing]
    world = run(numbered(there), end_s=60)
    first = min(number for _, number in there)
    last = max(number for _, number in there)
    for variant_id in {variant_id for variant_id, _ in there}:
        placed = [(first + one.msn, one.media is not None) for one in world.segments(variant_id)]
        assert placed == [(n, (variant_id, n) in there) for n in range(first, last + 1)]


@given(
    order=st.permutations(ALL),
    missing=st.sets(st.sampled_from(ALL), max_size=6),
    lengths=st.lists(st.floats(0.2, 2.2), min_size=COUNT, max_size=COUNT),
    jumps=st.sets(st.integers(1, COUNT - 1)),
    stretch=st.floats(0.9, 1.1),  # of one variant: borders of sound lie a little off
)
def test_laws_of_the_ledger_are_kept(
    order: list[Name], missing: set[Name], lengths: list[float], jumps: set[int], stretch: float
) -> None:
    factors = {"high": 1.0, "low": stretch}
    starts = [sum(lengths[:n]) + 50.0 * sum(jump <= n for jump in jumps) for n in range(COUNT)]
    world = run(
        [
            replace(
                one,
                start_s=starts[one.number] * factors[one.variant_id],
                duration_s=lengths[one.number] * factors[one.variant_id],
            )
            for one in numbered([name for name in order if name not in missing])
        ],
        end_s=60,
    )
    rows: dict[int, set[int]] = {}
    for variant_id in VARIANTS:
        require_lawful(world.segments(variant_id))
        for one in world.segments(variant_id):
            rows.setdefault(one.msn, set()).add(one.discontinuity_sequence)
    assert all(len(sequences) == 1 for sequences in rows.values())


def require_lawful(segments: Sequence[PlacedSegment]) -> None:
    for before, after in pairwise(segments):
        assert after.msn == before.msn + 1
        assert after.discontinuity_sequence - before.discontinuity_sequence in {0, 1}
        assert after.program_date_time >= before.end_time - timedelta(milliseconds=10)
        if after.discontinuity_sequence == before.discontinuity_sequence:
            assert abs(after.start_s - before.end_s) < 0.010
        else:
            assert after.start_s >= before.end_s - 0.010
    assert all(0 < one.duration_s < TARGET_S + 0.5 for one in segments)


def test_nothing_is_announced_for_one_target_duration() -> None:
    world = a_world()
    world.arrive(a_segment("high", 5))
    world.arrive(a_segment("high", 4, 1.9))
    assert world.entries == []
    look_until(world, START + timedelta(seconds=TARGET_S))
    assert [one.media for one in world.segments("high")] == [
        StoredObject(key="high/4", size_bytes=1004),
        StoredObject(key="high/5", size_bytes=1005),
    ]


def test_first_segment_bears_the_time_of_its_arrival() -> None:
    world = run(numbered([("high", 0), ("high", 1)]), end_s=3)
    assert [one.program_date_time for one in world.segments("high")] == [
        START,
        START + timedelta(seconds=SEGMENT_S),
    ]


def test_gap_is_due_three_target_durations_after_what_came_instead() -> None:
    world = run([a_segment("high", 0), a_segment("high", 2, 3.0)], end_s=3.0)
    assert next_look(world.feed, world.timeline, world.stored) == START + timedelta(
        seconds=3 + PATIENCE_TARGETS * TARGET_S
    )
    assert len(world.segments("high")) == 1


def test_gap_lasts_as_long_as_the_timestamps_say() -> None:
    world = run([a_segment("high", 0), a_segment("high", 3, 3.0)], end_s=20)
    assert [one.duration_s for one in world.segments("high")] == [SEGMENT_S] * 4
    assert world.segments("high")[3].discontinuity_sequence == 0


def test_sibling_that_has_ceased_holds_nobody_up() -> None:
    there = [("high", 0), ("low", 0), ("high", 1), ("high", 2)]
    world = run(numbered(there, each_s=1.0), end_s=3.5)
    assert [len(world.segments(variant_id)) for variant_id in VARIANTS] == [3, 1]


def test_jump_of_timestamps_is_a_discontinuity_at_the_time_of_its_arrival() -> None:
    jump = a_segment("high", 1, 60.0, start_s=0.0)
    world = run([a_segment("high", 0), jump], end_s=60)
    after = world.segments("high")[1]
    assert after.discontinuity_sequence == 1
    assert after.program_date_time == jump.arrival_time
    assert after.start_s == 60.0


def test_another_init_segment_is_a_discontinuity() -> None:
    inits = [StoredObject(key=key, size_bytes=1) for key in ("a", "a", "b")]
    world = run([a_segment("high", n, init=init) for n, init in enumerate(inits)], end_s=5)
    assert [one.discontinuity_sequence for one in world.segments("high")] == [0, 0, 1]


def test_wrap_of_33_bits_is_none() -> None:
    before = a_segment("high", 0, start_s=WRAP_S - SEGMENT_S)
    world = run([before, a_segment("high", 1, start_s=0.0)], end_s=5)
    assert [one.discontinuity_sequence for one in world.segments("high")] == [0, 0]


def test_rates_are_those_of_what_came_first() -> None:
    world = run([a_segment("high", 0), a_segment("high", 1, 0.1)], end_s=5)
    (info,) = [entry for entry in world.entries if isinstance(entry, RenditionInfo)]
    assert (info.target_bps, info.peak_bps) == ((5333 + 5339) // 2, 5339)
