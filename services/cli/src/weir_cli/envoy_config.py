"""Fit Envoy's one configuration to a local run: other addresses, the same rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import yaml

from weir_cli.address import Address

Node = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """What differs between production and a run on this machine."""

    public: Address
    """Where clients connect."""

    rtmp: Address
    """Where publishers connect by RTMP."""

    srt: Address
    """Where publishers send to by SRT."""

    admin: Address
    """Where Envoy is administered."""

    upstreams: Mapping[str, Sequence[Address]]
    """The replicas of each cluster, by the cluster's name."""

    checked: Mapping[str, Sequence[Address]] = field(default_factory=dict)
    """Where the replicas of a cluster are asked for their health, if that is not where they serve."""

    descriptors_path: str
    """The file with the contracts that REST is transcoded by."""


def fit_config(text: str, edge: Edge) -> str:
    """Return the configuration `text`, which is YAML, with the addresses and paths of `edge`.

    Raises:
        ValueError: The configuration's clusters are not those of `edge.upstreams`.
    """
    config: Node = yaml.load(text, Loader=yaml.CSafeLoader)
    resources = config["static_resources"]
    _require_same({cluster["name"] for cluster in resources["clusters"]}, set(edge.upstreams))
    _move(config["admin"], edge.admin)
    listeners = {listener["name"]: listener for listener in resources["listeners"]}
    for name, address in (("public", edge.public), ("rtmp", edge.rtmp), ("srt", edge.srt)):
        _move(listeners[name], address)
    for cluster in resources["clusters"]:
        name = cluster["name"]
        _fix_endpoints(cluster, edge.upstreams[name], edge.checked.get(name, ()))
    for transcoder in _holders_of("proto_descriptor", listeners["public"]):
        transcoder["proto_descriptor"] = edge.descriptors_path
    return yaml.dump(config, Dumper=yaml.CSafeDumper, sort_keys=False, width=120)


def _require_same(configured: set[str], given: set[str]) -> None:
    if configured != given:
        raise ValueError(
            f"Envoy's clusters are {sorted(configured)}, but addresses are given for {sorted(given)}"
        )


def _fix_endpoints(cluster: Node, replicas: Sequence[Address], checked: Sequence[Address]) -> None:
    """Name the replicas one by one: a local run has no DNS that would know them."""
    cluster["type"] = "STATIC"
    ((pattern,),) = (place["lb_endpoints"] for place in cluster["load_assignment"]["endpoints"])
    endpoints = [deepcopy(pattern["endpoint"]) for _ in replicas]
    for endpoint, replica in zip(endpoints, replicas, strict=True):
        _move(endpoint, replica)
    for endpoint, replica in zip(endpoints, checked, strict=False):
        endpoint["health_check_config"]["port_value"] = replica.port
    named = [{"endpoint": endpoint} for endpoint in endpoints]
    cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": named}]


def _move(holder: Node, address: Address) -> None:
    """Set an address, and keep its protocol."""
    holder["address"]["socket_address"] |= {"address": address.host, "port_value": address.port}


def _holders_of(key: str, node: Any) -> Iterator[Node]:
    """Find every mapping below `node` that has `key`."""
    if isinstance(node, dict):
        if key in node:
            yield node
        for child in node.values():
            yield from _holders_of(key, child)
    elif isinstance(node, list):
        for child in node:
            yield from _holders_of(key, child)
