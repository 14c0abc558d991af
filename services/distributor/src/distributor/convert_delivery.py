"""Deliveries and pathways as the contract shows them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from weir.distributor.v1 import distributor_pb2 as api

from distributor.convert import write_time
from distributor.convert_viewers import recording_of
from distributor.domain.delivery import Delivery
from distributor.domain.steering import Pathway
from distributor.service_deliver import Shipment


def write_shipment(
    request: api.DeliverSegmentRequest, shipment: Shipment, now: datetime
) -> api.DeliverSegmentResponse:
    """Write what became of the deliveries of one segment."""
    count, failed_count = len(shipment.deliveries), shipment.failed_count
    return api.DeliverSegmentResponse(
        recording_id=recording_of(shipment.stream),
        segment_id=request.segment_id,
        viewer_id=request.viewer_id,
        success=failed_count == 0,
        deliveries=map(_write_delivery, shipment.deliveries),
        message=f"{count - failed_count} of {count} deliveries succeeded",
        timestamp=write_time(now),
    )


def write_pathways(pathways: Sequence[Pathway]) -> api.WatchPathwaysResponse:
    """Write all pathways as they are now."""
    return api.WatchPathwaysResponse(
        pathways=[
            api.Pathway(
                pathway_id=pathway.route.pathway_id,
                base_url=pathway.route.base_url,
                weight=pathway.route.weight,
                healthy=pathway.is_healthy,
            )
            for pathway in pathways
        ]
    )


def _write_delivery(delivery: Delivery) -> api.Delivery:
    return api.Delivery(
        edge=delivery.order.edge.name,
        rendition=delivery.order.freight.rendition_id,
        attempts=delivery.attempts_count,
        bytes=delivery.size_bytes,
        duration_ms=delivery.duration_s * 1e3,
        error=delivery.error,
    )
