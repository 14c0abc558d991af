"""Settings of the distributor."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from chassis.config import Address, ServiceConfig


class DistributorConfig(ServiceConfig):
    """What an operator may change; each is an environment variable, WEIR_ and the name in capitals."""

    grpc_address: Address = "0.0.0.0:50053"
    """Where this service's gRPC server listens, host:port."""

    ledger_limit_bytes: Annotated[int, Field(ge=-1)] = -1
    """Room for all ledgers in JetStream, bytes; above it appends are refused; -1: what the server allows."""

    fold_cache_count: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000
    """Ledgers of which the state is held for appends, 1 to 1,000,000; others are folded again when needed."""

    watch_queue_count: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000
    """Records that may wait for one watcher before it is ended, 1 to 1,000,000."""

    watch_queue_bytes: Annotated[int, Field(ge=1)] = 8 * 1024**2
    """Bytes that may wait for one watcher before it is ended, at least 1."""

    reread_interval_s: Annotated[float, Field(ge=0.1, le=3600)] = 10.0
    """How often what is watched is compared with JetStream, in case news was lost, seconds, 0.1 to 3,600."""

    sweep_interval_s: Annotated[float, Field(ge=1, le=86_400)] = 600.0
    """How often ledgers that no stream owns are looked for, seconds, 1 to 86,400."""

    drain_s: Annotated[float, Field(ge=0, le=60)] = 0.0
    """How long to answer NOT_SERVING before a stop, so that clients move on, seconds, 0 to 60."""
