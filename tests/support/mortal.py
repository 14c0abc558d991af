"""A transcoder's use-cases over real stores, with a fuse: at the chosen step the process dies.

Each call of a port is a step. A dead process does nothing more; what it had taken from the queue comes back
after ack_wait, as it would.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chassis.telemetry import log
from transcoder import service_attempt, service_drive, service_encode, service_jobs
from transcoder.adapters.timeline_client import TimelineClient
from transcoder.bootstrap_ground import Stores
from transcoder.domain.chunks import Chunk
from transcoder.domain.encoding import EncodeProgress
from transcoder.domain.packager import MediaKind, PackedSegment, RenditionInfo
from transcoder.domain.plan import Container, EncodePlan
from transcoder.domain.thumbnails import describe_thumbnails
from transcoder.ports import Delivery, Lane
from transcoder.service_drive import Driver
from transcoder.service_encode import Encoding
from transcoder.service_intake import Intake
from transcoder.service_jobs import Jobs
from transcoder.service_pool import Handler
from transcoder.service_worker import Worker, WorkRules

RULES = WorkRules(
    max_attempts_count=30, retry_delay_s=0.05, heartbeat_s=0.2, lease_s=1.0, worker_name="mortal"
)


LOST_AFTER_S = 3.0
STORES = tuple(item.name for item in fields(Stores))


class Died(BaseException):
    """The process is dead: nothing in it catches this, and nothing in it happens afterwards."""


class Fuse:
    """Counts steps; from step `last_step` on, each is the death of the process. Never, if that is None."""

    def __init__(self, last_step: int | None = None) -> None:
        self._last_step = last_step
        self.step = 0

    @property
    def is_blown(self) -> bool:
        return self._last_step is not None and self.step >= self._last_step

    def burn(self) -> None:
        """Take one more step."""
        if not self.is_blown:
            self.step += 1
        if self.is_blown:
            raise Died


class Fused:
    """A port, each call of which is a step."""

    def __init__(self, port: Any, fuse: Fuse) -> None:
        self._port = port
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        if not inspect.iscoroutinefunction(attribute):
            return attribute

        async def step(*arguments: Any, **named: Any) -> Any:
            self._fuse.burn()
            return await attribute(*arguments, **named)

        return step


class QuickEncoder:
    """Stands for ffmpeg: makes the planned segments at once, of a few bytes that tell what they are."""

    def __init__(
        self, fuse: Fuse | None = None, *, fails: Callable[[str], Exception | None] | None = None
    ) -> None:
        self._fuse = fuse or Fuse()
        self._fails = fails or (lambda _task: None)

    @asynccontextmanager
    async def encode_chunk(
        self,
        source_path: Path,
        plan: EncodePlan,
        chunk: Chunk,
        *,
        audio_runs: Sequence[bytes] = (),
        niceness: int = 0,
        on_progress: Callable[[EncodeProgress], None],
    ) -> AsyncIterator[AsyncIterator[PackedSegment]]:
        assert len(audio_runs) == (chunk.segment_count if plan.audio_is_muxed else 0)
        kind = MediaKind.MUXED if plan.audio_is_muxed else MediaKind.VIDEO
        infos = [_rendition(rung.name, kind, plan) for rung in plan.ladder]
        if plan.thumbnails:
            infos.append(describe_thumbnails(plan.thumbnails, plan.grid.frame_rate))
        msns = range(chunk.first_segment, chunk.first_segment + chunk.segment_count)
        on_progress(EncodeProgress(frame_count=chunk.frame_count // 2, speed_ratio=2.0))
        yield self._segments(str(chunk.index), plan, infos, msns)

    @asynccontextmanager
    async def encode_audio(
        self,
        source_path: Path,
        plan: EncodePlan,
        *,
        niceness: int = 0,
        on_progress: Callable[[EncodeProgress], None],
    ) -> AsyncIterator[AsyncIterator[PackedSegment]]:
        infos = [_rendition("audio", MediaKind.AUDIO, plan)]
        yield self._segments("audio", plan, infos, range(plan.grid.segment_count))

    async def _segments(
        self, task: str, plan: EncodePlan, infos: Sequence[RenditionInfo], msns: range
    ) -> AsyncGenerator[PackedSegment, None]:
        for msn in msns:
            for info in infos:
                self._fuse.burn()
                if error := self._fails(task):
                    raise error
                yield PackedSegment(
                    rendition=info,
                    msn=msn,
                    start_s=float(plan.grid.segment_start_s(msn)),
                    duration_s=float(plan.grid.segment_duration_s(msn)),
                    data=f"{info.rendition_id} {msn}".encode(),
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mortal:
    """One process: its fuse, and how it answers deliveries."""

    fuse: Fuse
    jobs: Jobs
    driver: Driver
    worker: Worker

    async def handle(self, delivery: Delivery) -> None:
        """Answer a delivery, unless death comes first."""
        mortal: Any = Fused(delivery, self.fuse)
        handle = self.driver.attend if delivery.task.lane is Lane.DRIVE else self.worker.work
        try:
            await self._answer(handle, mortal)
        except Died:
            assert self.fuse.is_blown

    async def _answer(self, handle: Handler, delivery: Any) -> None:
        try:
            await handle(delivery)
        except Exception:  # noqa: BLE001 - as the pool does
            log.exception("task failed unexpectedly")
            await delivery.retry(1.0)


def build_mortal(
    stores: Stores,
    channel: Any,
    fuse: Fuse,
    *,
    encoder: Any = None,
    intake: Intake | None = None,
    timeline: Any = None,
) -> Mortal:
    """Build a process over real stores, every one behind the fuse."""
    behind: dict[str, Any] = {name: Fused(getattr(stores, name), fuse) for name in STORES}
    fused = replace(stores, **behind)
    timeline = Fused(timeline or TimelineClient(channel, owner="mortal"), fuse)
    driver = Driver(
        service_drive.Ports(
            jobs=fused.jobs,
            outputs=fused.outputs,
            claims=fused.claims,
            residue=fused.residue,
            queue=fused.queue,
            media=fused.media,
            folders=fused.folders,
            timeline=timeline,
            clock=_now,
        ),
        beat_s=RULES.heartbeat_s,
        lost_after_s=LOST_AFTER_S,
    )
    encoding = Encoding(
        service_encode.Ports(
            outputs=fused.outputs,
            media=fused.media,
            queue=fused.queue,
            files=stores.files,
            encoder=encoder or QuickEncoder(fuse),
        ),
        driver.announce,
    )
    attempt_ports = service_attempt.Ports(
        jobs=fused.jobs, outputs=fused.outputs, claims=fused.claims, media=fused.media, clock=_now
    )
    job_ports = service_jobs.Ports(
        recordings=fused.recordings,
        jobs=fused.jobs,
        outputs=fused.outputs,
        claims=fused.claims,
        residue=fused.residue,
        probes=fused.probes,
        queue=fused.queue,
        clock=_now,
    )
    unused: Any = intake
    return Mortal(
        fuse=fuse,
        jobs=Jobs(job_ports, unused, driver, progress_interval_s=0.2),
        driver=driver,
        worker=Worker(attempt_ports, fused.residue, encoding, driver, RULES),
    )


def _rendition(rendition_id: str, kind: MediaKind, plan: EncodePlan) -> RenditionInfo:
    has_picture = kind is not MediaKind.AUDIO
    return RenditionInfo(
        rendition_id=rendition_id,
        name=rendition_id,
        media_kind=kind,
        codecs="avc1.64001f" if has_picture else "mp4a.40.2",
        width_pixels=320 if has_picture else 0,
        height_pixels=180 if has_picture else 0,
        frame_rate=plan.grid.frame_rate if has_picture else None,
        target_bps=500_000,
        peak_bps=750_000,
        init=f"init of {rendition_id}".encode() if plan.container is Container.CMAF else None,
    )


def _now() -> datetime:
    return datetime.now(UTC)
