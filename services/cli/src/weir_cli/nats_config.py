"""The configuration of one NATS server of a cluster: what k8s/base/nats says, for this machine. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from weir_cli.address import Address

# Clients are told to go one by one, so few ones are gone soon; 30 s is the least that the server takes.
_LAME_DUCK = ("lame_duck_grace_period: 1s", "lame_duck_duration: 30s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One server of the cluster."""

    name: str
    client: Address
    monitor: Address
    routes: Address
    store: Path


def render_config(member: Member, members: Sequence[Member]) -> str:
    """Write the configuration of `member`, which seeks all `members`."""
    routes = ", ".join(f"nats://{other.routes}" for other in members)
    lines = (
        f"server_name: {member.name}",
        f"listen: {_quoted(str(member.client))}",
        f"http: {_quoted(str(member.monitor))}",
        *_LAME_DUCK,
        f"jetstream {{ store_dir: {_quoted(str(member.store))} }}",
        f"cluster {{ name: weir, listen: {_quoted(str(member.routes))}, routes: [{routes}] }}",
    )
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text)
