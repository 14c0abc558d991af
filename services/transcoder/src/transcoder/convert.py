"""Contracts to values of ours and back, and the validation of requests."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp
from weir.media.v1 import media_pb2
from weir.transcoder.v1 import transcoder_pb2 as pb

from chassis.errors import InvalidArgument, Unimplemented
from chassis.layout import require_id
from transcoder.domain.job import Job, JobState
from transcoder.domain.ladder import Rung, choose_rungs
from transcoder.domain.plan import RESERVED_RENDITION_IDS, Container
from transcoder.domain.progress import Progress
from transcoder.domain.recording import Recording, RecordingState
from transcoder.domain.source_url import parse_source_url
from transcoder.service_jobs import Report, TranscodeWish
from transcoder.service_receive import UploadPiece
from transcoder.service_recordings import RecordingWish

MAX_TITLE_CHARACTERS = 200
MAX_REQUEST_ID_CHARACTERS = 128
MAX_PAGE_SIZE = 1000
DEFAULT_PAGE_SIZE = 50
MAX_RUNGS = 10
MAX_PIECE_BYTES = 1024 * 1024
RUNG_SIDES = range(16, 7681)
RUNG_RATES_BPS = range(50_000, 100_000_001)

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TITLE = re.compile(rf"[^\x00-\x1f\x7f]{{0,{MAX_TITLE_CHARACTERS}}}")
_REQUEST_ID = re.compile(rf"[\x21-\x7e]{{0,{MAX_REQUEST_ID_CHARACTERS}}}")
_INPUT_KEY = re.compile(r"[A-Za-z0-9_=.-]+(/[A-Za-z0-9_=.-]+)*")
_DIGITS = re.compile(r"[0-9]{1,15}")


def read_recording_wish(request: pb.CreateRecordingRequest) -> RecordingWish:
    """Validate a CreateRecordingRequest."""
    if request.source_url:
        parse_source_url(request.source_url)
    return RecordingWish(
        recording_id=require_id(request.recording_id, field="recording_id") if request.recording_id else "",
        title=_matching(_TITLE, request.title, "title", "hold at most 200 characters, no control characters"),
        source_url=request.source_url,
        request_id=_request_id(request.request_id),
    )


class OfRecording(Protocol):
    """A request about one recording."""

    recording_id: str


def read_recording_id(request: OfRecording) -> str:
    """Validate the id that names what a request is about."""
    return require_id(request.recording_id, field="recording_id")


def read_page(request: pb.ListRecordingsRequest) -> tuple[int, str]:
    """Validate a page's size and token."""
    if not 0 <= request.page_size <= MAX_PAGE_SIZE:
        raise InvalidArgument(
            f"page_size is {request.page_size}: it must be 0 (for {DEFAULT_PAGE_SIZE}) to {MAX_PAGE_SIZE}",
            field="page_size",
        )
    return request.page_size or DEFAULT_PAGE_SIZE, request.page_token


def read_sha256(value: str) -> str:
    """Validate a hash that may be absent."""
    if value and not _SHA256.fullmatch(value):
        raise InvalidArgument(
            f"sha256 is {value[:80]!r}: it must be 64 hex digits, lower case", field="sha256"
        )
    return value


def read_declared_size(request: pb.UploadSourceRequest) -> int | None:
    """Validate a length that may be absent."""
    if not request.HasField("declared_size_bytes"):
        return None
    if request.declared_size_bytes < 0:
        raise InvalidArgument(
            f"declared_size_bytes is {request.declared_size_bytes}: it must be at least 0",
            field="declared_size_bytes",
        )
    return request.declared_size_bytes


def read_length_header(value: str = "") -> int | None:
    """Read x-declared-length, which Envoy sets from the content-length of a REST request."""
    if value in {"", "-"}:  # "-": what Envoy writes for a header that is not there
        return None
    if not _DIGITS.fullmatch(value):
        raise InvalidArgument(
            f"content-length is {value[:40]!r}: it must be a number", field="content-length"
        )
    return int(value)


async def read_upload(
    first: pb.UploadSourceRequest, rest: AsyncIterator[pb.UploadSourceRequest]
) -> AsyncIterator[UploadPiece]:
    """Read an upload's messages."""
    yield _upload_piece(first)
    async for request in rest:
        yield _upload_piece(request)


