"""What uploads leave on a disk when their process is killed.

obstore writes each object to a file beside its place, `segment.m4s#1`, which becomes the object when it is
whole. A process that is killed before leaves that file. No listing shows it: what goes by listings leaves it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

_STAGED = re.compile(r"(?P<key>.+)#\d+")


def remove_leftovers(root: Path, prefix: str, spares: Callable[[str], bool]) -> None:
    """Remove unfinished files below a prefix, and the folders that are empty then.

    Args:
        root: The storage's folder, which stays.
        prefix: Ends with '/'.
        spares: Tells of a key whether what is being written under it stays.
    """
    for folder, names in _folders_upwards(root, root / prefix):
        for name in names:
            path = folder / name
            staged = _STAGED.fullmatch(path.relative_to(root).as_posix())
            if staged and not spares(staged["key"]):
                path.unlink(missing_ok=True)
        with suppress(OSError):  # not empty; or gone, or about to be filled, by somebody else
            folder.rmdir()


def _folders_upwards(root: Path, top: Path) -> Iterator[tuple[Path, list[str]]]:
    """Go through the folders below `top`, each with its files, and then those above it, without theirs."""
    for folder, _, names in os.walk(top, topdown=False):
        yield Path(folder), names
    while (top := top.parent) != root:
        yield top, []
