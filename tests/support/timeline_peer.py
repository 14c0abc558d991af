"""A distributor with a script: a real gRPC server whose TimelineService.Watch tells what the test says.

It keeps a ledger per incarnation, as the real one does: watchers get the description, what stands there
behind their place, a mark, and then whatever is appended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from weir.timeline.v1 import timeline_pb2 as pb
from weir.timeline.v1 import timeline_pb2_grpc

from chassis.errors import NotFound
from chassis.grpc_server import serve


@dataclass
class Ledger:
    """One incarnation of a stream."""

    stream: pb.Stream
    records: list[pb.SequencedRecord] = field(default_factory=list)


class TimelinePeer(timeline_pb2_grpc.TimelineServiceServicer):
    """Answers Watch from ledgers that the test fills."""

    def __init__(self) -> None:
        self.port = 0
        self.watches: list[pb.WatchRequest] = []
        self.watcher_count = 0
        self.silent = False
        """Take calls, but tell nothing."""
        self._current: dict[str, str] = {}
        self._ledgers: dict[tuple[str, str], Ledger] = {}
        self._sequence = 0
        self._changed = asyncio.Event()

    # What a test does.

    def create(self, stream: pb.Stream) -> None:
        """Begin a new incarnation; it is the current one from now on."""
        self._ledgers[stream.stream_id, stream.incarnation] = Ledger(stream)
        self._current[stream.stream_id] = stream.incarnation
        self._notify()

    def append(self, stream_id: str, *entries: pb.Entry) -> pb.SequencedRecord:
        """Append one record to the current incarnation."""
        self._sequence += 1
        record = pb.SequencedRecord(sequence=self._sequence, record=pb.Record(epoch=1, entries=entries))
        self._ledgers[stream_id, self._current[stream_id]].records.append(record)
        self._notify()
        return record

    def delete(self, stream_id: str) -> None:
        """Forget a stream; its watchers end with NOT_FOUND."""
        del self._current[stream_id]
        for key in [key for key in self._ledgers if key[0] == stream_id]:
            del self._ledgers[key]
        self._notify()

    def ledger(self, stream_id: str) -> Ledger:
        """Give a stream's current ledger."""
        return self._ledgers[stream_id, self._current[stream_id]]

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    # What the gateway calls.

    async def Watch(
        self, request: pb.WatchRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.WatchResponse]:
        self.watches.append(request)
        self.watcher_count += 1
        try:
            async for response in self._tell(request):
                yield response
        finally:
            self.watcher_count -= 1

    async def _tell(self, request: pb.WatchRequest) -> AsyncIterator[pb.WatchResponse]:
        after = request.after_sequence
        while self.silent:
            await self._changed.wait()
        while True:
            ledger = self._find(request)
            yield pb.WatchResponse(stream=ledger.stream)
            for record in [one for one in ledger.records if one.sequence > after]:
                after = record.sequence
                yield pb.WatchResponse(record=record)
            yield pb.WatchResponse(caught_up=pb.CaughtUp())
            while self._find(request) is ledger:
                changed = self._changed
                for record in [one for one in ledger.records if one.sequence > after]:
                    after = record.sequence
                    yield pb.WatchResponse(record=record)
                await changed.wait()
            after = 0

    def _find(self, request: pb.WatchRequest) -> Ledger:
        incarnation = request.incarnation or self._current.get(request.stream_id, "")
        ledger = self._ledgers.get((request.stream_id, incarnation))
        if ledger is None:
            raise NotFound(f"there is no stream {request.stream_id!r}", reason="NO_STREAM")
        return ledger


@asynccontextmanager
async def running_peer(
    peer: TimelinePeer | None = None, *, address: str = "127.0.0.1:0"
) -> AsyncIterator[TimelinePeer]:
    """Run a peer on a free port, or again on the one that it had."""
    peer = peer or TimelinePeer()  # type: ignore[abstract]

    def register(server: grpc.aio.Server) -> None:
        timeline_pb2_grpc.add_TimelineServiceServicer_to_server(peer, server)

    async with serve(address, register, services=(), grace_s=0) as (_, port):
        peer.port = port
        yield peer
