"""What the transcoder's use-cases need from outside: each port is as narrow as its one purpose.

Stores answer values with the revision under which they were read, and write against it: `Conflict` tells that
somebody else wrote first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from transcoder.domain.announce import Announced, Entry, Piece, Track
from transcoder.domain.chunks import Chunk
from transcoder.domain.encoding import EncodeProgress
from transcoder.domain.job import Job
from transcoder.domain.packager import PackedSegment
from transcoder.domain.plan import EncodePlan
from transcoder.domain.progress import Claim
from transcoder.domain.recording import Recording
from transcoder.domain.source import Source

ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class Kept(Generic[ValueT]):
    """A stored value with its revision."""

    value: ValueT
    revision: int


class RecordingStore(Protocol):
    """Recordings by id."""

    async def get(self, recording_id: str) -> Kept[Recording] | None: ...

    async def create(self, recording: Recording) -> int:
        """Store a new one, answering its revision; AlreadyExists if the id is taken."""

    async def update(self, recording: Recording, revision: int) -> int:
        """Replace; Conflict if it changed since."""

    async def remove(self, recording_id: str) -> None: ...

    async def list(self) -> Sequence[Recording]: ...


class JobStore(Protocol):
    """The newest job of each recording."""

    async def get(self, recording_id: str) -> Kept[Job] | None: ...

    async def put(self, job: Job, revision: int | None) -> int:
        """Store in the place of what was read under `revision`, None: nothing; Conflict if that changed."""

    async def remove(self, recording_id: str) -> None: ...


class OutputStore(Protocol):
    """What the tasks of a job have made."""

    async def put_plan(self, job_id: str, plan: EncodePlan) -> None: ...

    async def get_plan(self, job_id: str) -> EncodePlan:
        """Read the plan; NotFound once the job has ended."""

    async def create_piece(self, job_id: str, piece: Piece) -> bool:
        """Store a piece unless another attempt has stored it before; tells whether it was stored."""

    async def get_piece(self, job_id: str, track: Track, first_segment: int) -> Piece | None: ...

    async def list_pieces(self, job_id: str) -> Sequence[Piece]: ...


class ClaimStore(Protocol):
    """Who works on which task, and how far it is."""

    async def get(self, job_id: str, task: str) -> Kept[Claim] | None: ...

    async def put(self, job_id: str, claim: Claim, revision: int | None) -> int:
        """Store in the place of what was read under `revision`, None: nothing; Conflict if that changed."""

    async def list(self, job_id: str) -> Sequence[Claim]: ...


class Residue(Protocol):
    """What the stores hold for one job beside its record."""

    async def purge(self, job_id: str) -> None:
        """Remove plan, pieces and claims."""

    async def count_dead_task(self) -> None:
        """Count a task that was given up."""

    async def get_dead_count(self) -> int:
        """Tell how many there were since the buckets were made."""


class Lane(StrEnum):
    """The queues within the queue; each has workers of its own, but for the first two."""

    FIRST = "first"  # what a viewer waits for: the first chunk of each job, and its audio
    REST = "rest"
    DRIVE = "drive"  # one per job, kept until the job has ended
    FETCH = "fetch"
    LIVE = "live"  # one per start of a pulled stream, kept until the stream is stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One thing to be done by any worker: a chunk's number, "audio", "drive" or "fetch".

    In the lane LIVE `recording_id` is the stream, `job_id` the start, and `name` the incarnation.
    """

    lane: Lane
    recording_id: str
    job_id: str  # of a fetch: the arrival's token
    name: str


class Delivery(Protocol):
    """A task that was given to this worker, to be answered by exactly one of ack and retry."""

    @property
    def task(self) -> Task: ...

    @property
    def age_s(self) -> float:
        """Since the task was published."""

    @property
    def deliveries_count(self) -> int:
        """This one included."""

    @property
    def headers(self) -> dict[str, str]:
        """The trace that the task belongs to."""

    async def extend(self) -> None:
        """Tell that the work goes on, before the queue gives the task to another worker."""

    async def ack(self) -> None:
        """Tell that the task is done, or void."""

    async def retry(self, delay_s: float = 0.0) -> None:
        """Give the task back, to be delivered again after a delay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCounts:
    """How long the queue of encoding tasks is."""

    waiting_count: int
    running_count: int


class JobQueue(Protocol):
    """The queue that all transcoders share."""

    async def publish(self, task: Task, *, again: bool = False) -> None:
        """Add a task; ResourceExhausted when full.

        The same one within two minutes changes nothing, unless it is to be there `again`.
        """

    async def take(self, lane: Lane, *, wait_s: float) -> Delivery | None:
        """Take the oldest task of a lane; None if there is none within `wait_s` (0: at once)."""

    async def purge(self, recording_id: str, job_id: str, *, keep: Lane | None = None) -> None:
        """Drop a job's tasks, but for one lane; those being worked on are not delivered again."""

    async def count(self) -> QueueCounts: ...


