"""The bounds within which the web server lets clients take its time and memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one client, and all of them together, may take.

    Args:
        connection_count: Open connections; one more is answered 503 and closed.
        target_bytes: Length of a request's target; a longer one is answered 414.
        head_bytes: Length of a request's head; a longer one is answered 431.
        body_bytes: Length of a request's body, which is read and dropped; a longer one is answered 413.
        pipelined_count: Requests that may wait behind the one being answered; at more, what is over
            is not answered and the connection ends, as RFC 9112 9.3.2 lets a server do.
        head_timeout_s: Time for a request to arrive whole, from its first byte.
        idle_timeout_s: Time that a connection may wait for its next request.
        stall_timeout_s: Time in which a client must take at least `stall_timeout_s * send_rate_bytes_s`
            of what is held for it.
        send_rate_bytes_s: Slowest client that is still served.
    """

    connection_count: int = 8192
    target_bytes: int = 8192
    head_bytes: int = 16384
    body_bytes: int = 65536
    pipelined_count: int = 64
    head_timeout_s: float = 10.0
    idle_timeout_s: float = 75.0
    stall_timeout_s: float = 15.0
    send_rate_bytes_s: int = 2048

    @property
    def sweep_s(self) -> float:
        """How often to look for clients that have run out of time."""
        return min(1.0, self.head_timeout_s / 2, self.idle_timeout_s / 2, self.stall_timeout_s / 2)