def read_transcode_wish(request: pb.StartTranscodeRequest, ladder: tuple[Rung, ...]) -> TranscodeWish:
    """Validate a StartTranscodeRequest.

    Args:
        request: The request.
        ladder: The rungs that `profiles` may name.
    """
    if request.HasField("encryption"):
        raise Unimplemented(
            "encryption is not built yet: leave it out", reason="ENCRYPTION", field="encryption"
        )
    if request.profiles and request.rungs:
        raise InvalidArgument("profiles and rungs are both given: give one of them", field="rungs")
    return TranscodeWish(
        recording_id=require_id(request.recording_id, field="recording_id"),
        input_key=_input_key(request.input_path),
        rungs=_rungs(request.rungs) if request.rungs else choose_rungs(request.profiles, ladder),
        container=_container(request.container),
        request_id=_request_id(request.request_id),
    )


def read_job_id(request: pb.CancelTranscodeRequest) -> str:
    """Validate a job's id that may be absent."""
    return require_id(request.job_id, field="job_id") if request.job_id else ""


def write_recording(recording: Recording) -> pb.Recording:
    """Write a recording as the API shows it."""
    written = pb.Recording(
        recording_id=recording.recording_id,
        title=recording.title,
        state=_RECORDING_STATES[recording.state],
        source_url=recording.source_url,
        error=recording.error,
        create_time=write_time(recording.create_time),
        update_time=write_time(recording.update_time),
    )
    if recording.transcoded:
        written.watch_url = f"/watch/{recording.recording_id}"
        written.playback_url = playback_url(recording.recording_id)
    _write_source(recording, written)
    return written


def write_job(job: Job) -> pb.StartTranscodeResponse:
    """Write an accepted job."""
    return pb.StartTranscodeResponse(
        recording_id=job.recording_id,
        job_ids=[job.job_id],
        profiles=job.rendition_names,
        message=f"queued; it can be watched at {playback_url(job.recording_id)} once the first chunk is done",
        timestamp=write_time(job.create_time),
        rungs=[_write_rung(rung) for rung in job.ladder],
        playback_url=playback_url(job.recording_id),
    )


def write_report(report: Report) -> pb.TranscodeProgress:
    """Write how far a recording's job is."""
    job, progress = report.job, report.progress
    written = pb.TranscodeProgress(
        recording_id=report.recording_id,
        is_complete=report.is_complete,
        queue_stats=pb.QueueStats(
            waiting_tasks_count=report.queue.waiting_count,
            running_tasks_count=report.queue.running_count,
            dead_tasks_count=report.dead_tasks_count,
        ),
        timestamp=write_time(report.time),
    )
    if job and progress:
        written.total_jobs = 1
        written.completed_jobs = int(job.state is JobState.SUCCEEDED)
        written.failed_jobs = int(job.state is JobState.FAILED)
        written.average_progress_percent = progress.percent
        written.jobs[job.job_id].CopyFrom(_write_progress(job, progress))
    return written


def write_cancelled(recording_id: str, job_ids: Sequence[str], now: datetime) -> pb.CancelTranscodeResponse:
    """Write what was cancelled."""
    message = "cancelled: its output is removed" if job_ids else "there was nothing to cancel"
    return pb.CancelTranscodeResponse(
        recording_id=recording_id, job_ids=job_ids, message=message, timestamp=write_time(now)
    )


def write_time(time: datetime) -> Timestamp:
    """Write an instant."""
    written = Timestamp()
    written.FromDatetime(time)
    return written


def playback_url(stream_id: str) -> str:
    """Path of a stream's multivariant playlist."""
    return f"/hls/{stream_id}/master.m3u8"


_RECORDING_STATES = {state: pb.Recording.State.Value(state.value) for state in RecordingState}
_JOB_STATES = {state: pb.JobProgress.State.Value(state.value) for state in JobState}


def _write_source(recording: Recording, written: pb.Recording) -> None:
    source = recording.source
    if source is None:
        return
    media = source.media
    written.container = media.demuxer
    written.duration_s = media.duration_s
    written.size_bytes = source.size_bytes
    written.sha256 = source.sha256
    if video := media.video:
        written.has_video = True
        written.width_pixels, written.height_pixels = video.width_pixels, video.height_pixels
        written.frame_rate = float(video.frame_rate)
        written.variable_frame_rate = not video.constant_frame_rate
        written.video_codec = video.codec
        written.rotation_degrees = video.rotation_degrees
        written.interlaced = video.interlaced
    if audio := media.audio:
        written.has_audio = True
        written.audio_codec = audio.codec
        written.channel_count, written.sample_rate_hz = audio.channel_count, audio.sample_rate_hz
    tracks = sorted(
        (track for track in (media.video, media.audio) if track), key=lambda track: track.stream_index
    )
    written.codecs.extend(track.codec for track in tracks)


