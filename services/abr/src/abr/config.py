"""Settings of the abr service."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from chassis.config import Address, ServiceConfig


class AbrConfig(ServiceConfig):
    """What an operator may change; each is an environment variable, WEIR_ and the name in capitals."""

    grpc_address: Address = "0.0.0.0:50051"
    """Where this service's gRPC server listens, host:port."""

    drain_s: Annotated[float, Field(ge=0, le=60)] = 0.0
    """How long to answer NOT_SERVING before a stop, so that clients move on, seconds, 0 to 60."""
