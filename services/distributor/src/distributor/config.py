"""Settings of the distributor."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from chassis.config import Address, ServiceConfig
from distributor.domain.delivery import Edge, check_cdns
from distributor.domain.live import NAMED_RUNGS, RESERVED_NAMES, Rung
from distributor.domain.profiles import PROFILES, Profile, check_profiles
from distributor.domain.steering import Route, check_routes

PublicUrl = Annotated[str, StringConstraints(pattern=r"^[a-z]+://[^\s/]+$")]
MAX_SECONDS = 366 * 86_400


def _require_names(ladder: tuple[Rung, ...]) -> tuple[Rung, ...]:
    names = [rung.name for rung in ladder]
    if len(set(names)) != len(names) or not RESERVED_NAMES.isdisjoint(names):
        reserved = " or ".join(map(repr, sorted(RESERVED_NAMES)))
        raise ValueError(f"it has the names {names}: each must be unique, and none {reserved}")
    return ladder


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

    cleanup_interval_s: Annotated[float, Field(ge=0.1, le=86_400)] = 30.0
    """How often media that left the playlists is looked for, to be removed, seconds, 0.1 to 86,400."""

    sweep_interval_s: Annotated[float, Field(ge=1, le=86_400)] = 600.0
    """How often ledgers that no stream owns are looked for, seconds, 1 to 86,400."""

    transcoder_address: Annotated[str, Field(min_length=1)] = "dns:///transcoder:50052"
    """The transcoders, which pull sources of streams: host:port, or dns:///host:port for all replicas."""

    abr_address: Annotated[str, Field(min_length=1)] = "dns:///abr:50051"
    """The abr service, which decides what viewers play: host:port, or dns:///host:port for all replicas."""

    delivery_profiles: Annotated[tuple[Profile, ...], AfterValidator(check_profiles)] = PROFILES
    """Delivery profiles: a JSON list of {name, segment_s, buffer_segments_count, max_viewers, retries_count,
    timeout_s, compression_level}, one of them called Medium."""

    session_timeout_s: Annotated[float, Field(ge=1, le=86_400)] = 60.0
    """A viewer of whom nothing is heard for so long has left, seconds, 1 to 86,400; alike on all replicas."""

    session_limit_count: Annotated[int, Field(ge=1, le=1_000_000)] = 100_000
    """Sessions that are held of one stream, open and over ones, 1 to 1,000,000; alike on all replicas."""

    views_limit_bytes: Annotated[int, Field(ge=1024**2)] = 256 * 1024**2
    """Room for the log of views in JetStream, bytes, at least 1 MiB; above it the oldest is dropped."""

    views_state_interval_s: Annotated[float, Field(ge=0.1, le=3600)] = 30.0
    """How often what is known of viewers is stored, and the log behind it dropped, seconds, 0.1 to 3,600."""

    delivery_workers: Annotated[int, Field(ge=1, le=256)] = 4
    """Calls to edges that this process makes at a time, 1 to 256; one may bring many small segments."""

    delivery_queue_count: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    """Deliveries that it has taken and not finished, 1 to 100,000; who gives more has to wait."""

    delivery_memory_bytes: Annotated[int, Field(ge=0)] = 64 * 1024**2
    """Memory for segments that were delivered last, so that other edges need no read, bytes, at least 0."""

    cdns: Annotated[tuple[Edge, ...], AfterValidator(check_cdns)] = ()
    """CDNs to deliver to: a JSON list of {name, kind, address, secret}.

    kind: "put" (segments are put there) or "prefetch" (they are asked for, so that they are kept).
    address: the URL before /hls/; secret: signs the requests, may be left out.
    """

    pathways: Annotated[tuple[Route, ...], AfterValidator(check_routes)] = ()
    """Routes that viewers are steered to, at least two: a JSON list of {pathway_id, base_url, weight}.

    base_url: scheme and host before /hls/; empty: the origin that players come to.
    """

    pathway_check_interval_s: Annotated[float, Field(ge=0.1, le=3600)] = 5.0
    """How often each pathway is asked for /healthz, seconds, 0.1 to 3,600; three failures on end: sick."""

    rtmp_public_url: PublicUrl = "rtmp://localhost:1935"
    """Where publishers reach RTMP from outside, a URL without a path."""

    srt_public_url: PublicUrl = "srt://localhost:8890"
    """Where publishers reach SRT from outside, a URL without a path."""

    http_public_url: PublicUrl = "http://localhost:8080"
    """Where publishers reach the REST API from outside, a URL without a path."""

    ladder: Annotated[tuple[Rung, ...], Field(min_length=1), AfterValidator(_require_names)] = NAMED_RUNGS
    """Rungs of a stream that names none: a JSON list of {name, width_pixels, height_pixels, video_bps}.

    Each name is unique and none is "audio" or "thumbnails", which are other renditions'.
    """

    live_dvr_window_s: Annotated[float, Field(ge=3, le=MAX_SECONDS)] = 1_800.0
    """How far back a live playlist reaches unless its creator says, seconds, 3 to 31,622,400."""

    live_part_target_s: Annotated[float, Field(ge=0.1, le=2)] = 0.333
    """Upper bound of a part's duration in low-latency streams, seconds, 0.1 to 2."""

    drain_s: Annotated[float, Field(ge=0, le=60)] = 0.0
    """How long to answer NOT_SERVING before a stop, so that clients move on, seconds, 0 to 60."""
