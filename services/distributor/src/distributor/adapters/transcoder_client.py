"""The transcoders, any of which pulls a stream's source, or ends what a dead owner left, when asked to."""

from __future__ import annotations

import grpc
from weir.transcoder.v1 import transcoder_pb2 as pb
from weir.transcoder.v1 import transcoder_pb2_grpc as pb_grpc

from chassis.grpc_client import call_metadata, peer_errors
from distributor.convert import write_description
from distributor.domain.stream import Stream

CALL_DEADLINE_S = 25.0  # the transcoder itself retries through an election of NATS, up to 20 s
CLOSE_DEADLINE_S = 5.0  # reading and storing one segment per rendition; somebody waits for the stop


class TranscoderClient:
    """Implements the ports Puller and Closer."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._ingest = pb_grpc.IngestServiceStub(channel)

    async def pull(self, stream: Stream) -> None:
        """Let some transcoder pull a stream; asking again for one start changes nothing."""
        request = pb.PullRequest(
            stream_id=stream.stream_id, incarnation=stream.incarnation, request_id=stream.start_mark
        )
        async with peer_errors():
            await self._ingest.Pull(request, timeout=CALL_DEADLINE_S, metadata=call_metadata())

    async def close(self, stream: Stream, *, epoch: int, sequence: int) -> None:
        """Let some transcoder close what is open of a stream, and end it, under an epoch opened for that."""
        request = pb.CloseRequest(stream=write_description(stream), epoch=epoch, sequence=sequence)
        async with peer_errors():
            await self._ingest.Close(request, timeout=CLOSE_DEADLINE_S, metadata=call_metadata())
