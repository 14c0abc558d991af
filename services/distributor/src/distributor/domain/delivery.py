"""Deliveries of segments to the edges that viewers are served from: what is carried where, and how often."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from chassis.errors import InvalidArgument
from distributor.domain.entries import LedgerId, Segment
from distributor.domain.profiles import Profile

BACKOFF_FIRST_S = 0.1
BACKOFF_LONGEST_S = 5.0
# After so many failures on end an edge is left alone for a while: it would hold up what goes to the others.
FAILURES_BEFORE_REST = 3
REST_S = 5.0
# What waits for one gateway goes there together: a call costs more than a small object. Larger ones go alone.
LIGHT_BYTES = 512 * 1024
TOGETHER_BYTES = 2 * 1024 * 1024
TOGETHER_COUNT = 64

_TEXT_SUFFIXES = frozenset({"vtt"})
_URL = re.compile(r"https?://[^\s?#]*[^\s?#/]", re.ASCII)
_SEGMENT_ID = re.compile(r"(?:segment_)?(0|[1-9]\d{0,14})(?:\.(?:m4s|ts|jpg))?", re.ASCII)


class EdgeKind(StrEnum):
    """How an edge takes segments."""

    GATEWAY = "gateway"  # PushSegment, into its memory
    PUT = "put"  # HTTP PUT, to a CDN that stores
    PREFETCH = "prefetch"  # HTTP GET, of a CDN that fetches and keeps


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """Where viewers are served from: a gateway, or a CDN."""

    name: str
    kind: EdgeKind
    address: str
    """host:port of a gateway; of a CDN the URL before /hls/."""
    secret: str = ""
    """Signs requests to a CDN; empty: they are not signed."""


def check_cdns(cdns: Sequence[Edge]) -> Sequence[Edge]:
    """Return the CDNs if segments can be delivered to them.

    Raises:
        ValueError: Names what is wrong, and the range.
    """
    names = [cdn.name for cdn in cdns]
    if len(set(names)) < len(names) or not all(names):
        raise ValueError(f"names are {names}: they must differ, and none be empty")
    for cdn in cdns:
        if cdn.kind is EdgeKind.GATEWAY:
            raise ValueError(f"kind of {cdn.name!r} is 'gateway': it must be 'put' or 'prefetch'")
        if not _URL.fullmatch(cdn.address):
            raise ValueError(
                f"address of {cdn.name!r} is {cdn.address!r}: it must be a URL without / at its end"
            )
    return cdns


@dataclass(frozen=True, slots=True, kw_only=True)
class Freight:
    """One announced object."""

    ledger_id: LedgerId
    rendition_id: str
    msn: int
    suffix: str
    object_key: str
    size_bytes: int

    @property
    def is_text(self) -> bool:
        """Captions; whatever else segments hold is compressed as it is."""
        return self.suffix in _TEXT_SUFFIXES

    @property
    def path(self) -> str:
        """Where viewers find it, as playlists name it."""
        stream_id, incarnation = self.ledger_id.stream_id, self.ledger_id.incarnation
        name = f"segment_{self.msn}.{self.suffix}"
        return f"/hls/{stream_id}/variants/{self.rendition_id}/{name}?i={incarnation}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One object to be carried to one edge, by the rules of the stream's profile."""

    edge: Edge
    freight: Freight
    retries_count: int
    timeout_s: float
    """For one attempt."""
    compression_level: int
    """Of text that is put to a CDN, 0 to 9; media is compressed as it is."""
    is_new: bool
    """Just announced: viewers at the live edge will ask for it within moments."""


def order_for(edge: Edge, freight: Freight, profile: Profile, *, is_new: bool) -> Order:
    """Order a delivery by the rules of a profile."""
    return Order(
        edge=edge,
        freight=freight,
        retries_count=profile.retries_count,
        timeout_s=profile.timeout_s,
        compression_level=profile.compression_level,
        is_new=is_new,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of an order."""

    order: Order
    attempts_count: int
    size_bytes: int
    duration_s: float
    error: str
    """Empty: it succeeded."""


def freight_of(ledger_id: LedgerId, segment: Segment) -> Freight:
    """Describe the object of an announced segment; its key ends as its name in playlists does."""
    return Freight(
        ledger_id=ledger_id,
        rendition_id=segment.rendition_id,
        msn=segment.msn,
        suffix=segment.object_key.rpartition(".")[2],
        object_key=segment.object_key,
        size_bytes=segment.size_bytes,
    )


def urgency(order: Order, number: int) -> tuple[int, int]:
    """Rank an order, the least first: what was just announced, the newest before all; then as they came.

    Args:
        order: The order.
        number: How many orders came before it.
    """
    return (0, -number) if order.is_new else (1, number)


def may_go_together(orders: Sequence[Order], other: Order) -> bool:
    """Tell whether an order may be carried with others for the same edge.

    Args:
        orders: At least one.
        other: The next one.
    """
    first = orders[0]
    is_fit = first.edge.kind is EdgeKind.GATEWAY and first.timeout_s == other.timeout_s
    size_bytes = sum(order.freight.size_bytes for order in orders) + other.freight.size_bytes
    return (
        is_fit
        and max(first.freight.size_bytes, other.freight.size_bytes) <= LIGHT_BYTES
        and size_bytes <= TOGETHER_BYTES
        and len(orders) < TOGETHER_COUNT
    )


def backoff_s(attempts_count: int, chance: float) -> float:
    """How long to wait after so many failed attempts: doubling, with full jitter.

    Args:
        attempts_count: At least 1.
        chance: Random, 0 to 1. (Brooker, "Exponential Backoff And Jitter", AWS 2015)
    """
    return chance * min(BACKOFF_LONGEST_S, BACKOFF_FIRST_S * 2.0 ** (attempts_count - 1))


def choose_follower(stream_id: str, names: Sequence[str], weigh: Callable[[str], int]) -> str:
    """Choose which distributor pushes a stream's segments: the same one, whoever asks (rendezvous hashing).

    Args:
        stream_id: The stream.
        names: Of those that are alive, at least one.
        weigh: A hash of a text.
    """
    return max(names, key=lambda name: weigh(f"{name}/{stream_id}"))


def read_segment_id(segment_id: str) -> int:
    """Read a segment's number: digits, or its name in playlists.

    Raises:
        InvalidArgument: INVALID_SEGMENT.
    """
    found = _SEGMENT_ID.fullmatch(segment_id)
    if found is None:
        raise InvalidArgument(
            f"segment_id is {segment_id[:80]!r}: it must be a segment's number, or its name (segment_7.m4s)",
            reason="INVALID_SEGMENT",
            field="segment_id",
        )
    return int(found[1])
