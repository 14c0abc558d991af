from __future__ import annotations

import pytest

from weir_cli.door import is_admitted

CLUSTERS = """abr::observability_name::abr
abr::127.0.0.1:8082::cx_active::1
abr::127.0.0.1:8082::health_flags::healthy
abr::127.0.0.1:8102::health_flags::/failed_active_hc
hls-gateway::127.0.0.1:8086::health_flags::healthy
hls-gateway-grpc::127.0.0.1:8085::health_flags::/failed_active_hc
"""


@pytest.mark.parametrize(
    ("addresses", "admitted"),
    [
        (["127.0.0.1:8082"], True),
        (["127.0.0.1:8102"], False),
        (["127.0.0.1:8086", "127.0.0.1:8085"], False),  # by HTTP already, by gRPC not yet
        (["127.0.0.1:8081"], True),  # no cluster of the door
    ],
)
def test_a_process_gets_requests_when_the_door_holds_all_of_it_healthy(
    addresses: list[str], admitted: bool
) -> None:
    assert is_admitted(CLUSTERS, addresses) is admitted
