"""Settings of the abr service."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from chassis.config import Address, ServiceConfig


class AbrConfig(ServiceConfig):
    """What an operator may change; each is an environment variable, WEIR_ and the name in capitals."""

    grpc_address: Address = "0.0.0.0:50051"
    """Where this service's gRPC server listens, host:port."""

    distributor_address: Annotated[str, Field(min_length=1)] = "dns:///distributor:50053"
    """The distributor, host:port; dns:///host:port spreads over all of its replicas."""

    abr_policy: Literal["default", "zone", "bba", "bola", "robust_mpc", "fixed"] = "default"
    """The policy that decides where a request names none."""

    vod_buffer_target_s: Annotated[float, Field(ge=1, le=3_600)] = 30.0
    """Media that players of VOD aim at holding, 100 % of `buffer_health`, seconds, 1 to 3,600."""

    viewer_count: Annotated[int, Field(ge=1, le=10_000_000)] = 50_000
    """Viewers remembered, at most 2 KB each, 1 to 10,000,000; those not heard of for longest go first."""

    viewer_idle_s: Annotated[float, Field(ge=1, le=3_600)] = 300.0
    """How long a viewer is remembered after it was heard of last, seconds, 1 to 3,600."""

    snapshot_interval_s: Annotated[float, Field(ge=0.1, le=600)] = 10.0
    """How often a viewer's state is saved in NATS at most, seconds, 0.1 to 600.

    Who is measured for the first time, or changed what it plays, is saved within about a second.
    """

    stream_count: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Streams of which the ladder is held, 1 to 1,000,000; the one not used for longest goes first."""

    stream_refresh_s: Annotated[float, Field(ge=0.1, le=3_600)] = 5.0
    """How old a ladder in use may get before the distributor is asked again, seconds, 0.1 to 3,600."""

    watch_queue_count: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    """Batches of decisions that may wait for one watcher before it is ended, 1 to 1,000,000."""

    drain_s: Annotated[float, Field(ge=0, le=60)] = 0.0
    """How long to answer NOT_SERVING before a stop, so that clients move on, seconds, 0 to 60."""
