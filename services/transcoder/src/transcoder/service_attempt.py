"""One attempt at one task: its claim, its objects, and what becomes of both.

Whatever an attempt stores lies under keys that hold its own token, so no two attempts ever write the same
object. Pieces decide which attempt's objects count: the first to store a piece wins, and the other removes
its own.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from chassis import layout
from chassis.errors import Conflict
from transcoder.domain.announce import Piece, StoredSegment, Track, video_renditions
from transcoder.domain.encoding import EncodeProgress
from transcoder.domain.job import Job, JobState
from transcoder.domain.packager import MediaKind, PackedSegment, RenditionInfo
from transcoder.domain.progress import Claim, renew_claim
from transcoder.ports import ClaimStore, Clock, JobStore, Kept, MediaStore, OutputStore

_TRIES = 5
SUFFIXES = {("cmaf", False): "m4s", ("ts", False): "ts", ("ts", True): "aac"}


class Superseded(Exception):
    """Another worker has the task now."""


class JobOver(Exception):
    """The task's job has ended, or is about to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What an attempt works with."""

    jobs: JobStore
    outputs: OutputStore
    claims: ClaimStore
    media: MediaStore
    clock: Clock


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One worker's work on one task."""

    ports: Ports
    job: Job
    token: str
    claim: Claim
    revision: int | None
    done_ratio: float = 0.0
    speed_ratio: float = 0.0
    loose_keys: set[str] = field(default_factory=set)
    """Objects that were put and belong to no piece yet."""
    known_inits: set[str] = field(default_factory=set)
    _renewing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def note(self, progress: EncodeProgress) -> None:
        """Take down how far the encoder is."""
        self.done_ratio = progress.frame_count / self.claim.frame_count
        self.speed_ratio = progress.speed_ratio

    async def renew(self) -> None:
        """Show that the attempt lives; Superseded if another one took the task over."""
        async with self._renewing:
            claim = renew_claim(
                self.claim,
                done_ratio=self.done_ratio,
                speed_ratio=self.speed_ratio,
                now=self.ports.clock(),
            )
            await self.write(claim)

    async def write(self, claim: Claim) -> None:
        """Store the claim; Superseded if it is no longer this attempt's.

        A heartbeat that was cancelled may have been stored, or may still be: its revision is not known here.
        """
        for _ in range(_TRIES):
            try:
                self.revision = await self.ports.claims.put(self.job.job_id, claim, self.revision)
            except Conflict:
                unheard = await self._find_own(claim.task)
                self.revision = unheard.revision
                claim = replace(claim, done_ratio=max(claim.done_ratio, unheard.value.done_ratio))
            else:
                self.claim = claim
                return
        raise Superseded(f"the claim of task {claim.task} is being changed by others")

    async def _find_own(self, task: str) -> Kept[Claim]:
        kept = await self.ports.claims.get(self.job.job_id, task)
        if kept is None or kept.value.attempt != self.token:
            raise Superseded(f"task {task} was given to another worker")
        return kept

    async def require_working(self) -> None:
        """Raise JobOver if the job no longer wants the task done."""
        kept = await self.ports.jobs.get(self.job.recording_id)
        if kept is None or kept.value.job_id != self.job.job_id or not kept.value.is_working:
            raise JobOver(f"job {self.job.job_id} is over")

    async def store(
        self, track: Track, segments: AsyncIterator[PackedSegment], runs: Sequence[tuple[int, int]]
    ) -> AsyncIterator[Piece]:
        """Put segments as they come; yield each piece once all of it is stored.

        Args:
            track: What the segments belong to.
            segments: Of one or more renditions, each in order.
            runs: (first segment, count) of the pieces that are still missing; other segments are passed over.
        """
        wanted = {msn: run for run in runs for msn in range(run[0], run[0] + run[1])}
        width = len(video_renditions(self.job)) if track is Track.VIDEO else 1
        gathered: dict[tuple[int, int], list[tuple[RenditionInfo, StoredSegment]]] = {}
        async for segment in segments:
            run = wanted.get(segment.msn)
            if run is None:
                continue
            gathered.setdefault(run, []).append(await self._put(segment))
            if len(gathered[run]) == run[1] * width:
                piece = _piece(track, run, gathered.pop(run))
                await self._create(piece)
                yield piece

    async def remove_loose(self) -> None:
        """Remove what was put in vain."""
        await self.ports.media.delete(sorted(self.loose_keys))
        self.loose_keys.clear()

    async def _put(self, segment: PackedSegment) -> tuple[RenditionInfo, StoredSegment]:
        """Store a segment, and its init segment, which all attempts share because its key is its hash."""
        info, job = segment.rendition, self.job
        init_key = ""
        if info.init is not None:
            digest = hashlib.sha256(info.init).hexdigest()
            init_key = layout.init_key(job.recording_id, job.job_id, info.rendition_id, digest)
            if init_key not in self.known_inits:
                await self.ports.media.put_shared(init_key, info.init)
                self.known_inits.add(init_key)
        key = layout.segment_key(
            job.recording_id, job.job_id, info.rendition_id, segment.msn, self.token, _suffix(job, info)
        )
        self.loose_keys.add(key)
        await self.ports.media.put(key, segment.data)
        return replace(info, init=None), StoredSegment(
            rendition_id=info.rendition_id,
            msn=segment.msn,
            start_s=segment.start_s,
            duration_s=segment.duration_s,
            object_key=key,
            size_bytes=len(segment.data),
            init_key=init_key,
            init_size_bytes=len(info.init or b""),
            iframes=segment.iframes,
        )

    async def _create(self, piece: Piece) -> None:
        """Let the piece count, unless another attempt's does already.

        A worker that was frozen must not store pieces of a job that went on without it: the claim is renewed
        first, and the job looked at again afterwards, since its output may just have been removed.
        """
        await self.renew()
        keys = {segment.object_key for segment in piece.segments}
        if await self.ports.outputs.create_piece(self.job.job_id, piece):
            self.loose_keys -= keys
        kept = await self.ports.jobs.get(self.job.recording_id)
        job = kept.value if kept and kept.value.job_id == self.job.job_id else None
        if job is None or {job.state, job.outcome} & {JobState.FAILED, JobState.CANCELLED}:
            self.loose_keys |= keys
            raise JobOver(f"job {self.job.job_id} is over")


def _suffix(job: Job, info: RenditionInfo) -> str:
    if info.media_kind is MediaKind.IMAGES:
        return "jpg"
    return SUFFIXES[job.container, job.audio_is_muxed and info.media_kind is MediaKind.AUDIO]


def _piece(
    track: Track, run: tuple[int, int], stored: Sequence[tuple[RenditionInfo, StoredSegment]]
) -> Piece:
    renditions = {info.rendition_id: info for info, _ in stored}
    segments = sorted(
        (segment for _, segment in stored), key=lambda segment: (segment.rendition_id, segment.msn)
    )
    return Piece(
        track=track,
        first_segment=run[0],
        segment_count=run[1],
        renditions=tuple(sorted(renditions.values(), key=_place)),
        segments=tuple(segments),
    )


def _place(info: RenditionInfo) -> tuple[bool, int]:
    """Order renditions as they are announced: by rate, images last."""
    return info.media_kind is MediaKind.IMAGES, info.target_bps
