"""The newest downloads of one viewer, packed: 41 bytes each, where an object would take 180."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from abr.domain.view import Download

KEPT_COUNT = 12
"""More than any forecast looks back on."""
_ROW = struct.Struct("<ddddffb")
_OTHERS_BYTES = (KEPT_COUNT - 1) * _ROW.size
_pack = _ROW.pack

Row = tuple[float, float, float, float, float, float, int]
"""end_s, size_bytes, transfer_s, duration_s, latency_s (0: unknown), buffer by its target, place."""


class History:
    """Appends at one end and forgets at the other."""

    __slots__ = ("_packed",)

    def __init__(self) -> None:
        self._packed = b""

    def __len__(self) -> int:
        return len(self._packed) // _ROW.size

    @property
    def packed(self) -> bytes:
        """All rows as they are kept."""
        return self._packed

    def append(self, *row: *Row) -> None:
        """Add a download."""
        self._packed = self._packed[-_OTHERS_BYTES:] + _pack(*row)

    def rows(self) -> Iterator[Row]:
        """Go through them, oldest first."""
        return _ROW.iter_unpack(self._packed)

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
        self._packed = b"".join(_pack(*columns, places[place]) for *columns, place in self.rows())

    def restore(self, packed: bytes) -> None:
        """Go on from rows as they were kept.

        Raises:
            ValueError: These are not such rows.
        """
        if len(packed) % _ROW.size or len(packed) > KEPT_COUNT * _ROW.size:
            raise ValueError(f"{len(packed)} bytes are no history: rows of {_ROW.size}, at most {KEPT_COUNT}")
        self._packed = packed
