"""Decide what of a job's output may be announced next: always the contiguous prefix, never a hole.

Tasks store what they made as pieces, in any order. Whoever stores one announces all that is now contiguous.
What was announced is read from the ledger alone, so that two processes can do this at once: the ledger
refuses one of them, which reads again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from transcoder.domain.job import Job
from transcoder.domain.packager import IFrameRange, RenditionInfo
from transcoder.domain.plan import AUDIO_RENDITION_ID
from transcoder.domain.thumbnails import THUMBNAILS_RENDITION_ID


class Track(StrEnum):
    """What pieces are made of; muxed video counts as video, and so do its thumbnails."""

    VIDEO = "video"
    AUDIO = "audio"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSegment:
    """A segment that can be read from storage."""

    rendition_id: str
    msn: int
    start_s: float
    duration_s: float
    object_key: str
    size_bytes: int
    init_key: str = ""
    init_size_bytes: int = 0
    iframes: tuple[IFrameRange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A run of segments in all renditions of one track: the least that is stored, and announced, at once."""

    track: Track
    first_segment: int
    segment_count: int
    renditions: tuple[RenditionInfo, ...]  # without their init segments, which are stored as objects
    segments: tuple[StoredSegment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnd:
    """Nothing more will come."""


Entry = RenditionInfo | StoredSegment | StreamEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What the ledger holds, as far as announcing needs it."""

    sequence: int
    next_msn: Mapping[str, int] = field(default_factory=dict)  # by rendition; its key appears with its entry
    has_ended: bool = False


def fold_announced(
    announced: Announced, *, sequence: int, reached: Mapping[str, int], has_ended: bool
) -> Announced:
    """Add one record; `reached` tells each rendition's next msn after it."""
    return replace(
        announced,
        sequence=sequence,
        next_msn={**announced.next_msn, **reached},
        has_ended=announced.has_ended or has_ended,
    )


def fold_entries(announced: Announced, sequence: int, entries: Sequence[Entry]) -> Announced:
    """Add a record of our own."""
    reached: dict[str, int] = {}
    for entry in entries:
        if isinstance(entry, RenditionInfo):
            reached[entry.rendition_id] = 0
        elif isinstance(entry, StoredSegment):
            reached[entry.rendition_id] = entry.msn + 1
    ended = any(isinstance(entry, StreamEnd) for entry in entries)
    return fold_announced(announced, sequence=sequence, reached=reached, has_ended=ended)


def announced_tracks(job: Job) -> dict[Track, tuple[str, ...]]:
    """Tell which tracks become renditions, and their ids."""
    tracks: dict[Track, tuple[str, ...]] = {}
    if job.ladder:
        tracks[Track.VIDEO] = video_renditions(job)
    if job.has_audio and not job.audio_is_muxed:
        tracks[Track.AUDIO] = (AUDIO_RENDITION_ID,)
    return tracks


def video_renditions(job: Job) -> tuple[str, ...]:
    """Name the renditions that chunks make: the rungs, and the thumbnails behind them."""
    thumbnails = (THUMBNAILS_RENDITION_ID,) if job.has_thumbnails else ()
    return (*(rung.name for rung in job.ladder), *thumbnails)


def next_segment(job: Job, announced: Announced) -> int:
    """Tell where the next run begins; all tracks end at the same segment."""
    ids = [rendition_id for track in announced_tracks(job).values() for rendition_id in track]
    return min(announced.next_msn.get(rendition_id, 0) for rendition_id in ids)


def announced_keys(job: Job, pieces: Sequence[Piece]) -> frozenset[str] | None:
    """Collect the objects that the ledger names; runs of audio that were muxed are not among them.

    None if pieces are missing, so that nobody takes for superfluous what only was not listed.
    """
    keys: set[str] = set()
    for track in announced_tracks(job):
        own = [piece for piece in pieces if piece.track is track]
        if sum(piece.segment_count for piece in own) != job.segment_count:
            return None
        keys |= {
            key
            for piece in own
            for segment in piece.segments
            for key in (segment.object_key, segment.init_key)
        }
    return frozenset(keys)


def plan_entries(job: Job, announced: Announced, rows: Sequence[Sequence[Piece]]) -> tuple[Entry, ...]:
    """Decide what to announce: the runs that are there in all tracks, and the end when all is in.

    Tracks grow together: a player that reads a multivariant playlist without audio would never find out that
    there is some (it does not read it again), and one that joins where audio is ahead would wait for video.

    Args:
        job: The job.
        announced: What was announced before.
        rows: Run by run the pieces of all tracks, without a hole, from `next_segment` on.
    """
    if announced.has_ended:
        return ()
    pieces = [piece for row in rows for piece in row]
    entries: list[Entry] = []
    if not announced.next_msn:
        entries += [info for piece in pieces if piece.first_segment == 0 for info in piece.renditions]
    entries += [
        segment
        for piece in pieces
        for segment in piece.segments
        if segment.msn >= announced.next_msn.get(segment.rendition_id, 0)
    ]
    if next_segment(job, fold_entries(announced, announced.sequence, entries)) >= job.segment_count:
        entries.append(StreamEnd())
    return tuple(entries)
