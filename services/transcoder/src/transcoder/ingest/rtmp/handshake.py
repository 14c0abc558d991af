"""RTMP's handshake, the simple one of the specification (RTMP 5.2)."""

from __future__ import annotations

from transcoder.ingest.rtmp.message import RtmpError

VERSION = 3
HALF_BYTES = 1536
"""Length of C1, C2, S1 and S2."""
NOISE_BYTES = HALF_BYTES - 8


class Handshake:
    """Takes C0, C1 and C2, and makes S0, S1 and S2.

    Args:
        noise: NOISE_BYTES random bytes.
    """

    def __init__(self, noise: bytes) -> None:
        self._noise = noise
        self._data = b""
        self._answered = False

    @property
    def is_done(self) -> bool:
        return len(self._data) >= 1 + 2 * HALF_BYTES

    @property
    def rest(self) -> bytes:
        """What came behind it."""
        return self._data[1 + 2 * HALF_BYTES :]

    def feed(self, data: bytes) -> bytes:
        """Take bytes; return the answer, once it can be given. C2 proves nothing: some encoders do not echo.

        Raises:
            RtmpError: They do not begin with version 3: HTTP, TLS, or RTMP's old encryption.
        """
        self._data += data
        if self._data[:1] != bytes([VERSION]):
            raise RtmpError(f"begins with {self._data[:1]!r}, not with RTMP's version {VERSION}")
        if self._answered or len(self._data) <= HALF_BYTES:
            return b""
        self._answered = True
        return self._answer(self._data[1 : 1 + HALF_BYTES])

    def _answer(self, hello: bytes) -> bytes:
        # RTMP 5.2.3: time and zero. Its zero also says that we take no part in Flash's digests.
        ours = bytes(8) + self._noise
        # RTMP 5.2.4: C1 comes back, with the time at which it was read.
        echo = hello[:4] + bytes(4) + hello[8:]
        return bytes([VERSION]) + ours + echo
