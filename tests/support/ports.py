"""Free TCP ports for tests.

They lie below those that the system hands out, and each of the processes that test side by side has its own:
so nobody takes one before it is used.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from itertools import islice

_BASES = range(10_000, 30_000, 100)


def free_ports(count: int) -> tuple[int, ...]:
    """Choose ports that nobody listens on now."""
    base = free_base(count)
    return tuple(range(base, base + count))


def free_base(span: int = 1) -> int:
    """Choose a port from which `span` ports in a row are free, up to 100."""
    for base in islice(_bases, len(_BASES)):
        if all(_is_free(port) for port in range(base, base + span)):
            return base
    raise RuntimeError(f"no {span} free ports in a row")


def _own_bases() -> Iterator[int]:
    """Go through those of this process, again and again: what was chosen last is not in use yet."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = _BASES[worker :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    order = random.sample(own, k=len(own))
    while True:
        yield from order


_bases = _own_bases()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
