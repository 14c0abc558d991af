"""By which id a player's session is known: the one it was given, else its own, else where it comes from.

Every gateway comes to the same id without asking, so that a viewer who is served by two is one viewer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from chassis.layout import ID_PATTERN

# Nobody but the door can set this one: the client's address as it trusts it.
_TRUSTED_ADDRESS = b"x-envoy-external-address"
_FORWARDED = b"x-forwarded-for"
_PROGRAM_BYTES = 256  # programs name themselves in less; it is kept with each session


def player_session_id(sid: str) -> str:
    """Give a CMCD `sid` as an id of the API's alphabet: itself, or a hash of it."""
    return sid if ID_PATTERN.fullmatch(sid) else f"sid-{_digest(sid.encode())}"


def place_of(headers: Mapping[bytes, bytes], client: bytes) -> tuple[bytes, bytes]:
    """Tell a player that says nothing of itself by its address and program.

    Args:
        headers: The request's.
        client: Who is connected; counts when no door stands between.
    """
    forwarded = headers.get(_FORWARDED)
    if forwarded is None:
        return client, headers.get(b"user-agent", b"")[:_PROGRAM_BYTES]
    address = headers.get(_TRUSTED_ADDRESS) or forwarded.rpartition(b",")[2].strip()
    return address, headers.get(b"user-agent", b"")[:_PROGRAM_BYTES]


def place_session_id(place: tuple[bytes, bytes]) -> str:
    """Give the id of a player that is known by its place alone; its address cannot be read from it."""
    return f"at-{_digest(b' '.join(place))}"


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=12).hexdigest()
