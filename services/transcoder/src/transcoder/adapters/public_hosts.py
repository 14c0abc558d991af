"""Look the hosts of pulled sources up, and refuse those that lie inside our networks."""

from __future__ import annotations

import asyncio
import socket

from chassis.errors import Unavailable
from transcoder.domain.source_url import is_public, private_host


async def resolve_public(host: str, port: int, *, allow_private: bool) -> tuple[str, ...]:
    """Look up the addresses of a host.

    Raises:
        InvalidArgument: PRIVATE_ADDRESS; one of them is not public, and private ones are not allowed.
        Unavailable: The host is not found.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"host {host[:80]!r} is not found", reason="HOST_NOT_FOUND") from error
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not allow_private and not all(is_public(address) for address in addresses):
        raise private_host(host, field="source.pull_url")
    return addresses
