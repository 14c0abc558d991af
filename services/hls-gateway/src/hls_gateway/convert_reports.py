"""Between the domain's values and the messages that tell of viewers."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from weir.abr.v1 import abr_pb2
from weir.distributor.v1 import distributor_pb2

from hls_gateway.domain.reports import (
    Decision,
    DeliveryReport,
    JoinedSession,
    Sample,
    SampleReport,
    SessionReport,
)
from hls_gateway.domain.steering import Pathway

T = TypeVar("T", bound=Hashable)


def from_samples(report: SampleReport, reporter: str) -> abr_pb2.ReportSamplesRequest:
    """Write a batch of samples."""
    return abr_pb2.ReportSamplesRequest(
        reporter=reporter,
        columns=_columns(report.samples) if report.samples else None,
        dropped_count=report.dropped_count,
    )


def to_decisions(message: abr_pb2.WatchDecisionsResponse) -> Sequence[Decision]:
    """Read a batch of decisions."""
    return [
        Decision(
            stream_id=one.stream_id,
            viewer_id=one.viewer_id,
            variant_id=one.variant_id,
            variant_bps=one.variant_bps,
        )
        for one in message.decisions
    ]


def from_deliveries(
    report: DeliveryReport, gateway: str, grpc_address: str
) -> distributor_pb2.ReportDeliveriesRequest:
    """Write what sessions were sent."""
    return distributor_pb2.ReportDeliveriesRequest(
        gateway=gateway,
        report_number=report.report_number,
        samples=[_from_session(session) for session in report.sessions],
        grpc_address=grpc_address,
    )


def to_joined(message: distributor_pb2.ReportDeliveriesResponse) -> Sequence[JoinedSession]:
    """Read which sessions have joined."""
    return [
        JoinedSession(
            stream_id=one.stream_id, session_id=one.session_id, joined_session_id=one.joined_session_id
        )
        for one in message.joined
    ]


def to_pathways(message: distributor_pb2.WatchPathwaysResponse) -> tuple[Pathway, ...]:
    """Read all pathways."""
    return tuple(
        Pathway(
            pathway_id=one.pathway_id,
            base_url=one.base_url,
            weight=max(0.0, one.weight),
            healthy=one.healthy,
        )
        for one in message.pathways
    )


def _columns(samples: Sequence[Sample]) -> abr_pb2.SampleColumns:
    """Turn samples into columns, at a fifth of what it costs to write them one by one, and to read them."""
    column = dict(zip(Sample._fields, zip(*samples, strict=True), strict=True))
    sessions, viewer_places = _table(zip(column["stream_id"], column["viewer_id"], strict=True))
    variants, variant_places = _table(column["variant_id"])
    return abr_pb2.SampleColumns(
        stream_ids=[stream_id for stream_id, _ in sessions],
        viewer_ids=[viewer_id for _, viewer_id in sessions],
        variant_ids=variants,
        viewer_places=viewer_places,
        variant_places=variant_places,
        sample_time_s=column["sample_time"],
        msns=_values(column["msn"], -1),
        size_bytes=column["size_bytes"],
        transfer_ms=_values(column["transfer_ms"], 0),
        player_throughput_bps=_values(column["player_throughput_bps"], 0),
        buffer_s=_values(column["buffer_s"], -1),
        starved=_values(column["starved"], 0),
        top_bps=_values(column["top_bps"], 0),
        duration_s=_values(column["duration_s"], 0),
        playback_rate_ratio=_values(column["playback_rate_ratio"], -1),
        startup=_values(column["startup"], 0),
        encoded_bps=_values(column["encoded_bps"], 0),
    )


def _table(column: Iterable[T]) -> tuple[Sequence[T], Sequence[int]]:
    """Put each value into a table once; answers that, and for each the place in it."""
    table: dict[T, int] = {}
    places = [table.setdefault(value, len(table)) for value in column]
    return list(table), places


def _values(column: Iterable[Any], absent: int) -> Sequence[Any]:
    """Write a column; one in which nothing is told stays empty."""
    values = [absent if value is None else value for value in column]
    return values if any(value != absent for value in values) else []


def _from_session(session: SessionReport) -> distributor_pb2.DeliverySample:
    variants = session.variants
    return distributor_pb2.DeliverySample(
        stream_id=session.stream_id,
        session_id=session.session_id,
        joined_session_id=session.joined_session_id,
        place_session_id=session.place_id,
        variant_id=session.variant_id,
        segments_count=sum(one.segments_count for one in variants),
        size_bytes=sum(one.size_bytes for one in variants),
        failed_requests_count=sum(one.failed_requests_count for one in variants),
        cache_hits_count=session.cache_hits_count,
        cache_misses_count=session.cache_misses_count,
        buffer_s=session.buffer_s,
        latency_s=session.latency_s,
        last_time=_timestamp(session.last_time),
        variants=[
            distributor_pb2.VariantDelivery(
                variant_id=one.variant_id,
                segments_count=one.segments_count,
                size_bytes=one.size_bytes,
                requests_count=one.requests_count,
                failed_requests_count=one.failed_requests_count,
            )
            for one in variants
        ],
    )


def _timestamp(seconds: float) -> Timestamp:
    whole = int(seconds)
    return Timestamp(seconds=whole, nanos=int((seconds - whole) * 1e9))
