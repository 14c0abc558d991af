"""Jobs, and what their tasks tell and make, in NATS key-value buckets, as JSON.

A job's record stands under its recording, so that a recording can have one at a time. What belongs to one job
stands under the job's id and is purged with it; the buckets' own expiry only removes what a frozen process
wrote too late.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter

from chassis import layout
from chassis.errors import AlreadyExists, Conflict, NotFound
from chassis.messaging import KeyValue
from transcoder.domain.announce import Piece, Track
from transcoder.domain.job import Job
from transcoder.domain.plan import EncodePlan
from transcoder.domain.progress import Claim
from transcoder.ports import Kept

RESIDUE_TTL_S = 30 * 24 * 3600.0

_JOB = TypeAdapter(Job)
_PLAN = TypeAdapter(EncodePlan)
_PIECE = TypeAdapter(Piece)
_CLAIM = TypeAdapter(Claim)
_DEAD_KEY = "=dead"  # no id begins with '=', so this is nobody's job
_TRIES = 20


class KvJobStore:
    """See `ports.JobStore`."""

    def __init__(self, jobs: KeyValue) -> None:
        self._jobs = jobs

    async def get(self, recording_id: str) -> Kept[Job] | None:
        try:
            value = await self._jobs.get(layout.token(recording_id))
        except NotFound:
            return None
        return Kept(_JOB.validate_json(value.data), value.revision)

    async def put(self, job: Job, revision: int | None) -> int:
        return await _put(self._jobs, layout.token(job.recording_id), _JOB.dump_json(job), revision)

    async def remove(self, recording_id: str) -> None:
        await self._jobs.delete(layout.token(recording_id))


class KvOutputStore:
    """See `ports.OutputStore`."""

    def __init__(self, chunks: KeyValue) -> None:
        self._chunks = chunks

    async def put_plan(self, job_id: str, plan: EncodePlan) -> None:
        await self._chunks.put(f"{job_id}.plan", _PLAN.dump_json(plan))

    async def get_plan(self, job_id: str) -> EncodePlan:
        return _PLAN.validate_json((await self._chunks.get(f"{job_id}.plan")).data)

    async def create_piece(self, job_id: str, piece: Piece) -> bool:
        try:
            await self._chunks.create(
                _piece_key(job_id, piece.track, piece.first_segment), _PIECE.dump_json(piece)
            )
        except AlreadyExists:
            return False
        return True

    async def get_piece(self, job_id: str, track: Track, first_segment: int) -> Piece | None:
        try:
            value = await self._chunks.get(_piece_key(job_id, track, first_segment))
        except NotFound:
            return None
        return _PIECE.validate_json(value.data)

    async def list_pieces(self, job_id: str) -> Sequence[Piece]:
        return [_PIECE.validate_json(value.data) for value in await self._chunks.list(f"{job_id}.pieces.")]


class KvClaimStore:
    """See `ports.ClaimStore`."""

    def __init__(self, claims: KeyValue) -> None:
        self._claims = claims

    async def get(self, job_id: str, task: str) -> Kept[Claim] | None:
        try:
            value = await self._claims.get(f"{job_id}.{task}")
        except NotFound:
            return None
        return Kept(_CLAIM.validate_json(value.data), value.revision)

    async def put(self, job_id: str, claim: Claim, revision: int | None) -> int:
        return await _put(self._claims, f"{job_id}.{claim.task}", _CLAIM.dump_json(claim), revision)

    async def list(self, job_id: str) -> Sequence[Claim]:
        return [_CLAIM.validate_json(value.data) for value in await self._claims.list(f"{job_id}.")]


class KvResidue:
    """See `ports.Residue`."""

    def __init__(self, *, jobs: KeyValue, chunks: KeyValue, claims: KeyValue) -> None:
        self._jobs = jobs
        self._chunks = chunks
        self._claims = claims

    async def purge(self, job_id: str) -> None:
        await self._claims.purge(f"{job_id}.")
        await self._chunks.purge(f"{job_id}.")

    async def count_dead_task(self) -> None:
        for _ in range(_TRIES):
            count, revision = await self._dead()
            try:
                await _put(self._jobs, _DEAD_KEY, b"%d" % (count + 1), revision)
            except Conflict:
                continue
            return

    async def get_dead_count(self) -> int:
        return (await self._dead())[0]

    async def _dead(self) -> tuple[int, int | None]:
        try:
            value = await self._jobs.get(_DEAD_KEY)
        except NotFound:
            return 0, None
        return int(value.data), value.revision


async def _put(bucket: KeyValue, key: str, data: bytes, revision: int | None) -> int:
    if revision is not None:
        return await bucket.update(key, data, revision=revision)
    try:
        return await bucket.create(key, data)
    except AlreadyExists as error:
        raise Conflict(f"{key!r} is there already") from error


def _piece_key(job_id: str, track: Track, first_segment: int) -> str:
    return f"{job_id}.pieces.{track}.{first_segment:08d}"
