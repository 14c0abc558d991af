"""Values of the transcoder's domain, as tests want them: an 8 s source in three segments and two chunks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from transcoder.domain.announce import Piece, StoredSegment, Track, video_renditions
from transcoder.domain.job import Job, begin_job, plan_job
from transcoder.domain.packager import MediaKind, RenditionInfo
from transcoder.domain.plan import Container, EncodePlan, plan_encode
from transcoder.domain.progress import Claim
from transcoder.domain.recording import Recording, StoredSource, empty_recording
from transcoder.domain.source import AudioTrack, Source, VideoTrack

BIRTH = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def a_source(*, seconds: float = 8.0, video: bool = True, audio: bool = True, height: int = 180) -> Source:
    """A source at 30 frames per second with a keyframe each second."""
    return Source(
        demuxer="mov",
        container="QuickTime / MOV",
        size_bytes=1000,
        duration_s=seconds,
        video=_video(seconds, height) if video else None,
        audio=_audio(seconds) if audio else None,
    )


def a_plan(container: Container = Container.CMAF, **source: Any) -> EncodePlan:
    return plan_encode(a_source(**source), container=container)


def a_job(plan: EncodePlan | None = None, *, running: bool = True, **changes: Any) -> Job:
    """A job of a plan; running: as the owner of incarnation "cafe0001"."""
    job = plan_job(
        plan or a_plan(),
        job_id="job1",
        recording_id="film",
        request_id="",
        title="",
        source_key="recordings/film/up/source",
        replaced=None,
        now=BIRTH,
    )
    if running:
        job = begin_job(job, incarnation="cafe0001", epoch=1, now=BIRTH)
    return replace(job, **changes)


def a_claim(task: str = "0", **changes: Any) -> Claim:
    return replace(Claim(task=task, frame_count=60, heartbeat_time=BIRTH), **changes)


def a_recording(**changes: Any) -> Recording:
    return replace(empty_recording("film", BIRTH), **changes)


def a_stored_source() -> StoredSource:
    return StoredSource(
        key="recordings/film/up/source",
        size_bytes=1000,
        sha256="0" * 64,
        owned=True,
        media=a_source(),
        probe_key="recordings/film/up/probe.json",
    )


def a_piece(job: Job, track: Track, first_segment: int, segment_count: int) -> Piece:
    """A piece of a job's output as a worker stores it."""
    names = video_renditions(job) if track is Track.VIDEO else ("audio",)
    grid = a_plan(seconds=job.duration_s).grid
    msns = range(first_segment, first_segment + segment_count)
    return Piece(
        track=track,
        first_segment=first_segment,
        segment_count=segment_count,
        renditions=tuple(
            RenditionInfo(rendition_id=name, name=name, media_kind=MediaKind.VIDEO, codecs="avc1.64001f")
            for name in names
        ),
        segments=tuple(
            StoredSegment(
                rendition_id=name,
                msn=msn,
                start_s=float(grid.segment_start_s(msn)),
                duration_s=float(grid.segment_duration_s(msn)),
                object_key=f"streams/film/cafe0001/{name}/{msn:08d}-a.m4s",
                size_bytes=10,
                init_key=f"streams/film/cafe0001/{name}/init-0.mp4",
                init_size_bytes=5,
            )
            for name in names
            for msn in msns
        ),
    )


def _video(seconds: float, height: int) -> VideoTrack:
    width = height * 16 // 9
    return VideoTrack(
        stream_index=0,
        codec="h264",
        width_pixels=width,
        height_pixels=height,
        coded_width_pixels=width,
        coded_height_pixels=height,
        sample_aspect_ratio=Fraction(1),
        rotation_degrees=0,
        frame_rate=Fraction(30),
        busy_frame_rate=Fraction(30),
        constant_frame_rate=True,
        frame_count=round(seconds * 30),
        start_s=0.0,
        duration_s=seconds,
        keyframe_times_s=tuple(float(second) for second in range(round(seconds))),
    )


def _audio(seconds: float) -> AudioTrack:
    return AudioTrack(
        stream_index=1,
        codec="aac",
        sample_rate_hz=48_000,
        channel_count=2,
        start_s=0.0,
        duration_s=seconds,
    )
