"""Delivery routes that viewers can be led to, and whether they may be: HLS Content Steering's pathways."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

# One lost answer is no outage; one answer is a recovery.
FAILURES_BEFORE_SICK = 3
WEIGHT_LIMIT = 1_000_000
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_URL = re.compile(r"(https?://[^\s/?#]+)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A pathway as it is configured."""

    pathway_id: str
    base_url: str
    """What stands before /hls/; empty: the origin that players come to."""
    weight: float
    """Share of viewers, relative to the others'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pathway:
    """A pathway and how its last checks went."""

    route: Route
    failures_count: int = 0
    """On end."""

    @property
    def is_healthy(self) -> bool:
        return self.failures_count < FAILURES_BEFORE_SICK


def checked(pathway: Pathway, *, answers: bool) -> Pathway:
    """Note the outcome of a check."""
    return replace(pathway, failures_count=0 if answers else pathway.failures_count + 1)


def check_routes(routes: Sequence[Route]) -> Sequence[Route]:
    """Return the routes if players can be led along them.

    Raises:
        ValueError: Names what is wrong, and the range.
    """
    ids = [route.pathway_id for route in routes]
    if len(set(ids)) < len(ids):
        raise ValueError(f"pathway ids are {ids}: they must differ")
    for route in routes:
        if not _ID.fullmatch(route.pathway_id):
            raise ValueError(f"pathway_id is {route.pathway_id!r}: 1 to 64 letters, digits, '.', '_', '-'")
        if not _URL.fullmatch(route.base_url):
            raise ValueError(f"base_url is {route.base_url!r}: scheme and host, http or https, or empty")
        if not 0 <= route.weight <= WEIGHT_LIMIT:
            raise ValueError(f"weight is {route.weight}: it must lie from 0 to {WEIGHT_LIMIT}")
    return routes
