"""Gateways as edges: objects are pushed into their memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import grpc
from weir.gateway.v1 import gateway_pb2 as pb
from weir.gateway.v1 import gateway_pb2_grpc as pb_grpc

from chassis.errors import NotFound, Unavailable
from chassis.grpc_client import open_channel, peer_errors
from distributor.adapters.freight import FreightStore, Load
from distributor.domain.delivery import Freight, Order

PIECE_BYTES = 512 * 1024
_CHANNELS_LIMIT = 1_000


class GatewayCarrier:
    """Pushes to gateways; see ports.Carry.

    Args:
        store: The bytes.
    """

    def __init__(self, store: FreightStore) -> None:
        self._store = store
        self._channels: OrderedDict[str, grpc.aio.Channel] = OrderedDict()

    async def carry(self, order: Order) -> int:
        """Push an object; one that the gateway holds already counts as brought."""
        load = await self._store.load(order.freight)
        stub = pb_grpc.GatewayServiceStub(await self._channel(order.edge.address))
        try:
            async with peer_errors():
                if len(load.data) <= PIECE_BYTES:
                    await stub.PushSmallSegment(small_push(order.freight, load))
                else:
                    await stub.PushSegment(push_requests(order.freight, load))
        except NotFound as error:  # it has not heard of the stream yet
            raise Unavailable(error.message, reason="EDGE_BEHIND") from error
        return len(load.data)

    async def close(self) -> None:
        """Close all connections."""
        for channel in self._channels.values():
            await channel.close()

    async def _channel(self, address: str) -> grpc.aio.Channel:
        if address not in self._channels:
            self._channels[address] = open_channel(address)
        self._channels.move_to_end(address)
        if len(self._channels) > _CHANNELS_LIMIT:
            _, oldest = self._channels.popitem(last=False)
            await oldest.close()
        return self._channels[address]


def small_push(freight: Freight, load: Load) -> pb.PushSmallSegmentRequest:
    """Write a push of an object that fits into one message."""
    return pb.PushSmallSegmentRequest(object=_described(freight, load), data=load.data)


def push_requests(freight: Freight, load: Load) -> Iterator[pb.PushSegmentRequest]:
    """Write a push: the description with the first bytes, then the rest."""
    yield pb.PushSegmentRequest(object=_described(freight, load), data=load.data[:PIECE_BYTES])
    for start in range(PIECE_BYTES, len(load.data), PIECE_BYTES):
        yield pb.PushSegmentRequest(data=load.data[start : start + PIECE_BYTES])


def _described(freight: Freight, load: Load) -> pb.PushedObject:
    return pb.PushedObject(
        stream_id=freight.ledger_id.stream_id,
        incarnation=freight.ledger_id.incarnation,
        rendition_id=freight.rendition_id,
        msn=freight.msn,
        object_key=freight.object_key,
        size_bytes=len(load.data),
        sha256=load.sha256,
    )
