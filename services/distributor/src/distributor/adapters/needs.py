"""Whether what the distributor needs is there: NATS, without which nothing can be kept, and its peers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

import grpc
import nats.errors
from grpc_health.v1 import health_pb2, health_pb2_grpc
from nats.aio.client import Client

from chassis import layout
from chassis.errors import NotFound, Unavailable, WeirError
from chassis.grpc_client import peer_errors
from chassis.messaging import jetstream
from chassis.storage import ObjectStore

_DEADLINE_S = 2.0
_STREAMS = (layout.TIMELINE_STREAM, layout.VIEWS_STREAM, f"KV_{layout.STREAMS_BUCKET}")
OK = "ok"


class PeerNeeds:
    """Asks JetStream itself, storage and abr; implements the port Needs."""

    def __init__(self, client: Client, objects: ObjectStore, abr: grpc.aio.Channel) -> None:
        self._js = jetstream(client)
        self._objects = objects
        self._abr: Any = health_pb2_grpc.HealthStub(abr)

    async def check(self) -> Mapping[str, str]:
        """Tell of each need by name whether it is "ok", or what is wrong; Unavailable without NATS."""
        _, storage, abr = await asyncio.gather(
            self._check_nats(), _found(self._check_storage()), _found(self._check_abr())
        )
        return {"nats": OK, "storage": storage, "abr": abr}

    async def _check_nats(self) -> None:
        try:
            async with asyncio.timeout(_DEADLINE_S):
                for stream in _STREAMS:
                    await self._js.stream_info(stream)
        except (TimeoutError, nats.errors.Error) as error:
            raise Unavailable(
                f"nats: JetStream does not answer ({error!r})", reason="NATS_AWAY", retry_delay_s=1.0
            ) from error

    async def _check_storage(self) -> None:
        try:
            await self._objects.size("health")  # no object has this name; that it is not there is an answer
        except NotFound:
            return

    async def _check_abr(self) -> None:
        async with peer_errors():
            answer = await self._abr.Check(health_pb2.HealthCheckRequest(), timeout=_DEADLINE_S)
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise Unavailable("it does not serve")


async def _found(check: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(_DEADLINE_S):
            await check
    except WeirError as error:
        return error.message
    except TimeoutError:
        return f"it did not answer within {_DEADLINE_S:g} s"
    return OK
