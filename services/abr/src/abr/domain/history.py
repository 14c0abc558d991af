"""The newest downloads of one viewer, packed: 41 bytes each, where an object would take 180."""
# ruff: noqa: PLR0917 - the values of a row, in its order

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from abr.domain.view import Download

KEPT_COUNT = 12
"""More than any forecast looks back on."""
_ROW = struct.Struct("<ddddffb")
_ROW_BYTES = _ROW.size
_FULL_BYTES = KEPT_COUNT * _ROW_BYTES
_pack, _pack_into = _ROW.pack, _ROW.pack_into

Row = tuple[float, float, float, float, float, float, int]
"""end_s, size_bytes, transfer_s, duration_s, latency_s (0: unknown), buffer by its target, place."""


class History:
    """A ring: the newest row takes the oldest one's place, and no other is touched."""

    __slots__ = ("_oldest", "_ring")

    def __init__(self) -> None:
        self._ring = bytearray()
        self._oldest = 0
        """Where the oldest row begins, bytes; 0 until the ring is full."""

    def __len__(self) -> int:
        return len(self._ring) // _ROW_BYTES

    @property
    def packed(self) -> bytes:
        """All rows as they are kept, oldest first."""
        return bytes(self._ring[self._oldest :] + self._ring[: self._oldest])

    def append(
        self,
        end_s: float,
        size_bytes: float,
        transfer_s: float,
        duration_s: float,
        latency_s: float,
        health_ratio: float,
        place: int,
    ) -> None:
        """Add a download: a row's values."""
        if len(self._ring) < _FULL_BYTES:
            self._ring += _pack(end_s, size_bytes, transfer_s, duration_s, latency_s, health_ratio, place)
            return
        at = self._oldest
        _pack_into(self._ring, at, end_s, size_bytes, transfer_s, duration_s, latency_s, health_ratio, place)
        self._oldest = (at + _ROW_BYTES) % _FULL_BYTES

    def rows(self) -> Iterator[Row]:
        """Go through them, oldest first."""
        return _ROW.iter_unpack(self.packed)

    def downloads(self) -> tuple[Download, ...]:
        """All of them as policies see them, oldest first."""
        return tuple(
            Download(
                end_s=end_s,
                size_bytes=int(size_bytes),
                transfer_s=transfer_s,
                duration_s=duration_s,
                rung=place,
            )
            for end_s, size_bytes, transfer_s, duration_s, _, _, place in self.rows()
        )

    def move(self, places: Sequence[int]) -> None:
        """Go over to another ladder: `places` holds the new place of each old one."""
        self._keep(b"".join(_pack(*columns, places[place]) for *columns, place in self.rows()))

    def restore(self, packed: bytes) -> None:
        """Go on from rows as they were kept.

        Raises:
            ValueError: These are not such rows.
        """
        if len(packed) % _ROW_BYTES or len(packed) > _FULL_BYTES:
            raise ValueError(
                f"{len(packed)} bytes are no history: rows of {_ROW_BYTES}, at most {KEPT_COUNT}"
            )
        self._keep(packed)

    def _keep(self, packed: bytes) -> None:
        self._ring, self._oldest = bytearray(packed), 0
