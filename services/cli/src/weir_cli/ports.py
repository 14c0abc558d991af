"""Are the ports of a plan free?"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from weir_cli.address import Address
from weir_cli.plan import Plan, Process


def find_taken(plan: Plan) -> tuple[tuple[Process, Address], ...]:
    """Return each address of the plan on which somebody listens already, with the process that wants it."""
    wanted = ((process, address) for process in plan.processes for address in process.listens)
    return tuple((process, address) for process, address in wanted if not _is_free(address))


def explain_taken(taken: Sequence[tuple[Process, Address]], *, port: int) -> str:
    """Say which ports are taken, and what to do about it."""
    ports = ", ".join(f"{address.port} ({process.name})" for process, address in taken)
    return (
        f"taken by another program: port {ports}. Stop that program, or choose other ports: "
        f"WEIR_PORT={port + 100} moves them all"
    )


def _is_free(address: Address) -> bool:
    with socket.socket() as probe:
        # As servers do: connections of an earlier run that have not quite ended are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError:
            return False
    return True
