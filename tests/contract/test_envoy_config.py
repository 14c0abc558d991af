"""Envoy's one configuration as production mounts it, and as a local run with replicas fits it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from hls_gateway.domain.replica_table import PLACES_COUNT
from support.edge import local_config
from weir_cli import programs
from weir_cli.address import Address

TEXT = programs.envoy_config_path().read_text()
CONFIG: dict[str, Any] = yaml.load(TEXT, Loader=yaml.CSafeLoader)
CLUSTERS: list[dict[str, Any]] = CONFIG["static_resources"]["clusters"]
PEERS = {
    "abr": ("abr", 50051),
    "transcoder": ("transcoder", 50052),
    "transcoder-rtmp": ("transcoder", 1935),
    "transcoder-srt": ("transcoder", 8890),
    "distributor": ("distributor", 50053),
    "hls-gateway-grpc": ("hls-gateway", 50054),
    "hls-gateway": ("hls-gateway", 8081),
}


def _validate(text: str, folder: Path) -> None:
    path = folder / "envoy.yaml"
    path.write_text(text)
    command = (programs.envoy_path(), "--mode", "validate", "--log-level", "error", "-c", str(path))
    verdict = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert verdict.returncode == 0, verdict.stderr


def test_envoy_accepts_what_production_mounts(tmp_path: Path) -> None:
    _validate(TEXT.replace("/etc/weir/descriptors.pb", programs.descriptors_path()), tmp_path)


def test_envoy_accepts_what_a_local_run_with_replicas_uses(tmp_path: Path) -> None:
    replicas = (Address(port=1), Address(port=2))
    _validate(local_config(8080, 9901, 1935, 8890, dict.fromkeys(PEERS, replicas)), tmp_path)


def test_peers_are_called_by_their_production_names() -> None:
    assert {cluster["name"]: _peer(cluster) for cluster in CLUSTERS} == PEERS
    assert {cluster["type"] for cluster in CLUSTERS} == {"STRICT_DNS"}


def test_every_peer_is_checked_and_a_sick_one_is_never_called() -> None:
    for cluster in CLUSTERS:
        (check,) = cluster["health_checks"]
        assert check["no_traffic_interval"] == check["interval"], cluster["name"]
        assert cluster["common_lb_config"]["healthy_panic_threshold"] == {"value": 0}, cluster["name"]
        spread = "MAGLEV" if cluster["name"] == "abr" else "LEAST_REQUEST"
        assert cluster["lb_policy"] == spread, cluster["name"]


def test_the_table_of_abr_is_as_large_as_the_gateways() -> None:
    (cluster,) = (one for one in CLUSTERS if one["name"] == "abr")
    assert cluster["maglev_lb_config"] == {"table_size": PLACES_COUNT}


def test_only_this_machine_reaches_the_admin_port() -> None:
    assert CONFIG["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"


def _peer(cluster: dict[str, Any]) -> tuple[str, int]:
    (locality,) = cluster["load_assignment"]["endpoints"]
    (endpoint,) = locality["lb_endpoints"]
    address = endpoint["endpoint"]["address"]["socket_address"]
    return address["address"], address["port_value"]
