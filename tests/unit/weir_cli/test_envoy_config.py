from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from weir_cli import programs
from weir_cli.address import Address
from weir_cli.envoy_config import Edge, fit_config

PRODUCTION = programs.envoy_config_path().read_text()
CLUSTERS = (
    *("abr", "transcoder", "transcoder-rtmp", "transcoder-srt", "distributor"),
    *("hls-gateway-grpc", "hls-gateway"),
)
EDGE = Edge(
    public=Address(port=1),
    admin=Address(port=2),
    rtmp=Address(port=3),
    srt=Address(port=4),
    upstreams={name: (Address(port=10 + number),) for number, name in enumerate(CLUSTERS)},
    descriptors_path="/here/descriptors.pb",
)


def _load(text: str) -> Any:
    return yaml.load(text, Loader=yaml.CSafeLoader)


def _differences(production: Any, local: Any, path: str = "") -> set[str]:
    """Name the paths at which two configurations differ."""
    if isinstance(production, dict) and isinstance(local, dict):
        keys = production.keys() | local.keys()
        pairs = ((f"{path}/{key}", production.get(key), local.get(key)) for key in keys)
    elif isinstance(production, list) and isinstance(local, list) and len(production) == len(local):
        pairs = ((path, one, other) for one, other in zip(production, local, strict=True))
    else:
        return set() if production == local else {path.rpartition("/")[2]}
    return set().union(*(_differences(one, other, place) for place, one, other in pairs))


def test_local_runs_differ_only_in_addresses_and_the_descriptors_path() -> None:
    local = fit_config(PRODUCTION, EDGE)
    assert _differences(
        yaml.load(PRODUCTION, Loader=yaml.CSafeLoader), yaml.load(local, Loader=yaml.CSafeLoader)
    ) == {
        "address",
        "port_value",
        "type",
        "proto_descriptor",
    }


def test_nothing_local_is_reachable_from_another_machine() -> None:
    config = _load(fit_config(PRODUCTION, EDGE))
    addresses = {found["address"] for found in _holders(config, "port_value") if "address" in found}
    assert addresses == {"127.0.0.1"}


def test_several_replicas_are_listed_one_by_one() -> None:
    replicas = (Address(port=21), Address(port=31))
    edge = replace(EDGE, upstreams={**EDGE.upstreams, "abr": replicas})
    abr = _load(fit_config(PRODUCTION, edge))["static_resources"]["clusters"][0]
    assert (abr["name"], abr["type"]) == ("abr", "STATIC")
    assert [found["port_value"] for found in _holders(abr, "port_value")] == [21, 31]


def test_transcoders_that_take_datagrams_are_asked_by_grpc_whether_they_are_well() -> None:
    replicas, asked = (Address(port=21), Address(port=31)), (Address(port=22), Address(port=32))
    edge = replace(
        EDGE,
        upstreams={**EDGE.upstreams, "transcoder-srt": replicas},
        checked={"transcoder-srt": asked},
    )
    clusters = _load(fit_config(PRODUCTION, edge))["static_resources"]["clusters"]
    (found,) = (cluster for cluster in clusters if cluster["name"] == "transcoder-srt")
    places = [entry["endpoint"] for entry in found["load_assignment"]["endpoints"][0]["lb_endpoints"]]
    assert [place["address"]["socket_address"]["port_value"] for place in places] == [21, 31]
    assert {place["address"]["socket_address"]["protocol"] for place in places} == {"UDP"}
    assert [place["health_check_config"]["port_value"] for place in places] == [22, 32]


def test_a_cluster_without_addresses_is_named() -> None:
    upstreams = {name: replicas for name, replicas in EDGE.upstreams.items() if name != "abr"}
    edge = replace(EDGE, upstreams=upstreams)
    with pytest.raises(ValueError, match="abr"):
        fit_config(PRODUCTION, edge)


def _holders(node: Any, key: str) -> list[dict[str, Any]]:
    if isinstance(node, list):
        return [found for child in node for found in _holders(child, key)]
    if not isinstance(node, dict):
        return []
    below = [found for child in node.values() for found in _holders(child, key)]
    return [node, *below] if key in node else below
