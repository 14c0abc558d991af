"""The replicas of abr: looked up by name again and again, and left alone for a while when one fails."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import grpc

from chassis.errors import Unavailable
from chassis.grpc_client import open_channel
from chassis.telemetry import log
from chassis.tls import Certificates
from hls_gateway.domain.replica_table import ReplicaTable

LOOK_INTERVAL_S = 5.0
"""How old an answer of the DNS may get."""
LOOK_DEADLINE_S = 2.0
REST_S = 5.0
"""How long a replica that failed is left alone at least; longer, while there is no connection to it."""
_SERVER_NAME = "abr"  # what the certificate says, whatever address a replica has
_LISTS = ("ipv4:", "ipv6:")


class AbrReplicas:
    """Knows which replicas can be told something, and holds a connection to each.

    Args:
        target: Where they are, as gRPC takes it: host:port, dns:///host:port or ipv4:host:port,host:port.
        tls: What to show, and whom to believe; None: connections are not encrypted.
        clock: Seconds that never go back.
    """

    def __init__(self, target: str, tls: Certificates | None, clock: Callable[[], float]) -> None:
        self._target = target
        self._tls = tls
        self._clock = clock
        self._looked_time = float("-inf")
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._away: dict[str, float] = {}
        """Replicas that failed, and until when they rest."""
        self._table: ReplicaTable | None = None

    async def table(self) -> ReplicaTable:
        """Spread viewers over who is there; if all have failed, over all of them.

        Raises:
            Unavailable: The name means nobody.
        """
        if self._clock() - self._looked_time >= LOOK_INTERVAL_S:
            await self._look()
        self._away = {address: until for address, until in self._away.items() if self._rests(address, until)}
        there = self._channels.keys() - self._away.keys() or self._channels.keys()
        if self._table is None or self._table.addresses != there:
            self._table = ReplicaTable(there)
            log.info("samples go to abr", replicas=sorted(there), away_count=len(self._away))
        return self._table

    def channel(self, address: str) -> grpc.aio.Channel:
        """Give the connection to one of them."""
        return self._channels[address]

    def note_failure(self, address: str) -> None:
        """Leave one alone from now on."""
        self._away[address] = self._clock() + REST_S

    async def close(self) -> None:
        """Close all connections."""
        for channel in self._channels.values():
            await channel.close()

    def _rests(self, address: str, until: float) -> bool:
        if (channel := self._channels.get(address)) is None:
            return False
        is_connected = channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY
        return self._clock() < until or not is_connected

    async def _look(self) -> None:
        """Find out which replicas there are; while nobody can say, those are believed that were there."""
        self._looked_time = self._clock()
        try:
            async with asyncio.timeout(LOOK_DEADLINE_S):
                found = await resolve(self._target)
        except (OSError, UnicodeError) as error:  # TimeoutError is one of them
            if not self._channels:
                raise Unavailable(f"nobody is found at {self._target}: {error!r}") from error
            return
        for address in found - self._channels.keys():
            self._channels[address] = open_channel(address, self._tls, server_name=_SERVER_NAME)
        for address in self._channels.keys() - found:
            await self._channels.pop(address).close()


async def resolve(target: str) -> frozenset[str]:
    """Look the addresses up that a target of gRPC means, host:port each.

    Of a host that has addresses of both kinds, those of IPv4: each replica counts once, as for Envoy.

    Raises:
        OSError: The host is not found.
    """
    scheme, addresses = target[:5], target[5:]
    if scheme in _LISTS:
        return frozenset(addresses.split(","))
    host, _, port = target.rpartition("/")[2].removeprefix("dns:").rpartition(":")
    found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    fours = [str(place[0]) for family, *_, place in found if family == socket.AF_INET]
    sixes = [f"[{place[0]!s}]" for family, *_, place in found if family == socket.AF_INET6]
    return frozenset(f"{address}:{port}" for address in fours or sixes)
