"""Which replica of a peer a viewer belongs to: consistent hashing, as Envoy does it.

Gateways send a viewer's samples there, and Envoy its questions, without asking each other: both write the
same table from the same addresses (Envoy's MAGLEV with 4,093 places). Each replica has as many places, and
one that comes or goes moves its own viewers, and of the others about one in a hundred.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from hls_gateway.domain.xxh64 import xxh64

PLACES_COUNT = 4093
"""A prime; `table_size` of Envoy's cluster."""
HELD_COUNT = 50_000
"""Viewers whose hashes are held: working one out takes as long as writing ten samples."""


class ReplicaTable:
    """The replicas that there are at one time.

    Args:
        addresses: Of the replicas, host:port; at least one.
    """

    def __init__(self, addresses: Iterable[str]) -> None:
        self.addresses = frozenset(addresses)
        self._homes = _fill(sorted(self.addresses))

    def home(self, viewer_id: str) -> str:
        """Tell which replica a viewer belongs to."""
        return self._homes[_hash(viewer_id) % PLACES_COUNT]


def _fill(addresses: Sequence[str]) -> Sequence[str]:
    """Let one replica after the other take the next free place in its own order.

    Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, 3.4.
    """
    homes = [""] * PLACES_COUNT
    orders = [(address, _places(address)) for address in addresses]
    left_count = PLACES_COUNT
    while True:
        for address, places in orders:
            homes[next(place for place in places if not homes[place])] = address
            left_count -= 1
            if not left_count:
                return homes


def _places(address: str) -> Iterator[int]:
    """Give all places in the order in which a replica wants them."""
    place = xxh64(address.encode()) % PLACES_COUNT
    step = xxh64(address.encode(), seed=1) % (PLACES_COUNT - 1) + 1
    while True:
        yield place
        place = (place + step) % PLACES_COUNT


@lru_cache(maxsize=HELD_COUNT)
def _hash(viewer_id: str) -> int:
    return xxh64(viewer_id.encode())
