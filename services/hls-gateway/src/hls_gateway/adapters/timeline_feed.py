"""The ledger by way of TimelineService.Watch, over every break of the connection, from any replica.

The channel spreads calls over all replicas that its name resolves to, so that watching again after a break
means watching another one if the first is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import grpc
from weir.timeline.v1 import timeline_pb2 as pb
from weir.timeline.v1 import timeline_pb2_grpc

from chassis.errors import InvalidArgument, NotFound, WeirError
from chassis.grpc_client import peer_errors
from chassis.telemetry import STREAM, log
from hls_gateway.convert import to_record, to_stream
from hls_gateway.domain.stream import Record, Stream
from hls_gateway.ports import BrokeOff, CaughtUp, TimelineEvent

_FIRST_RETRY_S, _LAST_RETRY_S = 0.05, 1.0


@dataclass(slots=True)
class _Place:
    """How far a stream was followed."""

    incarnation: str = ""
    sequence: int = 0


class TimelineFeed:
    """Follows streams at the distributor."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = timeline_pb2_grpc.TimelineServiceStub(channel)

    async def follow(self, stream_id: str, incarnation: str) -> AsyncGenerator[TimelineEvent]:
        """Follow a stream; see the port."""
        place, retry_s = _Place(), _FIRST_RETRY_S
        while True:
            try:
                async with aclosing(self._watch(stream_id, incarnation, place)) as events:
                    async for event in events:
                        retry_s = _FIRST_RETRY_S
                        yield event
            except (NotFound, InvalidArgument):
                raise
            except WeirError as error:
                if retry_s == _FIRST_RETRY_S:  # once for each time the distributor goes away
                    log.info("watch broke off", error=error.message, **{STREAM: stream_id})
            yield BrokeOff()
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, _LAST_RETRY_S)

    async def _watch(self, stream_id: str, incarnation: str, place: _Place) -> AsyncGenerator[TimelineEvent]:
        """Watch from `place` until the connection breaks; moves `place` along."""
        request = pb.WatchRequest(stream_id=stream_id, incarnation=incarnation, after_sequence=place.sequence)
        async with peer_errors():
            call = self._stub.Watch(request)
            try:
                async for response in call:
                    event = _to_event(response)
                    if isinstance(event, Stream) and event.incarnation != place.incarnation:
                        place.incarnation, place.sequence = event.incarnation, 0
                        if request.after_sequence:
                            return  # the place lies in a stream that was replaced meanwhile: begin again
                    elif isinstance(event, Record):
                        place.sequence = event.sequence
                    if event:
                        yield event
            finally:
                call.cancel()


def _to_event(response: pb.WatchResponse) -> TimelineEvent | None:
    match response.WhichOneof("event"):
        case "stream":
            return to_stream(response.stream)
        case "record":
            return to_record(response.record)
        case "caught_up":
            return CaughtUp()
    return None  # of a newer distributor
