"""The gateway's settings, beside those that all services share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from chassis.config import Address, ServiceConfig

MEBIBYTE = 1024 * 1024


class GatewayConfig(ServiceConfig):
    """Settings of hls-gateway."""

    grpc_address: Address = "0.0.0.0:50054"
    """Where the gRPC server listens, host:port."""

    http_address: Address = "0.0.0.0:8081"
    """Where playlists, media and pages are served, host:port."""

    distributor_address: Address = "dns:///distributor:50053"
    """The distributor, host:port; dns:///host:port spreads over all of its replicas."""

    abr_address: Address = "dns:///abr:50051"
    """abr, host:port; dns:///host:port spreads over all of its replicas."""

    grpc_public_address: str = ""
    """Where the distributor reaches this gateway's gRPC server, host:port; empty: nothing is pushed here."""

    session_count: Annotated[int, Field(ge=1, le=10_000_000)] = 20_000
    """Viewers' sessions that are counted, and decisions that are held, about 1 KB each, 1 to 10,000,000."""

    session_idle_s: Annotated[float, Field(gt=0, le=86_400)] = 120.0
    """How long a session is remembered after its last request, seconds, above 0 to 86,400."""

    sample_count: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    """Samples that wait for abr, 1 to 1,000,000; the oldest is let go for one more."""

    report_interval_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    """How often the distributor and abr are told what viewers were sent, seconds, above 0 to 60."""

    steering_ttl_s: Annotated[int, Field(ge=1, le=3600)] = 10
    """How often steered players ask where to go, and so how fast they leave a route that fails, seconds, 1 to
    3600."""

    media_memory_bytes: Annotated[int, Field(ge=MEBIBYTE, le=64 * 1024 * MEBIBYTE)] = 96 * MEBIBYTE
    """Memory for media, bytes, 1 MiB to 64 GiB: what was asked for last, and what is being sent."""

    media_object_bytes: Annotated[int, Field(ge=0, le=1024 * MEBIBYTE)] = 16 * MEBIBYTE
    """Largest object held in that memory, bytes, 0 to 1 GiB; larger ones are streamed from storage."""

    storage_timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0
    """Deadline of one read from storage, and of one segment that is pushed, seconds, above 0 to 120."""

    stream_count: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Streams whose timelines are held, 1 to 100,000; the one that was not used for longest goes first.

    Those in use are kept beyond that: waited for, or asked for within three target durations.
    """

    segment_count: Annotated[int, Field(ge=1, le=10_000_000)] = 250_000
    """Segments held of all of them together, about 1.2 KB each, 1 to 10,000,000; likewise.

    A live stream of six renditions with segments of 2 s and a window of half an hour comes to 11,000.
    """

    timeline_memory_bytes: Annotated[int, Field(ge=MEBIBYTE, le=64 * 1024 * MEBIBYTE)] = 512 * MEBIBYTE
    """About what all of them may take, bytes, 1 MiB to 64 GiB; above it streams in use are let go, too."""

    stream_idle_s: Annotated[float, Field(gt=0, le=86_400)] = 300.0
    """How long a stream is followed after its last request, seconds, above 0 to 86,400."""

    lookup_count: Annotated[int, Field(ge=1, le=10_000)] = 256
    """Streams that are being looked up at a time, 1 to 10,000; for one more there is a 503."""

    lookup_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """How long a first request waits for the distributor to tell about its stream, seconds, above 0 to 60."""

    connection_count: Annotated[int, Field(ge=1, le=1_000_000)] = 16_384
    """HTTP connections open at a time, 1 to 1,000,000; one more is answered 503. Who waits has one, too."""

    idle_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 75.0
    """How long an HTTP connection may wait for its next request, seconds, above 0 to 3600."""

    head_timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0
    """How long a request may take to arrive, seconds, above 0 to 120."""

    stall_timeout_s: Annotated[float, Field(gt=0, le=600)] = 15.0
    """How long a viewer may take nothing of what is sent, seconds, above 0 to 600."""

    send_rate_bytes_s: Annotated[int, Field(ge=0, le=1_000_000)] = 2048
    """Slowest viewer that is served, bytes per second in the mean of `stall_timeout_s`, 0 to 1,000,000."""

    request_log: Literal["errors", "all"] = "errors"
    """Which HTTP requests get a log line: those answered 4xx (but 404) or 5xx, or all. Envoy logs all."""

    drain_s: Annotated[float, Field(ge=0, le=120)] = 0.0
    """How long to be unready but serving before connections are closed, seconds, 0 to 120."""
