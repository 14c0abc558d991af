"""Between contracts and use-cases, and what a request must hold to get past this edge."""

from __future__ import annotations

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from weir.abr.v1 import abr_pb2 as pb

from abr.domain.news import Decision
from abr.domain.qoe import Qoe
from abr.domain.sample import MAX_BPS, MAX_SECONDS, MAX_TRANSFER_S
from abr.domain.stats import Network, Stats
from abr.domain.stream import Stream, Viewport
from abr.domain.view import Rung
from abr.domain.viewer import VIEWER_ID
from abr.service import Outcome, Question, Report
from chassis.errors import InvalidArgument
from chassis.layout import require_id

KBIT = 1_000
PERCENT = 100
MAX_MSN = 2**53
MAX_BYTES = 2**40
MAX_PIXELS = 32_768


def read_question(request: pb.SelectQualityRequest) -> Question:
    """Read what a player says when it asks what to play."""
    throughput_kbps = _optional(request, "bandwidth", MAX_BPS / KBIT)
    health = _optional(request, "buffer_health", PERCENT)
    return Question(
        stream_id=require_id(request.recording_id, field="recording_id"),
        viewer_id=read_viewer_id(request.viewer_id),
        throughput_bps=None if throughput_kbps is None else throughput_kbps * KBIT,
        buffer_s=_optional(request, "buffer_s", MAX_SECONDS),
        buffer_ratio=None if health is None else health / PERCENT,
        current=request.current_quality,
        policy=request.policy,
        viewport=_read_viewport(request.viewport) if request.HasField("viewport") else None,
    )


def read_report(request: pb.ReportMetricsRequest) -> Report:
    """Read how one segment came to a player."""
    milliseconds = MAX_TRANSFER_S * 1e3
    buffer_percent = require_within(request.buffer_occupancy_percent, "buffer_occupancy_percent", PERCENT)
    return Report(
        stream_id=require_id(request.recording_id, field="recording_id"),
        viewer_id=read_viewer_id(request.viewer_id),
        msn=int(require_within(request.segment_number, "segment_number", MAX_MSN)),
        latency_s=require_within(request.request_time_ms, "request_time_ms", milliseconds) / 1e3,
        transfer_s=_above_0(request.download_time_ms, "download_time_ms", milliseconds) / 1e3,
        size_bytes=int(require_within(request.bytes_downloaded, "bytes_downloaded", MAX_BYTES)),
        rate_bps=_above_0(request.bitrate_kbps, "bitrate_kbps", MAX_BPS / KBIT) * KBIT,
        buffer_ratio=buffer_percent / PERCENT,
    )


def read_viewer_id(viewer_id: str) -> str:
    """Read who watches; empty: the recording's aggregate."""
    if viewer_id and not VIEWER_ID.fullmatch(viewer_id):
        raise InvalidArgument(
            f"viewer_id is {viewer_id[:80]!r}: it must hold 1 to 128 printable ASCII characters, no spaces",
            reason="INVALID_ID",
            field="viewer_id",
        )
    return viewer_id


def write_decision(decision: Decision) -> pb.SelectQualityResponse:
    """Write an answer to who asked."""
    rung = decision.rung
    kbps = _kbps(rung.rate_bps)
    return pb.SelectQualityResponse(
        bitrate_level=decision.place,
        bitrate_label=_label(rung),
        recommended_bitrate_kbps=kbps,
        resolution=f"{rung.width_pixels}x{rung.height_pixels}" if rung.width_pixels else "",
        frame_rate=rung.frame_rate,
        policy=decision.policy,
        reason=decision.reason,
        message=f"play {_label(rung)} ({kbps} kbit/s): {decision.reason}",
        timestamp=write_time(decision.time_s),
    )


