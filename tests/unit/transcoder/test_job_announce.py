"""What may be announced next: the contiguous prefix, whatever order the pieces come in."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.jobs import a_job, a_piece, a_plan
from transcoder.domain.announce import (
    Announced,
    Entry,
    Piece,
    StoredSegment,
    StreamEnd,
    Track,
    announced_keys,
    announced_tracks,
    fold_entries,
    next_segment,
    plan_entries,
)
from transcoder.domain.chunks import Run, plan_runs
from transcoder.domain.job import Job
from transcoder.domain.packager import RenditionInfo
from transcoder.domain.plan import Container

EMPTY = Announced(sequence=1)
JOB = a_job()  # three segments, in pieces of one and two
LONG_JOB = a_job(a_plan(seconds=60.0, height=720))


def runs(job: Job) -> tuple[Run, ...]:
    return plan_runs(job.segment_count, tapers=True)


def all_pieces(job: Job) -> list[Piece]:
    return [a_piece(job, track, *run) for track in announced_tracks(job) for run in runs(job)]


def rows(job: Job, announced: Announced, stored: Sequence[Piece]) -> list[list[Piece]]:
    """What the announcer reads: run by run, as far as all tracks go."""
    by_place = {(piece.track, piece.first_segment): piece for piece in stored}
    place, found = next_segment(job, announced), []
    while all((track, place) in by_place for track in announced_tracks(job)):
        found.append([by_place[track, place] for track in announced_tracks(job)])
        place += found[-1][0].segment_count
    return found


def words(entries: Sequence[Entry]) -> list[str]:
    """Entries in short: "+id" begins a rendition, "id 3" is a segment, "." the end."""
    short = []
    for entry in entries:
        match entry:
            case RenditionInfo():
                short.append(f"+{entry.rendition_id}")
            case StoredSegment():
                short.append(f"{entry.rendition_id} {entry.msn}")
            case StreamEnd():
                short.append(".")
    return short


def test_nothing_is_announced_before_every_track_has_begun() -> None:
    stored = [a_piece(JOB, Track.VIDEO, *run) for run in runs(JOB)]
    assert plan_entries(JOB, EMPTY, rows(JOB, EMPTY, stored)) == ()


def test_the_first_record_begins_all_renditions() -> None:
    stored = [
        a_piece(JOB, Track.VIDEO, 0, 1),
        a_piece(JOB, Track.AUDIO, 0, 1),
        a_piece(JOB, Track.AUDIO, 1, 2),
    ]
    entries = plan_entries(JOB, EMPTY, rows(JOB, EMPTY, stored))
    assert words(entries) == [
        *("+VeryLow", "+thumbnails", "+audio"),
        *("VeryLow 0", "thumbnails 0", "audio 0"),
    ]


def test_tracks_go_on_together_to_the_end() -> None:
    begun = Announced(sequence=2, next_msn={"VeryLow": 1, "thumbnails": 1, "audio": 1})
    audio, video = a_piece(JOB, Track.AUDIO, 1, 2), a_piece(JOB, Track.VIDEO, 1, 2)
    assert plan_entries(JOB, begun, rows(JOB, begun, [audio])) == ()
    entries = plan_entries(JOB, begun, rows(JOB, begun, [audio, video]))
    assert words(entries) == [
        *("VeryLow 1", "VeryLow 2", "thumbnails 1", "thumbnails 2", "audio 1", "audio 2"),
        ".",
    ]


def test_what_is_announced_already_is_not_repeated() -> None:
    uneven = Announced(sequence=2, next_msn={"VeryLow": 1, "thumbnails": 3, "audio": 3})
    stored = [a_piece(JOB, track, 1, 2) for track in Track]
    assert words(plan_entries(JOB, uneven, rows(JOB, uneven, stored))) == ["VeryLow 1", "VeryLow 2", "."]


def test_an_end_that_is_missing_is_made_up_for() -> None:
    full = Announced(sequence=3, next_msn={"VeryLow": 3, "thumbnails": 3, "audio": 3})
    assert words(plan_entries(JOB, full, [])) == ["."]


def test_after_the_end_there_is_nothing_to_announce() -> None:
    ended = Announced(sequence=4, next_msn={"VeryLow": 3, "thumbnails": 3, "audio": 3}, has_ended=True)
    assert plan_entries(JOB, ended, []) == ()


def test_muxed_audio_is_not_announced() -> None:
    job = a_job(a_plan(Container.TS))
    assert announced_tracks(job) == {Track.VIDEO: ("VeryLow", "thumbnails")}


def test_a_job_that_was_planned_without_thumbnails_goes_on_without() -> None:
    job = a_job(has_thumbnails=False)
    assert announced_tracks(job) == {Track.VIDEO: ("VeryLow",), Track.AUDIO: ("audio",)}


def test_audio_alone_is_announced_also_as_ts() -> None:
    job = a_job(a_plan(Container.TS, video=False))
    assert announced_tracks(job) == {Track.AUDIO: ("audio",)}


def test_used_objects_are_known_only_when_all_pieces_are() -> None:
    pieces = all_pieces(JOB)
    keys = announced_keys(JOB, pieces)
    assert keys is not None
    assert len(keys) == 3 * (3 + 1)
    assert announced_keys(JOB, pieces[1:]) is None
    assert announced_keys(JOB, []) is None


@pytest.mark.parametrize("job", [JOB, LONG_JOB], ids=["short", "long"])
@settings(deadline=None, max_examples=40)  # the machine is shared
@given(data=st.data())
def test_in_whatever_order_pieces_come_each_segment_is_announced_once(job: Job, data: st.DataObject) -> None:
    stored: list[Piece] = []
    announced, told = EMPTY, []
    pieces = all_pieces(job)
    for place in data.draw(st.permutations(range(len(pieces)))):
        stored.append(pieces[place])
        while entries := plan_entries(job, announced, rows(job, announced, stored)):
            told += words(entries)
            announced = fold_entries(announced, announced.sequence + 1, entries)
    assert told[-1] == "."
    for rendition_id in announced.next_msn:
        segments = [word for word in told if word.startswith(f"{rendition_id} ")]
        assert segments == [f"{rendition_id} {msn}" for msn in range(job.segment_count)]
        assert told.count(f"+{rendition_id}") == 1
        assert told.index(f"+{rendition_id}") < told.index(segments[0])
