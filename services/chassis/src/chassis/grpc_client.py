"""Channels to peers: every replica that the name resolves to, moved on from quickly when one dies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc

from chassis.grpc_errors import from_rpc_error
from chassis.grpc_server import MAX_MESSAGE_BYTES
from chassis.renewed_channel import RenewedChannel
from chassis.telemetry import trace_headers
from chassis.tls import Certificates

_SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    # Only UNAVAILABLE: the peer did not take the call, or is stopping.
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}

_OPTIONS: Sequence[tuple[str, str | int]] = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 10_000),  # a frozen peer is noticed in 15 s rather than never
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Shared connections would share their back-off: a new channel would fail for what another one met before.
    ("grpc.use_local_subchannel_pool", 1),
)


def open_channel(address: str, tls: Certificates | None = None, *, server_name: str = "") -> grpc.aio.Channel:
    """Open a channel to a peer: host:port, or dns:///host:port to spread over all of its replicas.

    Args:
        address: Where it is.
        tls: What to show, and whom to believe; None: the channel is not encrypted.
        server_name: Whose certificate the peer must show, if `address` does not name it.
    """
    if tls is None:
        return grpc.aio.insecure_channel(address, options=_OPTIONS)
    named = (("grpc.ssl_target_name_override", server_name),) if server_name else ()
    return RenewedChannel(
        tls, lambda shown: grpc.aio.secure_channel(address, shown, options=(*_OPTIONS, *named))
    )


@asynccontextmanager
async def peer_errors() -> AsyncIterator[None]:
    """Raise a peer's failure as the kind of ours that it is."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error


def call_metadata() -> tuple[tuple[str, str], ...]:
    """Metadata for a call that should belong to the current trace."""
    return tuple(trace_headers().items())
