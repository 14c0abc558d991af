"""Where viewers are served from: the gateways that report, and the CDNs of the configuration."""

from __future__ import annotations

from collections.abc import Sequence

from distributor.domain.audiences import Gateway
from distributor.domain.delivery import Edge, EdgeKind
from distributor.viewers import Viewers


class KnownEdges:
    """Implements the port Edges."""

    def __init__(self, viewers: Viewers, cdns: Sequence[Edge]) -> None:
        self._viewers = viewers
        self._cdns = tuple(cdns)

    def all(self) -> Sequence[Edge]:
        """List the gateways that take segments, and the CDNs."""
        gateways = (_edge(gateway) for gateway in self._viewers.gateways() if gateway.grpc_address)
        return (*gateways, *self._cdns)

    def of_viewer(self, stream_id: str, viewer_id: str) -> Edge | None:
        """Find the gateway that served a viewer last, if it takes segments."""
        gateway = self._viewers.gateway_of(stream_id, viewer_id)
        return _edge(gateway) if gateway and gateway.grpc_address else None


def _edge(gateway: Gateway) -> Edge:
    return Edge(name=gateway.name, kind=EdgeKind.GATEWAY, address=gateway.grpc_address)
