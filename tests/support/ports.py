"""Free TCP ports for tests."""

from __future__ import annotations

import socket
from contextlib import ExitStack


def free_ports(count: int) -> tuple[int, ...]:
    """Choose ports that nobody listens on now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for opened in sockets:
            opened.bind(("127.0.0.1", 0))
        return tuple(int(opened.getsockname()[1]) for opened in sockets)


def free_base(span: int) -> int:
    """Choose a port from which `span` ports in a row are free."""
    for (base,) in (free_ports(1) for _ in range(100)):
        if base + span < 65536 and all(_is_free(port) for port in range(base, base + span)):
            return base
    raise RuntimeError(f"no {span} free ports in a row")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