class MediaStore(Protocol):
    """Objects: sources, init segments, segments."""

    async def put(self, key: str, data: bytes) -> None:
        """Write an object; AlreadyExists if the key is taken."""

    async def put_shared(self, key: str, data: bytes) -> None:
        """Write an object whose key tells its content; if it is there already, nothing happens."""

    async def put_stream(self, key: str, pieces: AsyncIterator[bytes]) -> None:
        """Write an object of any size in flat memory; nothing is left behind if `pieces` raises."""

    async def get(self, key: str) -> bytes: ...

    async def size(self, key: str) -> int: ...

    async def delete(self, keys: Sequence[str]) -> None: ...


class MediaFolders(Protocol):
    """All that is stored below a prefix."""

    async def list(self, prefix: str) -> Sequence[str]: ...

    async def remove(self, prefix: str, *, keep: str = "") -> None:
        """Remove everything, what broken uploads left too, but for what lies below the prefix `keep`."""


class SourceFiles(Protocol):
    """Sources as files that ffmpeg can read."""

    def open(self, key: str) -> AbstractAsyncContextManager[Path]:
        """Hold a source as a local file.

        ResourceExhausted: there is no room for a copy of it now; FailedPrecondition: there never will be.
        """


class Prober(Protocol):
    """Looks into sources."""

    async def __call__(self, path: Path) -> Source:
        """Measure a source; InvalidArgument with the reason if it is none that can be transcoded."""


class ProbeArchive(Protocol):
    """What probes found, whole: a record would be too large with thousands of keyframe times."""

    async def put(self, key: str, media: Source) -> None: ...

    async def get(self, key: str) -> Source: ...


class Encoder(Protocol):
    """Runs ffmpeg; see `adapters.encoder.Encoder` for the promises."""

    def encode_chunk(
        self,
        source_path: Path,
        plan: EncodePlan,
        chunk: Chunk,
        *,
        audio_runs: Sequence[bytes] = (),
        niceness: int = 0,
        on_progress: Callable[[EncodeProgress], None],
    ) -> AbstractAsyncContextManager[AsyncIterator[PackedSegment]]: ...

    def encode_audio(
        self,
        source_path: Path,
        plan: EncodePlan,
        *,
        niceness: int = 0,
        on_progress: Callable[[EncodeProgress], None],
    ) -> AbstractAsyncContextManager[AsyncIterator[PackedSegment]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedStream:
    """An incarnation of a stream, owned by whoever opened it."""

    incarnation: str
    epoch: int


class Timeline(Protocol):
    """The ledger of streams, kept by the distributor."""

    async def open(self, job: Job, *, anew: bool) -> OpenedStream:
        """Begin a new incarnation of the job's stream, or take the present one over.

        FailedPrecondition: the id is a stream's that is not the recording's; NotFound: nothing to take over.
        """

    async def append(self, job: Job, sequence: int, entries: Sequence[Entry]) -> int:
        """Append one record behind `sequence`; answers its own. Conflict if `sequence` is not the newest.

        FailedPrecondition or NotFound if the incarnation is no longer the job's to append to.
        """

    async def catch_up(self, job: Job, announced: Announced) -> Announced:
        """Fold what was appended since; NotFound if the incarnation is gone."""

    async def remove(self, recording_id: str, incarnation: str | None) -> None:
        """Delete the recording's stream, if there is one; with `incarnation`, only if it is still at that."""


class Fetcher(Protocol):
    """Reads public URLs."""

    async def require_allowed(self, url: str) -> None:
        """Raise InvalidArgument if the URL would be refused as far as can be seen before the fetch."""

    def fetch(self, url: str) -> AsyncIterator[bytes]:
        """Stream what stands at a URL.

        InvalidArgument: the URL is refused, or what it answers is no source; Unavailable: try again later.
        """


class Clock(Protocol):
    """The time of day, UTC."""

    def __call__(self) -> datetime: ...
