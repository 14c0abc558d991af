"""Between the domain's values and the messages that tell of viewers."""

from __future__ import annotations

from collections.abc import Sequence

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


def from_samples(report: SampleReport, reporter: str) -> abr_pb2.ReportSamplesRequest:
    """Write a batch of samples."""
    return abr_pb2.ReportSamplesRequest(
        reporter=reporter,
        samples=[_from_sample(sample) for sample in report.samples],
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


def _from_sample(sample: Sample) -> abr_pb2.Sample:
    return abr_pb2.Sample(
        stream_id=sample.stream_id,
        viewer_id=sample.viewer_id,
        variant_id=sample.variant_id,
        msn=sample.msn,
        sample_time=_timestamp(sample.sample_time),
        size_bytes=sample.size_bytes,
        transfer_ms=sample.transfer_ms,
        player_throughput_bps=sample.player_throughput_bps,
        buffer_s=sample.buffer_s,
        starved=sample.starved,
        encoded_bps=sample.encoded_bps,
        top_bps=sample.top_bps,
        duration_s=sample.duration_s,
        playback_rate_ratio=sample.playback_rate_ratio,
        startup=sample.startup,
    )


def _from_session(session: SessionReport) -> distributor_pb2.DeliverySample:
    variants = session.variants
    return distributor_pb2.DeliverySample(
        stream_id=session.stream_id,
        session_id=session.session_id,
        joined_session_id=session.joined_session_id,
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
