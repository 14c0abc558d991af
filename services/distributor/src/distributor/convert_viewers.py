"""Between the contract of viewers and domain, and what a request must hold to get past this edge."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from urllib.parse import urlencode

from weir.distributor.v1 import distributor_pb2 as api

from chassis.errors import InvalidArgument
from chassis.layout import ID_PATTERN, require_id
from distributor.convert import MAX_RECORD_BYTES, require_text, write_time
from distributor.domain.figures import VariantFigures, aimed_buffer_s, health_of, ladder, name_of, rung_name
from distributor.domain.profiles import MAX_VIEWERS, connection_quality
from distributor.domain.session import Session
from distributor.domain.stream import Stream
from distributor.service_viewers import (
    Adaptation,
    Admission,
    Departure,
    Gathering,
    Metrics,
    Started,
    Statistics,
)
from distributor.slices import sliced

MAX_SAMPLES = 1_000
MAX_VARIANTS = 100
MAX_SECONDS = 366 * 86_400.0
GATEWAY = re.compile(r"[\x21-\x7e]{1,128}")
ADDRESS = re.compile(r"[\x21-\x7e]{0,255}")
# A player's own name of its session, CMCD `sid`, may hold anything that can be read.
SESSION = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
POLICY = re.compile(r"[a-z_]{0,32}")


def read_max_viewers(request: api.StartDistributionRequest) -> int:
    """Read a limit of viewers; 0: as stream or profile say."""
    if not 0 <= request.max_viewers <= MAX_VIEWERS:
        raise InvalidArgument(
            f"max_viewers is {request.max_viewers}: it must lie from 0 to {MAX_VIEWERS}; 0: the default",
            field="max_viewers",
        )
    return request.max_viewers


def read_viewer_id(viewer_id: str) -> str:
    """Read who leaves or adapts: as joined, or as the player calls its session."""
    if not viewer_id:
        raise InvalidArgument("viewer_id is missing: give it in the query or in the body", field="viewer_id")
    return require_text(viewer_id, SESSION, "viewer_id", "hold 1 to 128 characters, no controls")


def read_adapt(request: api.AdaptQualityRequest) -> tuple[str, str, float, str]:
    """Read which stream (or none), which viewer, buffer health and policy."""
    stream_id = require_id(request.stream_id, field="stream_id") if request.stream_id else ""
    if not request.HasField("buffer_health") or not 0 <= request.buffer_health <= 100:  # noqa: PLR2004 - percent
        given = request.buffer_health if request.HasField("buffer_health") else "missing"
        raise InvalidArgument(f"buffer_health is {given}: give percent, from 0 to 100", field="buffer_health")
    policy = require_text(request.policy, POLICY, "policy", "be the name of a policy")
    return stream_id, read_viewer_id(request.viewer_id), request.buffer_health, policy


async def write_joined(
    message: api.ReportDeliveriesRequest, joined_id: Callable[[str, str], str]
) -> AsyncIterator[api.JoinedSession]:
    """Write which sessions of a report have joined, where the gateway does not know it."""
    async for sample in sliced(message.samples):
        found = "" if sample.joined_session_id else joined_id(sample.stream_id, sample.session_id)
        if found:
            yield api.JoinedSession(
                stream_id=sample.stream_id, session_id=sample.session_id, joined_session_id=found
            )


async def read_report(message: api.ReportDeliveriesRequest) -> tuple[bytes, int]:
    """Read a gateway's report as it is to be stored, and how many of its samples were dropped.

    Raises:
        InvalidArgument: The message as a whole cannot be counted.
    """
    require_text(message.gateway, GATEWAY, "gateway", "be 1 to 128 ASCII characters without spaces")
    require_text(message.grpc_address, ADDRESS, "grpc_address", "be host:port")
    if message.report_number < 0:
        raise InvalidArgument(
            f"report_number is {message.report_number}: it must be at least 0", field="report_number"
        )
    if len(message.samples) > MAX_SAMPLES:
        raise InvalidArgument(
            f"samples are {len(message.samples)}: send at most {MAX_SAMPLES} in one message", field="samples"
        )
    good = [sample async for sample in sliced(message.samples) if _is_sound(sample)]
    dropped_count = len(message.samples) - len(good)
    if dropped_count:
        kept = api.ReportDeliveriesRequest(
            gateway=message.gateway, report_number=message.report_number, grpc_address=message.grpc_address
        )
        kept.samples.extend(good)
        message = kept
    wire = message.SerializeToString()
    if len(wire) > MAX_RECORD_BYTES:
        raise InvalidArgument(
            f"samples hold {len(wire)} bytes: send at most {MAX_RECORD_BYTES} in one message", field="samples"
        )
    return wire, dropped_count


def _is_sound(sample: api.DeliverySample) -> bool:
    return (
        bool(ID_PATTERN.fullmatch(sample.stream_id))
        and bool(SESSION.fullmatch(sample.session_id))
        and (not sample.joined_session_id or bool(SESSION.fullmatch(sample.joined_session_id)))
        and (not sample.place_session_id or bool(SESSION.fullmatch(sample.place_session_id)))
        and _are_ids((sample.variant_id,))
        and min(sample.segments_count, sample.size_bytes, sample.failed_requests_count) >= 0
        and min(sample.cache_hits_count, sample.cache_misses_count) >= 0
        and _is_time(sample.buffer_s)
        and _is_time(sample.latency_s)
        and len(sample.variants) <= MAX_VARIANTS
        and all(_is_sound_variant(variant) for variant in sample.variants)
    )


def _is_sound_variant(variant: api.VariantDelivery) -> bool:
    counts = (variant.segments_count, variant.size_bytes, variant.requests_count)
    return _are_ids((variant.variant_id,)) and min(*counts, variant.failed_requests_count) >= 0


def _are_ids(values: Iterable[str]) -> bool:
    return all(not value or ID_PATTERN.fullmatch(value) for value in values)


def _is_time(value: float) -> bool:
    return math.isfinite(value) and 0 <= value <= MAX_SECONDS


def write_start(started: Started) -> api.StartDistributionResponse:
    """Write what a start did."""
    stream = started.stream
    return api.StartDistributionResponse(
        recording_id=recording_of(stream),
        stream_id=stream.stream_id,
        status=stream.state,
        max_viewers=started.limit,
        profiles=[name_of(variant) for variant in ladder(stream.variants)],
        message=f"up to {started.limit} viewers may join",
        timestamp=write_time(started.time),
    )


def write_admission(admission: Admission) -> api.JoinStreamResponse:
    """Write what a viewer who was let in needs."""
    stream, session = admission.stream, admission.session
    query = {"session": session.session_id}
    if admission.first_variant_id:
        query["first"] = admission.first_variant_id
    return api.JoinStreamResponse(
        recording_id=recording_of(stream),
        viewer_id=session.viewer_id,
        session_id=session.session_id,
        current_bitrate=rung_name(stream.variants, session.variant_id),
        buffer_health=health_of(session, aimed_buffer_s(stream, admission.profile)),
        playback_url=f"/hls/{stream.stream_id}/master.m3u8?{urlencode(query)}",
        message="play playback_url" if stream.variants else "joined; there is nothing to play yet",
        timestamp=write_time(admission.time),
    )


def write_departure(departure: Departure) -> api.LeaveStreamResponse:
    """Write the totals of a viewer who has left."""
    ended = departure.ended
    return api.LeaveStreamResponse(
        recording_id=recording_of(departure.stream),
        viewer_id=ended.session.viewer_id,
        session_id=ended.session.session_id,
        segments_received=ended.session.segments_count,
        bytes_received=ended.session.size_bytes,
        duration=ended.end_time - ended.session.begin_time,
        message="the viewer has left",
        timestamp=write_time(departure.time),
    )


def write_gathering(gathering: Gathering) -> api.GetDistributionResponse:
    """Write who watches a stream."""
    stream, figures = gathering.stream, gathering.figures
    aimed_s = aimed_buffer_s(stream, gathering.profile)
    return api.GetDistributionResponse(
        recording_id=recording_of(stream),
        active_viewers=figures.viewers_count,
        peak_viewers=gathering.peak_count,
        total_segments_served=figures.served.segments_count,
        total_bytes_served=figures.served.size_bytes,
        viewers=[
            _write_viewer(session, stream, aimed_s, gathering.time) for session in gathering.page.sessions
        ],
        message=f"{figures.viewers_count} watch now",
        timestamp=write_time(gathering.time),
        next_page_token=gathering.page.next_page_token,
    )


def write_statistics(stream_id: str, statistics: Statistics) -> api.GetStreamStatsResponse:
    """Write what a stream's viewers saw."""
    figures = statistics.figures
    return api.GetStreamStatsResponse(
        stream_id=stream_id,
        current_viewers=figures.viewers_count,
        total_views=figures.views_count,
        total_bandwidth=figures.bandwidth_bps,
        average_latency=figures.latency_s,
        segments_served=figures.served.segments_count,
        error_rate=figures.served.error_rate,
        variant_stats={
            variant_id: _write_variant(variant) for variant_id, variant in figures.variants.items()
        },
        bytes_served=figures.served.size_bytes,
        timestamp=write_time(statistics.time),
    )


