"""Distributors that deliver what is announced to real edges: a gateway that takes pushes, and a CDN."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weir.distributor.v1 import distributor_pb2 as api

from chassis.grpc_client import peer_errors
from chassis.storage import open_store
from support.distributor import Distributor, Writer, open_writer, rendition, running_distributor, segment
from support.edges import Cdn, GatewayEdge, running_cdn, running_gateway_edge

DATA = b"segments" * 62_500  # as large as the announced ones


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryScene:
    """The film `film`, its edges, and the distributors that know of both."""

    replicas: Sequence[Distributor]
    running: AsyncExitStack
    """Holds the distributors; closed, it stops them."""
    gateway: GatewayEdge
    cdn: Cdn
    writer: Writer
    storage: Any

    async def announce(self, msn: int, data: bytes = DATA) -> str:
        """Store a segment and append it; answers its key."""
        entry = segment(msn, size_bytes=len(data))
        await self.storage.put(entry.segment.object_key, data)
        await self.writer.append(entry)
        return str(entry.segment.object_key)

    async def call(self, name: str, request: Any, *, replica: int = 0) -> Any:
        """Call DistributionService."""
        async with peer_errors():
            return await getattr(self.replicas[replica].distribution, name)(request)

    async def deliver(self, segment_id: str, **fields: Any) -> Any:
        """Order a delivery and wait for it."""
        request = api.DeliverSegmentRequest(stream_id="film", segment_id=segment_id, **fields)
        return await self.call("DeliverSegment", request)

    async def start(self) -> None:
        """Open the film to viewers; what is announced is pushed soon after."""
        await self.call("StartDistribution", api.StartDistributionRequest(recording_id="film"))

    async def report(self, *samples: api.DeliverySample) -> None:
        """Report as the gateway does, so that it is known."""
        message = api.ReportDeliveriesRequest(
            gateway="g1",
            report_number=time.monotonic_ns(),
            grpc_address=self.gateway.address,
            samples=samples,
        )
        await self.call("ReportDeliveries", iter([message]))

    async def waiting_count(self) -> int:
        """Deliveries that wait for a worker."""
        return int((await self.call("GetMetrics", api.GetMetricsRequest())).queue_depth)

    async def reaches_the_gateway(self, keys: list[str], data: bytes = DATA) -> bool:
        """Announce one more; whether somebody follows the stream by now."""
        keys.append(await self.announce(len(keys), data))
        return self.gateway.asked.is_set()


@asynccontextmanager
async def delivery_scene(
    nats_url: str, folder: Path, *, count: int = 2, **settings: Any
) -> AsyncIterator[DeliveryScene]:
    """Run so many distributors, a gateway and a CDN for as long as the block lasts."""
    url = f"file://{folder}/objects"
    async with running_gateway_edge() as gateway, running_cdn() as cdn, AsyncExitStack() as running:
        cdns = ({"name": "cdn", "kind": "put", "address": cdn.url, "secret": "s"},)
        options = {"storage_url": url, "cdns": cdns, "session_timeout_s": 30.0, **settings}
        replicas = [
            await running.enter_async_context(running_distributor(nats_url, **options)) for _ in range(count)
        ]
        writer = await open_writer(replicas[0].timeline)
        await writer.append(rendition())
        scene = DeliveryScene(
            replicas=replicas,
            running=running,
            gateway=gateway,
            cdn=cdn,
            writer=writer,
            storage=open_store(url),
        )
        await scene.report()
        yield scene


async def until(holds: Callable[[], Awaitable[Any] | Any], *, within_s: float = 20.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + within_s
    while True:
        found = holds()
        if await found if asyncio.iscoroutine(found) else found:
            return
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
