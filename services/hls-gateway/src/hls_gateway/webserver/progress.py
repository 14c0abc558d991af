"""How a body goes out, as far as a server can tell.

What is handed to the kernel is soon gone from here, whatever the network does; only when the kernel takes no
more does the client set the pace. So the pace is measured between the moment when our buffers were full and
the moment when the last byte was handed over: what the client acknowledged meanwhile, and how long it took.
"""

from __future__ import annotations

from hls_gateway.webserver.messages import Sending


class Progress:
    """One body on its way.

    Args:
        now: When it began, seconds of a clock that never goes back; so are all times here.
    """

    __slots__ = ("_begin", "_left_bytes", "_paced_bytes", "_paced_s", "_paused_time", "_unsent_bytes")

    def __init__(self, now: float) -> None:
        self._begin = now
        self._left_bytes = 0
        self._paced_bytes = 0
        self._paced_s = 0.0
        self._paused_time = now
        self._unsent_bytes = 0

    def paused(self, now: float, unsent_bytes: int) -> None:
        """Our buffers are full; `unsent_bytes` the client has not acknowledged, wherever they are."""
        self._paused_time = now
        self._unsent_bytes = unsent_bytes

    def waits(self, left_bytes: int) -> None:
        """So much is still to be handed to the kernel."""
        self._left_bytes = left_bytes

    def resumed(self, now: float, unsent_bytes: int) -> None:
        """All that there was has been handed to the kernel."""
        self._left_bytes = 0
        self._paced_bytes += max(0, self._unsent_bytes - unsent_bytes)
        self._paced_s += now - self._paused_time

    def ended(self, now: float, size_bytes: int) -> Sending:
        """Tell how `size_bytes` of a body went."""
        return Sending(
            size_bytes=max(0, size_bytes - self._left_bytes),
            elapsed_s=now - self._begin,
            paced_bytes=self._paced_bytes,
            paced_s=self._paced_s,
        )