def write_outcome(outcome: Outcome, now_s: float) -> pb.ReportMetricsResponse:
    """Write what follows from a report."""
    ladder = outcome.stream.ladder
    accepted = "" if outcome.accepted else "a newer segment is known already, so this one does not count; "
    move = "stay with" if outcome.wanted == outcome.current else "go over to"
    return pb.ReportMetricsResponse(
        accepted=outcome.accepted,
        current_bitrate_kbps=_kbps(ladder[outcome.current].rate_bps),
        should_upscale=outcome.wanted > outcome.current,
        should_downscale=outcome.wanted < outcome.current,
        message=f"{accepted}{move} {_label(ladder[outcome.wanted])}: {outcome.reason}",
        timestamp=write_time(now_s),
    )


def write_stats(stream: Stream, stats: Stats, now_s: float) -> pb.GetStatsResponse:
    """Write what is known of a viewer, or of all of them."""
    return pb.GetStatsResponse(
        current_bitrate_kbps=_kbps(stats.current_bps),
        available_bitrates_kbps=[_kbps(rung.rate_bps) for rung in stream.ladder],
        optimal_bitrate_kbps=_kbps(stats.optimal_bps),
        recent_segments_count=stats.segments_count,
        average_download_time_ms=round(stats.transfer_s * 1e3, 3),
        average_buffer_health_percent=round(stats.health_ratio * PERCENT, 3),
        network_stats=_write_network(stats.network),
        qoe=_write_qoe(stats.qoe),
        timestamp=write_time(now_s),
        viewers_count=stats.viewers_count,
    )


def write_time(time_s: float) -> Timestamp:
    """Write an instant."""
    timestamp = Timestamp()
    timestamp.FromMicroseconds(round(time_s * 1e6))
    return timestamp


def require_within(value: float, field: str, most: float) -> float:
    """Return `value` if it lies from 0 to `most`, else raise InvalidArgument; NaN lies nowhere."""
    if not 0 <= value <= most:
        raise InvalidArgument(f"{field} is {value}: it must lie from 0 to {most:,.0f}", field=field)
    return value


def _read_viewport(viewport: pb.Viewport) -> Viewport:
    return Viewport(*(_read_side(viewport, field) for field in Viewport._fields))


def _read_side(viewport: pb.Viewport, field: str) -> int:
    side = getattr(viewport, field)
    if not 1 <= side <= MAX_PIXELS:
        raise InvalidArgument(
            f"viewport.{field} is {side}: it must lie from 1 to {MAX_PIXELS:,}, or leave viewport out",
            field=f"viewport.{field}",
        )
    return int(side)


def _above_0(value: float, field: str, most: float) -> float:
    if not 0 < value <= most:
        raise InvalidArgument(f"{field} is {value}: it must be above 0, and at most {most:,.0f}", field=field)
    return value


def _optional(request: Any, field: str, most: float) -> float | None:
    return require_within(getattr(request, field), field, most) if request.HasField(field) else None


def _write_network(network: Network) -> pb.NetworkStats:
    return pb.NetworkStats(
        estimated_kbps=network.estimated_bps / KBIT,
        mean_kbps=network.mean_bps / KBIT,
        min_kbps=network.min_bps / KBIT,
        max_kbps=network.max_bps / KBIT,
        deviation_kbps=network.deviation_bps / KBIT,
        latency_ms=round(network.latency_s * 1e3, 3),
        size_bytes=network.size_bytes,
    )


def _write_qoe(qoe: Qoe) -> pb.Qoe:
    return pb.Qoe(
        average_bitrate_kbps=qoe.average_bps / KBIT,
        rebuffer_ratio=qoe.rebuffer_ratio,
        rebuffers_count=qoe.rebuffers_count,
        switches_count=qoe.switches_count,
        startup_time_ms=round(qoe.startup_s * 1e3, 3),
        score=qoe.score,
    )


def _label(rung: Rung) -> str:
    return rung.name or rung.rendition_id


def _kbps(rate_bps: float) -> int:
    return round(rate_bps / KBIT)
