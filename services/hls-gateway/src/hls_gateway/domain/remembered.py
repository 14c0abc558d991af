"""What texts mean that come again and again: each is read once, within bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Meaning = TypeVar("Meaning")


class Remembered(dict[bytes, Meaning], Generic[Meaning]):
    """Meanings by text: `remembered[text]` reads what is new, and raises what reading raises.

    A dict, because looking up what is known then costs no call. When there are too many, all are forgotten.

    Args:
        read: Tells what a text means.
        count: How many are remembered.
        size_bytes: Longer texts are read each time: they are nobody's usual ones, and would fill the memory.
    """

    def __init__(self, read: Callable[[bytes], Meaning], *, count: int, size_bytes: int) -> None:
        super().__init__()
        self._read = read
        self._count = count
        self._size_bytes = size_bytes

    def __missing__(self, text: bytes) -> Meaning:
        meaning = self._read(text)
        if len(text) <= self._size_bytes:
            if len(self) >= self._count:
                self.clear()
            self[text] = meaning
        return meaning
