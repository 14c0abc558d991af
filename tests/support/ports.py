"""Free TCP ports for tests."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

_BASES = range(10_000, 30_000, 100)


def free_ports(count: int) -> tuple[int, ...]:
    """Choose ports that nobody listens on now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for opened in sockets:
            opened.bind(("127.0.0.1", 0))
        return tuple(int(opened.getsockname()[1]) for opened in sockets)


def free_base(span: int = 1) -> int:
    """Choose a port from which `span` ports in a row are free.

    They lie below those that the system hands out, so that nobody takes one before it is used.
    """
    for base in random.sample(_BASES, k=len(_BASES)):
        if all(_is_free(port) for port in range(base, base + span)):
            return base
    raise RuntimeError(f"no {span} free ports in a row")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