def _write_progress(job: Job, progress: Progress) -> pb.JobProgress:
    written = pb.JobProgress(
        state=_JOB_STATES[job.state],
        percent=progress.percent,
        speed_ratio=progress.speed_ratio,
        eta_s=progress.eta_s,
        error=job.error if job.has_ended else "",
        chunks_done_count=progress.tally.chunks_done_count,
        chunks_total_count=job.chunk_count,
        frames_done_count=progress.tally.frames_done_count,
        frames_total_count=job.frame_count if job.ladder else 0,
        retries_count=progress.tally.retries_count,
        profiles=job.rendition_names,
        create_time=write_time(job.create_time),
    )
    if job.end_time:
        written.end_time.CopyFrom(write_time(job.end_time))
    return written


def _write_rung(rung: Rung) -> media_pb2.Rung:
    return media_pb2.Rung(
        name=rung.name,
        width_pixels=rung.width_pixels,
        height_pixels=rung.height_pixels,
        video_bps=rung.video_bps,
    )


def _upload_piece(request: pb.UploadSourceRequest) -> UploadPiece:
    data = request.body.data
    if len(data) > MAX_PIECE_BYTES:
        raise InvalidArgument(
            f"body.data has {len(data)} bytes: a message may hold at most {MAX_PIECE_BYTES}", field="body"
        )
    return UploadPiece(data=data, last=request.last)


def _request_id(value: str) -> str:
    return _matching(_REQUEST_ID, value, "request_id", "hold at most 128 printable ASCII characters")


def _matching(pattern: re.Pattern[str], value: str, field: str, rule: str) -> str:
    if not pattern.fullmatch(value):
        raise InvalidArgument(f"{field} is {value[:80]!r}: it must {rule}", field=field)
    return value


def _input_key(value: str) -> str:
    if value and (not _INPUT_KEY.fullmatch(value) or {".", ".."} & set(value.split("/"))):
        raise InvalidArgument(
            f"input_path is {value[:200]!r}: it must be a key in storage, made of letters, digits and _=.-/, "
            "relative and without '..'",
            reason="INVALID_INPUT_PATH",
            field="input_path",
        )
    return value


def _container(value: str) -> Container:
    try:
        return Container(value or Container.CMAF)
    except ValueError as error:
        raise InvalidArgument(
            f"container is {value[:80]!r}: it must be {' or '.join(repr(str(item)) for item in Container)}",
            field="container",
        ) from error


def _rungs(rungs: Sequence[media_pb2.Rung]) -> tuple[Rung, ...]:
    if len(rungs) > MAX_RUNGS:
        raise InvalidArgument(f"rungs has {len(rungs)} items: at most {MAX_RUNGS} are allowed", field="rungs")
    names = [rung.name for rung in rungs]
    if len(set(names)) != len(names):
        raise InvalidArgument(f"rungs has the names {names}: each must be unique", field="rungs")
    return tuple(_rung(rung, f"rungs[{index}]") for index, rung in enumerate(rungs))


def _rung(rung: media_pb2.Rung, at: str) -> Rung:
    require_id(rung.name, field=f"{at}.name")
    if rung.name in RESERVED_RENDITION_IDS:
        raise InvalidArgument(
            f"{at}.name is {rung.name!r}, the name of another rendition: choose another",
            reason="RESERVED_ID",
            field=f"{at}.name",
        )
    width, height = rung.width_pixels, rung.height_pixels
    if width or height:  # both 0: the source's own size
        _require_within(width, RUNG_SIDES, f"{at}.width_pixels")
        _require_within(height, RUNG_SIDES, f"{at}.height_pixels")
    _require_within(rung.video_bps, RUNG_RATES_BPS, f"{at}.video_bps")
    return Rung(name=rung.name, width_pixels=width, height_pixels=height, video_bps=rung.video_bps)


def _require_within(value: int, allowed: range, field: str) -> None:
    if value not in allowed:
        raise InvalidArgument(
            f"{field} is {value}: it must be {allowed.start} to {allowed.stop - 1}", field=field
        )
