"""Are the ports of a plan free?"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from weir_cli.address import Address
from weir_cli.plan import Plan, Process


def find_taken(plan: Plan) -> tuple[tuple[Process, Address], ...]:
    """Return each address of the plan on which somebody listens already, with the process that wants it."""
    return tuple(
        (process, address)
        for process in plan.processes
        for kind, addresses in (
            (socket.SOCK_STREAM, process.listens),
            (socket.SOCK_DGRAM, process.listens_udp),
        )
        for address in addresses
        if not _is_free(address, kind)
    )


def explain_taken(taken: Sequence[tuple[Process, Address]], *, port: int) -> str:
    """Say which ports are taken, and what to do about it."""
    ports = ", ".join(f"{address.port} ({process.name})" for process, address in taken)
    return (
        f"taken by another program: port {ports}. Stop that program, or choose other ports: "
        f"WEIR_PORT={port + 100} moves them all"
    )


def _is_free(address: Address, kind: socket.SocketKind) -> bool:
    with socket.socket(type=kind) as probe:
        if kind is socket.SOCK_STREAM:
            # As servers do: connections of an earlier run that have not quite ended are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError:
            return False
    return True
