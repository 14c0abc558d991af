"""Gateways as edges: objects are pushed into their memory."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import grpc
from weir.gateway.v1 import gateway_pb2 as pb
from weir.gateway.v1 import gateway_pb2_grpc as pb_grpc

from chassis.errors import NotFound, Unavailable, Unimplemented, WeirError
from chassis.grpc_client import open_channel, peer_errors
from chassis.grpc_errors import from_status
from chassis.tls import Certificates
from distributor.adapters.freight import FreightStore, Load
from distributor.domain.delivery import LIGHT_BYTES, Freight, Order
from distributor.ports import Carried

PIECE_BYTES = 512 * 1024
_CHANNELS_LIMIT = 1_000
# Gateways are reached by their addresses, and show who they are by this name.
_SERVER_NAME = "hls-gateway"


class Push(NamedTuple):
    """One object to be pushed."""

    freight: Freight
    load: Load


class GatewayCarrier:
    """Pushes to gateways; see ports.Carry.

    Args:
        store: The bytes.
        tls: What to show gateways; None: they are spoken to in the clear.
    """

    def __init__(self, store: FreightStore, tls: Certificates | None = None) -> None:
        self._store = store
        self._tls = tls
        self._channels: OrderedDict[str, grpc.aio.Channel] = OrderedDict()

    async def carry(self, orders: Sequence[Order]) -> Sequence[Carried]:
        """Push objects to one gateway; one that it holds already counts as brought."""
        stub = pb_grpc.GatewayServiceStub(await self._channel(orders[0].edge.address))
        loads = await self._loads(orders)
        pushes = [
            Push(order.freight, load)
            for order, load in zip(orders, loads, strict=True)
            if isinstance(load, Load)
        ]
        outcomes = iter(await _pushed(stub, pushes) if pushes else ())
        return [next(outcomes) if isinstance(load, Load) else load for load in loads]

    async def close(self) -> None:
        """Close all connections."""
        for channel in self._channels.values():
            await channel.close()

    async def _loads(self, orders: Sequence[Order]) -> Sequence[Load | WeirError]:
        reads = [self._store.load(order.freight) for order in orders]
        return [_expected(found) for found in await asyncio.gather(*reads, return_exceptions=True)]

    async def _channel(self, address: str) -> grpc.aio.Channel:
        if address not in self._channels:
            self._channels[address] = open_channel(address, self._tls, server_name=_SERVER_NAME)
        self._channels.move_to_end(address)
        if len(self._channels) > _CHANNELS_LIMIT:
            _, oldest = self._channels.popitem(last=False)
            await oldest.close()
        return self._channels[address]


def pushes_together(pushes: Sequence[Push]) -> pb.PushSmallSegmentsRequest:
    """Write a push of objects that fit into one message."""
    request = pb.PushSmallSegmentsRequest()
    for freight, load in pushes:
        request.objects.add(object=_described(freight, load), data=load.data)
    return request


def pieces_of(push: Push) -> Iterator[pb.PushSegmentRequest]:
    """Write a push: the description with the first bytes, then the rest."""
    data = push.load.data
    yield pb.PushSegmentRequest(object=_described(*push), data=data[:PIECE_BYTES])
    for start in range(PIECE_BYTES, len(data), PIECE_BYTES):
        yield pb.PushSegmentRequest(data=data[start : start + PIECE_BYTES])


async def _pushed(stub: Any, pushes: Sequence[Push]) -> Sequence[Carried]:
    if len(pushes) == 1 and len(pushes[0].load.data) > LIGHT_BYTES:
        return [await _pushed_alone(stub, pushes[0])]
    try:
        async with peer_errors():
            response = await stub.PushSmallSegments(pushes_together(pushes))
    except Unimplemented:  # an older gateway
        return [await _pushed_alone(stub, push) for push in pushes]
    return [
        _failure(from_status(outcome.status)) if outcome.HasField("status") else len(push.load.data)
        for push, outcome in zip(pushes, response.outcomes, strict=True)
    ]


async def _pushed_alone(stub: Any, push: Push) -> Carried:
    try:
        async with peer_errors():
            await stub.PushSegment(pieces_of(push))
    except WeirError as error:
        return _failure(error)
    return len(push.load.data)


def _failure(error: WeirError) -> WeirError:
    if isinstance(error, NotFound):  # it has not heard of the stream yet
        return Unavailable(error.message, reason="EDGE_BEHIND")
    return error


def _expected(found: Load | BaseException) -> Load | WeirError:
    if isinstance(found, Load | WeirError):
        return found
    raise found


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
