"""The streams' ladders, asked of the distributor and held: no decision waits for it twice."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import grpc
from weir.distributor.v1 import distributor_pb2 as pb
from weir.distributor.v1 import distributor_pb2_grpc as pb_grpc

from abr.domain.stream import Stream, plan_buffer_target
from abr.domain.view import Rung
from chassis.errors import NotFound, Unavailable, WeirError
from chassis.grpc_client import call_metadata, peer_errors
from chassis.telemetry import STREAM, log

CALL_DEADLINE_S = 3.0
ABSENT_S = 1.0
"""How long it is believed that a stream is not there, or that the distributor is away."""
CALLS_AT_ONCE = 32
_MEDIA = {"video", "muxed"}
_OVER = {"stopped", "ended"}
_MOST_RUNGS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the distributor said of a stream."""

    stream: Stream | None
    failure: WeirError | None
    asked_s: float

    def require(self) -> Stream:
        """The stream, or why there is none."""
        if self.stream is None:
            raise self.failure or AssertionError("an answer is a stream or a failure")
        return self.stream


class DistributorStreams:
    """Implements the port Streams.

    Args:
        channel: To the distributor.
        limit_count: Streams held at most.
        refresh_s: How old an answer in use may get before it is asked for again, behind those who use it.
        vod_buffer_target_s: What players of VOD aim at holding.
        clock: Seconds that only grow.
        learned: Is told of each stream that is new, or another than it was.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        limit_count: int,
        refresh_s: float,
        vod_buffer_target_s: float,
        clock: Callable[[], float],
        learned: Callable[[Stream], None],
    ) -> None:
        self._stub = pb_grpc.StreamServiceStub(channel)
        self._limit_count = limit_count
        self._refresh_s = refresh_s
        self._vod_buffer_target_s = vod_buffer_target_s
        self._clock = clock
        self._learned = learned
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._asking: dict[str, asyncio.Task[Answer]] = {}
        self._at_once = asyncio.Semaphore(CALLS_AT_ONCE)

    def __len__(self) -> int:
        """Streams that are held."""
        return len(self._answers)

    def known(self, stream_id: str) -> Stream | None:
        """Answer what is at hand; see the port."""
        answer = self._answers.get(stream_id)
        if answer is None or answer.stream is None:
            return None
        self._answers.move_to_end(stream_id)
        if self._clock() - answer.asked_s > self._refresh_s:
            self._ask(stream_id)
        return answer.stream

    async def get(self, stream_id: str) -> Stream:
        """Get a stream; see the port."""
        if stream := self.known(stream_id):
            return stream
        answer = self._answers.get(stream_id)
        if answer is None or self._clock() - answer.asked_s > ABSENT_S:
            answer = await asyncio.shield(self._ask(stream_id))
        return answer.require()

    def _ask(self, stream_id: str) -> asyncio.Task[Answer]:
        """Ask the distributor, once at a time per stream."""
        if stream_id not in self._asking:
            task = asyncio.create_task(self._answer(stream_id), name="ask for a stream")
            self._asking[stream_id] = task
            task.add_done_callback(lambda _task: self._asking.pop(stream_id))
        return self._asking[stream_id]

    async def _answer(self, stream_id: str) -> Answer:
        held = self._answers.get(stream_id)
        stream: Stream | None = None
        failure: WeirError | None = None
        try:
            stream = await self._get(stream_id)
        except NotFound as error:
            failure = error
        except WeirError as error:
            stream = held.stream if held else None
            failure = Unavailable(
                f"the distributor does not answer: {error.message}", reason="DISTRIBUTOR_AWAY"
            )
            log.warning("ladder not refreshed", error=error.message, **{STREAM: stream_id})
        if stream and held and stream == held.stream:
            stream = held.stream  # viewers tell by identity that nothing changed
        elif stream:
            self._learned(stream)
        answer = Answer(stream=stream, failure=failure, asked_s=self._clock())
        self._hold(stream_id, answer)
        return answer

    async def _get(self, stream_id: str) -> Stream:
        request = pb.GetStreamRequest(stream_id=stream_id)
        async with self._at_once, peer_errors():
            message = await self._stub.GetStream(request, timeout=CALL_DEADLINE_S, metadata=call_metadata())
        return read_stream(message, vod_buffer_target_s=self._vod_buffer_target_s)

    def _hold(self, stream_id: str, answer: Answer) -> None:
        self._answers[stream_id] = answer
        self._answers.move_to_end(stream_id)
        while len(self._answers) > self._limit_count:
            self._answers.popitem(last=False)


def read_stream(message: pb.Stream, *, vod_buffer_target_s: float) -> Stream:
    """Read a stream; of one without pictures the audio is the ladder. NotFound: there is nothing to play."""
    variants = [variant for variant in message.variants if variant.media in _MEDIA]
    variants = variants or [variant for variant in message.variants if variant.media == "audio"]
    ladder = sorted(map(_rung, variants), key=lambda rung: (rung.rate_bps, rung.rendition_id))
    if not ladder:
        raise NotFound(f"stream {message.stream_id!r} has no rendition yet", reason="NO_RENDITION")
    is_live = message.type != "vod" and message.status not in _OVER
    segment_s = float(max(message.target_duration, 1))
    part_s = min(max(message.part_target_s, 0.0), segment_s) if is_live else 0.0
    return Stream(
        stream_id=message.stream_id,
        ladder=tuple(ladder[:_MOST_RUNGS]),
        segment_s=segment_s,
        buffer_target_s=plan_buffer_target(
            segment_s,
            is_live=is_live,
            part_s=part_s,
            vod_buffer_target_s=vod_buffer_target_s,
        ),
        is_live=is_live,
        duration_s=0.0 if is_live else message.duration_s,
        part_s=part_s,
    )


def _rung(variant: pb.Variant) -> Rung:
    return Rung(
        rendition_id=variant.variant_id,
        name=variant.name,
        rate_bps=max(variant.peak_bps, variant.average_bps, 1),
        width_pixels=variant.width_pixels,
        height_pixels=variant.height_pixels,
        frame_rate=variant.frame_rate,
    )
