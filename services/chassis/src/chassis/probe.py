"""`python -m chassis.probe ADDRESS [SERVICE]`: is the service healthy? Where nobody else can ask by gRPC."""

from __future__ import annotations

import sys

import grpc
from grpc_health.v1 import health_pb2

_TIMEOUT_S = 4.0


def is_serving(address: str, service: str = "") -> bool:
    """Ask a service for its health once, in the clear."""
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = check(health_pb2.HealthCheckRequest(service=service), timeout=_TIMEOUT_S)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    sys.exit(0 if is_serving(*sys.argv[1:3]) else 1)
