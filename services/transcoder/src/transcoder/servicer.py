"""The gRPC edge: contracts in, contracts out, no rules."""
# ruff: noqa: ARG002 - the signatures are gRPC's

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from weir.transcoder.v1 import transcoder_pb2 as pb
from weir.transcoder.v1 import transcoder_pb2_grpc as pb_grpc

from chassis.errors import InvalidArgument
from transcoder import convert, convert_live, convert_ready
from transcoder.domain.ladder import Rung
from transcoder.domain.wholeness import join_promises, undeclared
from transcoder.ingest.http_push import HEAD_S, HttpPush
from transcoder.live.standby import Standby
from transcoder.ports import Clock, JobQueue
from transcoder.ready.ingest import ReadyIngest
from transcoder.service_delete import Deletion
from transcoder.service_intake import Intake
from transcoder.service_jobs import Jobs
from transcoder.service_receive import Limits, next_within
from transcoder.service_recordings import Recordings

# Envoy sets both on a request that it made out of REST, and takes them from the outside.
LENGTH_HEADER = "x-declared-length"
REST_HEADER = "x-envoy-original-method"


class RecordingServicer(pb_grpc.RecordingServiceServicer):
    """See weir.transcoder.v1.RecordingService."""

    def __init__(
        self, recordings: Recordings, intake: Intake, deletion: Deletion, *, silence_s: float
    ) -> None:
        self._recordings = recordings
        self._intake = intake
        self._deletion = deletion
        self._silence_s = silence_s

    async def CreateRecording(self, request: pb.CreateRecordingRequest, context: Any) -> pb.Recording:
        return convert.write_recording(await self._recordings.create(convert.read_recording_wish(request)))

    async def UploadSource(
        self, request_iterator: AsyncIterator[pb.UploadSourceRequest], context: Any
    ) -> pb.Recording:
        messages = aiter(request_iterator)
        first = await next_within(self._silence_s, messages, "the call began")
        if first is None:
            raise InvalidArgument("the upload holds no message: the first must name recording_id")
        recording_id = convert.read_recording_id(first)
        headers = dict(context.invocation_metadata() or ())
        promise = join_promises(
            convert.read_length_header(str(headers.get(LENGTH_HEADER, ""))),
            convert.read_declared_size(first),
            convert.read_sha256(first.sha256),
        )
        if (
            promise.is_empty and REST_HEADER in headers
        ):  # REST has no `last`, so this could never become whole
            raise undeclared()
        recording = await self._intake.upload(recording_id, promise, convert.read_upload(first, messages))
        return convert.write_recording(recording)

    async def ListRecordings(
        self, request: pb.ListRecordingsRequest, context: Any
    ) -> pb.ListRecordingsResponse:
        page, next_page_token = await self._recordings.list(*convert.read_page(request))
        return pb.ListRecordingsResponse(
            recordings=map(convert.write_recording, page), next_page_token=next_page_token
        )

    async def GetRecording(self, request: pb.GetRecordingRequest, context: Any) -> pb.Recording:
        return convert.write_recording(await self._recordings.get(convert.read_recording_id(request)))

    async def DeleteRecording(
        self, request: pb.DeleteRecordingRequest, context: Any
    ) -> pb.DeleteRecordingResponse:
        recording_id = convert.read_recording_id(request)
        await self._deletion.delete(recording_id)
        return pb.DeleteRecordingResponse(recording_id=recording_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscodeServicer(pb_grpc.TranscodeServiceServicer):
    """See weir.transcoder.v1.TranscodeService."""

    jobs: Jobs
    ladder: tuple[Rung, ...]
    clock: Clock

    async def StartTranscode(
        self, request: pb.StartTranscodeRequest, context: Any
    ) -> pb.StartTranscodeResponse:
        wish = convert.read_transcode_wish(request, self.ladder)
        return convert.write_job(await self.jobs.start(wish))

    async def GetProgress(self, request: pb.GetProgressRequest, context: Any) -> pb.TranscodeProgress:
        return convert.write_report(await self.jobs.report(convert.read_recording_id(request)))

    async def WatchProgress(
        self, request: pb.WatchProgressRequest, context: Any
    ) -> AsyncIterator[pb.TranscodeProgress]:
        async with aclosing(self.jobs.watch(convert.read_recording_id(request))) as reports:
            async for report in reports:
                yield convert.write_report(report)

    async def CancelTranscode(
        self, request: pb.CancelTranscodeRequest, context: Any
    ) -> pb.CancelTranscodeResponse:
        recording_id = convert.read_recording_id(request)
        cancelled = await self.jobs.cancel(recording_id, convert.read_job_id(request))
        return convert.write_cancelled(recording_id, cancelled, self.clock())


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestServicer(pb_grpc.IngestServiceServicer):
    """See weir.transcoder.v1.IngestService."""

    pushes: HttpPush
    ready: ReadyIngest
    ready_limits: Limits
    queue: JobQueue
    standby: Standby
    clock: Clock

    async def Ingest(
        self, request_iterator: AsyncIterator[pb.IngestRequest], context: Any
    ) -> pb.IngestResponse:
        messages = aiter(request_iterator)
        first = await next_within(HEAD_S, messages, "the call began")
        if first is None:
            raise InvalidArgument("the push holds no message: the first must name stream_id")
        headers = dict(context.invocation_metadata() or ())
        if convert_ready.is_ready_segment(first):
            return await self._take_segment(first, messages, headers)
        claim = convert_live.read_claim(first, headers, context.peer())
        pushed = await self.pushes.push(claim, convert_live.read_push(first, messages))
        return convert_live.write_pushed(pushed, self.clock())

    async def _take_segment(
        self, first: pb.IngestRequest, rest: AsyncIterator[pb.IngestRequest], headers: dict[str, Any]
    ) -> pb.IngestResponse:
        claim = convert_ready.read_ready_claim(first, headers)
        promise = convert_ready.read_promise(
            str(headers.get(LENGTH_HEADER, "")), is_rest=REST_HEADER in headers
        )
        taken = await self.ready.take(
            claim, lambda: convert_ready.read_offer(first, rest, promise, self.ready_limits)
        )
        return convert_ready.write_taken(taken, self.clock())

    async def Pull(self, request: pb.PullRequest, context: Any) -> pb.PullResponse:
        await self.queue.publish(convert_live.read_pull(request))
        return pb.PullResponse()

    async def Close(self, request: pb.CloseRequest, context: Any) -> pb.CloseResponse:
        settings = convert_live.read_close(request)
        await self.standby.end(settings, epoch=request.epoch, sequence=request.sequence)
        return pb.CloseResponse()
