"""Where a process listens."""

from __future__ import annotations

from dataclasses import dataclass

LOOPBACK = "127.0.0.1"  # never `localhost`: it may mean ::1, where nobody listens


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A TCP address on this machine."""

    port: int
    host: str = LOOPBACK

    def __str__(self) -> str:
        """Write it as host:port."""
        return f"{self.host}:{self.port}"