def write_adaptation(
    adaptation: Adaptation, *, viewer_id: str, buffer_health: float
) -> api.AdaptQualityResponse:
    """Write what a viewer was told to play."""
    return api.AdaptQualityResponse(
        recording_id=recording_of(adaptation.stream),
        viewer_id=viewer_id,
        old_bitrate=adaptation.old,
        new_bitrate=adaptation.new,
        buffer_health=buffer_health,
        connection_quality=connection_quality(buffer_health),
        reason=adaptation.reason,
        message=adaptation.message,
        timestamp=write_time(adaptation.time),
    )


def write_metrics(metrics: Metrics) -> api.GetMetricsResponse:
    """Write what all distributors do."""
    return api.GetMetricsResponse(
        total_distributors=metrics.distributors_count,
        total_active_viewers=metrics.viewers_count,
        total_segments_served=metrics.served.segments_count,
        total_bytes_served=metrics.served.size_bytes,
        total_delivery_failures=metrics.failures_count,
        cdn_cache_hit_rate=metrics.cache_hit_rate,
        queue_depth=metrics.deliveries.queued_count,
        workers=metrics.deliveries.workers_count,
        message=f"{metrics.distributors_count} distributors, {metrics.viewers_count} viewers",
        timestamp=write_time(metrics.time),
    )


def _write_viewer(session: Session, stream: Stream, aimed_s: float, now: datetime) -> api.Viewer:
    health = health_of(session, aimed_s)
    return api.Viewer(
        viewer_id=session.viewer_id,
        current_bitrate=rung_name(stream.variants, session.variant_id),
        segments_received=session.segments_count,
        bytes_received=session.size_bytes,
        buffer_health=health,
        connection_quality="" if session.buffer_s is None else connection_quality(health),
        duration=max(0.0, now.timestamp() - session.begin_time),
        session_id=session.session_id,
    )


def _write_variant(figures: VariantFigures) -> api.VariantStats:
    return api.VariantStats(
        current_viewers=figures.viewers_count,
        segments_served=figures.served.segments_count,
        bytes_served=figures.served.size_bytes,
        bandwidth=figures.bandwidth_bps,
        error_rate=figures.served.error_rate,
    )


def recording_of(stream: Stream) -> str:
    return stream.description.recording_id or stream.stream_id
