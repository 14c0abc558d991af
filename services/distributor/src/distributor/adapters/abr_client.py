"""The abr service, which decides what viewers should play."""

from __future__ import annotations

import grpc
from weir.abr.v1 import abr_pb2 as pb
from weir.abr.v1 import abr_pb2_grpc as pb_grpc

from chassis.errors import DeadlineExceeded, Unavailable
from chassis.grpc_client import call_metadata, peer_errors
from distributor.ports import AbrDecision

CALL_DEADLINE_S = 2.0


class AbrClient:
    """Implements the port Abr."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._abr = pb_grpc.AbrServiceStub(channel)

    async def decide(
        self, stream_id: str, session_id: str, *, buffer_health: float, current: str, policy: str
    ) -> AbrDecision:
        """Choose a rendition; `current` is the name of the one that plays, empty if none does."""
        request = pb.SelectQualityRequest(
            recording_id=stream_id,
            viewer_id=session_id,
            buffer_health=buffer_health,
            current_quality=current,
            policy=policy,
        )
        try:
            async with peer_errors():
                answer = await self._abr.SelectQuality(
                    request, timeout=CALL_DEADLINE_S, metadata=call_metadata()
                )
        except (DeadlineExceeded, Unavailable) as error:
            raise Unavailable(
                f"abr does not answer ({error.message}): play on as before, and ask again",
                reason="ABR_AWAY",
                retry_delay_s=1.0,
            ) from error
        return AbrDecision(rendition=answer.bitrate_label, reason=answer.reason, message=answer.message)
