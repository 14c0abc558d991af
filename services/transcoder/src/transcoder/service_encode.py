"""Use-case of encoding one task: from the source to stored pieces, told to the world as they come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from chassis.errors import NotFound
from transcoder.domain.announce import Piece, Track
from transcoder.domain.chunks import Chunk, Run
from transcoder.domain.job import Job
from transcoder.domain.plan import EncodePlan
from transcoder.ports import Encoder, JobQueue, MediaStore, OutputStore, SourceFiles
from transcoder.service_attempt import Attempt
from transcoder.service_drive import chunk_task

# The first chunk is what viewers wait for. Audio costs little, but that of a long recording would take half
# of the machine from it; other chunks take what is left.
AUDIO_NICENESS = 5
REST_NICENESS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What encoding works with."""

    outputs: OutputStore
    media: MediaStore
    queue: JobQueue
    files: SourceFiles
    encoder: Encoder


class Encoding:
    """Makes what a task should make, but for what is there already."""

    def __init__(self, ports: Ports, announce: Callable[[Job], Awaitable[None]]) -> None:
        self._ports = ports
        self._announce = announce

    async def encode(self, attempt: Attempt, plan: EncodePlan) -> None:
        """Encode and store a task's missing pieces, announcing them as they come.

        Raises:
            EncodeError: ffmpeg failed.
            NotFound: The source is gone from storage.
        """
        if attempt.claim.is_audio:
            await self._encode_audio(attempt, plan)
        else:
            await self._encode_chunk(attempt, plan, plan.chunks[int(attempt.claim.task)])

    async def _encode_chunk(self, attempt: Attempt, plan: EncodePlan, chunk: Chunk) -> None:
        job = attempt.job
        chunk_runs = [run for run in plan.runs if run[0] in chunk.msns]
        missing = await self._missing(job, Track.VIDEO, chunk_runs)
        if not missing:
            return
        audio_runs = await self._audio_runs(job, chunk_runs) if plan.audio_is_muxed else ()
        async with (
            self._ports.files.open(job.source_key) as path,
            self._ports.encoder.encode_chunk(
                path,
                plan,
                chunk,
                audio_runs=audio_runs,
                niceness=REST_NICENESS if chunk.index else 0,
                on_progress=attempt.note,
            ) as segments,
        ):
            async for _ in attempt.store(Track.VIDEO, segments, missing):
                await self._announce(job)

    async def _encode_audio(self, attempt: Attempt, plan: EncodePlan) -> None:
        job = attempt.job
        missing = await self._missing(job, Track.AUDIO, plan.runs)
        muxing = _Muxing(job, plan, self._ports.queue)
        for run in plan.runs:
            if run not in missing:
                await muxing.note(run)
        if not missing:
            return
        async with (
            self._ports.files.open(job.source_key) as path,
            self._ports.encoder.encode_audio(
                path, plan, niceness=AUDIO_NICENESS, on_progress=attempt.note
            ) as segments,
        ):
            async for piece in attempt.store(Track.AUDIO, segments, missing):
                await muxing.note((piece.first_segment, piece.segment_count))
                await self._announce(job)

    async def _missing(self, job: Job, track: Track, wanted: Sequence[Run]) -> list[Run]:
        return [run for run in wanted if await self._piece(job, track, run) is None]

    async def _piece(self, job: Job, track: Track, run: Run) -> Piece | None:
        return await self._ports.outputs.get_piece(job.job_id, track, run[0])

    async def _audio_runs(self, job: Job, chunk_runs: Sequence[Run]) -> list[bytes]:
        """Read the audio that is to be muxed into a chunk, segment by segment."""
        audio: list[bytes] = []
        for run in chunk_runs:
            piece = await self._piece(job, Track.AUDIO, run)
            if piece is None:
                raise NotFound(f"the audio of segment {run[0]} is not there")
            audio += [await self._ports.media.get(segment.object_key) for segment in piece.segments]
        return audio


class _Muxing:
    """Queues the chunks that audio is muxed into, as their audio becomes ready."""

    def __init__(self, job: Job, plan: EncodePlan, queue: JobQueue) -> None:
        self._job = job
        self._queue = queue
        self._ready: set[int] = set()
        self._waiting = list(plan.chunks) if plan.audio_is_muxed else []

    async def note(self, run: Run) -> None:
        """Take down that a run of audio is stored, and queue the chunks that this completes."""
        self._ready.update(range(run[0], run[0] + run[1]))
        for chunk in [chunk for chunk in self._waiting if self._is_ready(chunk)]:
            await self._queue.publish(chunk_task(self._job, chunk.index))
            self._waiting.remove(chunk)

    def _is_ready(self, chunk: Chunk) -> bool:
        return self._ready.issuperset(chunk.msns)
